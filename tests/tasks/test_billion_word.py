import gzip
import hashlib
import lzma
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from seqmem.errors import InputError
from seqmem.measuring.curve import measure
from seqmem.measuring.reference import full_scores
from seqmem.measuring.windows import window_inputs
from seqmem.tasks import load_task
from seqmem.tasks.billion_word import SLICES, BillionWord
from seqmem.tasks.data import lm1b
from seqmem.tasks.data.lm1b import CHECKSUM_FILE, LM1B, Shard, find_shards
from seqmem.tasks.data.text_files import read_lines
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import Split

# Held-out shards without a known checksum, so that generated ones are accepted.
TINY = "billion-word/train=heldout:1+2,valid=heldout:3,test=heldout:4,min-count=2"
SENTENCES = {
    1: "the cat sat\nthe dog sat\n",
    2: "a cat\n\nthe end",
    3: "the cat\n",
    4: "the mouse sat .\ncat\n\nthe the the\n",
}


def put(directory: Path, sentences: dict[int, str] = SENTENCES) -> Path:
    folder = directory / "lm1b"
    folder.mkdir(exist_ok=True)
    for number, text in sentences.items():
        (folder / Shard("heldout", number).name).write_text(text)
    return folder


def make(task_id: str = TINY) -> BillionWord:
    task = load_task(task_id)
    assert isinstance(task, BillionWord)
    return task


def sentences(task: BillionWord, split: Split) -> list[tuple[list[str], list[str]]]:
    """Inputs and targets of each sequence, as words."""
    result = []
    bounds = torch.searchsorted(split.positions, split.starts).tolist()
    starts = split.starts.tolist()
    for i in range(len(starts) - 1):
        inputs = split.inputs[starts[i] : starts[i + 1]].tolist()
        targets = split.targets[bounds[i] : bounds[i + 1]].tolist()
        result.append(([task.words[x] for x in inputs], [task.words[x] for x in targets]))
    return result


def brute_force(lines: list[str], known: set[str]) -> list[tuple[list[str], list[str]]]:
    result = []
    for line in lines:
        words = [word if word in known else "<unk>" for word in line.split()]
        result.append((["<s>", *words], [*words, "</s>"]))
    return result


def test_every_sentence_is_a_sequence_of_its_own(own_data: Path) -> None:
    put(own_data)
    for _ in range(2):  # read, then mapped
        task = make()
        known = {"the", "cat", "sat"}  # seen at least twice in training
        assert set(task.words) == known | {"<unk>", "<s>", "</s>"}
        assert task.outputs == 6
        for name, numbers in (("train", (1, 2)), ("valid", (3,)), ("test", (4,))):
            split = task.train(0, 0) if name == "train" else task.split(name)  # type: ignore[arg-type]
            lines = [line for number in numbers for line in SENTENCES[number].splitlines()]
            assert sentences(task, split) == brute_force(lines, known)


def test_context_never_crosses_a_sentence(own_data: Path) -> None:
    put(own_data)
    task = make()
    split = task.split("test")
    begin = task.words.index("<s>")
    for k in range(1, 6):
        chosen = (split.available >= k).nonzero().squeeze(1)
        for window in window_inputs(split, chosen, k) if len(chosen) else ():
            assert begin not in window[1:].tolist()
    first = split.available == 1
    assert (split.inputs[split.positions[first]] == begin).all()
    assert int(first.sum()) == 4
    assert begin not in split.targets.tolist()
    assert split.blocks.tolist() == [0] * 5 + [1] * 2 + [2] + [3] * 4


class Recorder(SequenceModel):
    """Returns the unigram distribution, and stores what it read."""

    receptive_field = None

    def __init__(self, constant: torch.Tensor) -> None:
        super().__init__()
        self.constant = constant
        self.seen: list[list[int]] = []

    def hidden(self, inputs: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        self.seen += inputs.tolist()
        return torch.zeros(*inputs.shape[:2], 1), None

    def readout(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.constant.expand(*hidden.shape[:-1], -1)

    def state_size(self, context: int) -> int:
        return 0


def test_a_measured_model_reads_one_sentence_at_a_time(own_data: Path) -> None:
    put(own_data)
    task = make()
    split = task.split("test")
    model = Recorder(task.constant())
    curve = measure(model, task, split, [1, 2, 8])
    begin = task.words.index("<s>")
    assert model.seen
    # Filled up, if at all, with its own last word; that of an empty sentence is <s>.
    assert all(begin not in window[1:] or {*window} == {begin} for window in model.seen)
    for scores in map(curve.at, curve.finite):
        assert scores.losses.mean() == pytest.approx(task.chance(), abs=1e-6)
    assert full_scores(model, task, split).losses.mean() == pytest.approx(task.chance(), abs=1e-6)


def test_chance_is_the_unigram_of_the_training_slice(own_data: Path) -> None:
    put(own_data)
    task = make()
    known = set(task.words)
    counts = Counter(
        word if word in known else "<unk>"
        for number in (1, 2)
        for line in SENTENCES[number].splitlines()
        for word in [*line.split(), "</s>"]
    )
    counts["<s>"] = 1  # never a target; counted once, as all that training does not hold
    total = sum(counts.values())
    probability = {word: counts[word] / total for word in task.words}
    losses = [
        -np.log(probability[word])
        for _, targets in brute_force(SENTENCES[4].splitlines(), known)
        for word in targets
    ]
    assert task.chance() == pytest.approx(np.mean(losses), rel=1e-6)


@pytest.mark.parametrize("ending", ["", ".txt", ".gz", ".xz", ".txt.gz", ".txt.xz"])
def test_shards_may_be_compressed(own_data: Path, ending: str) -> None:
    folder = put(own_data)
    plain = make().data_hash
    name = Shard("heldout", 4).name
    (folder / name).unlink()
    content = SENTENCES[4].encode()
    if ending.endswith(".gz"):
        content = gzip.compress(content)
    elif ending.endswith(".xz"):
        content = lzma.compress(content)
    (folder / (name + ending)).write_bytes(content)
    assert make().data_hash == plain


def test_windows_line_ends_have_the_same_ids(own_data: Path) -> None:
    put(own_data)
    unix = make().data_hash
    put(own_data, {n: text.replace("\n", "\r\n") for n, text in SENTENCES.items()})
    assert make().data_hash == unix


def test_long_words_and_lines(own_data: Path) -> None:
    long = "x" * 1_000_000
    put(own_data, {**SENTENCES, 1: f"{long} {long}\n", 4: "the " * 1_000_000 + long + "\n"})
    task = make()
    assert long in task.words
    assert len(task.split("test")) == 1_000_002


def test_a_checksum_file_is_used(own_data: Path) -> None:
    folder = put(own_data)
    md5 = hashlib.md5(SENTENCES[4].encode()).hexdigest()
    note = LM1B.check()
    assert note is not None
    assert "4 not checked, no checksum known (news.en.heldout-00001-of-00050" in note
    for right in (True, False):
        line = f"{md5 if right else '0' * 32}  heldout-monolingual/{Shard('heldout', 4).name}\n"
        (folder / CHECKSUM_FILE).write_text(f"CHECKPOINT 3: after the script.\n{line}")
        if right:
            make().split("test")
            note = LM1B.check()
            assert note is not None
            assert "3 not checked" in note
        else:
            with pytest.raises(InputError, match=r"00004-of-00050: md5 of the text is .* altered"):
                make().split("test")
            with pytest.raises(InputError, match="md5 of the text is"):
                LM1B.check()


def test_an_altered_shard_of_known_checksum_is_refused(own_data: Path) -> None:
    put(own_data, {**SENTENCES, 10: "not the benchmark\n"})
    with pytest.raises(InputError, match=r"official one of .*heldout-00010-of-00050 is 36b9"):
        make("billion-word/train=heldout:10,valid=heldout:3,test=heldout:4").split("test")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"fine\n\xe9t\xe9\n", r"line 2: not UTF-8 \(byte 0xe9"),
        (b"fine\nthe </s> end\n", "line 2: contains </s> or <s>"),
    ],
)
def test_a_bad_shard_is_named(own_data: Path, content: bytes, problem: str) -> None:
    path = put(own_data) / Shard("heldout", 4).name
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{path.name}.*{problem}"):
        make().split("test")


def test_a_missing_shard_is_named(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (put(own_data) / Shard("heldout", 4).name).unlink()
    with pytest.raises(InputError, match=r"shard news\.en\.heldout-00004-of-00050 .* is not in"):
        make().split("test")
    assert "00000-of-00050" in LM1B.locate().problem  # of the suite's own slice
    monkeypatch.delenv("SEQMEM_DATA")
    with pytest.raises(InputError, match="none is given; give one with --data-dir"):
        make().split("test")
    assert LM1B.locate().files is None


def test_shards_are_found_in_the_folders_of_the_archive(own_data: Path) -> None:
    below = own_data / "lm1b" / "benchmark" / "training-monolingual.tokenized.shuffled"
    below.mkdir(parents=True)
    (below / "news.en-00007-of-00100").write_text("x\n")
    (below / "news.en-00000-of-00100").write_text("x\n")  # the held-out part's source
    found = find_shards([Shard("train", 7)])
    assert found[Shard("train", 7)].parent == below
    with pytest.raises(InputError, match=r"news\.en-00008-of-00100"):
        find_shards([Shard("train", 8)])


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("", "did you mean billion-word/heldout-10-13"),
        ("heldout-10-12", "did you mean billion-word/heldout-10-13"),
        ("train=heldout:1,valid=heldout:2", "parameter test is missing"),
        ("train=heldout:1+1,valid=heldout:2,test=heldout:3", "heldout:1 is in train and in tr"),
        ("train=heldout:1,valid=heldout:2,test=heldout:1", "heldout:1 is in train and in test"),
        ("train=heldout:1,valid=heldout:2,test=heldout:2", "heldout:2 is in valid and in test"),
        ("train=1,valid=heldout:2,test=heldout:3", "write heldout:1 or train:1"),
        ("train=dev:1,valid=heldout:2,test=heldout:3", "there are no shards 'dev'"),
        ("train=heldout:50,valid=heldout:2,test=heldout:3", "out of range: 0 to 49"),
        ("train=train:0,valid=heldout:2,test=heldout:3", "out of range: 1 to 99"),
        ("train=heldout:,valid=heldout:2,test=heldout:3", "is not a whole number"),
        ("train=heldout:1,valid=heldout:2,test=heldout:3,min-count=0", "out of range: 1 to"),
        ("train=heldout:1,valid=heldout:2,test=heldout:3,cut=2", "unknown parameter 'cut'"),
    ],
)
def test_a_wrong_id(given: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        load_task(f"billion-word/{given}")


def test_ids_are_canonical() -> None:
    task = make("billion-word/test=heldout:0,train=train:2+1+heldout:12+11,valid=heldout:13")
    assert task.id == (
        "billion-word/train=heldout:11+12+train:1+2,valid=heldout:13,test=heldout:0,min-count=3"
    )
    assert make(task.id).slice == task.slice


def test_a_task_can_be_named_without_its_data(own_data: Path) -> None:
    assert make("billion-word/heldout-10-13").contexts[-1] == 64


# The real shards.


def test_the_slice_of_the_suite(data: Path) -> None:
    task = make("billion-word/heldout-10-13")
    test = task.split("test")
    assert len(test) == 159_658
    assert len(test.starts) - 1 == 6_075
    assert len(task.split("valid")) == 161_533
    assert len(task.train(0, 0)) == 161_828 + 160_878 + 156_753
    counts = Counter(
        word
        for shard in SLICES["heldout-10-13"].splits["train"]
        for line in read_lines(find_shards([shard])[shard])
        for word in line.split()
    )
    known = {word for word, count in counts.items() if count >= 3}
    assert set(task.words) == known | {"<unk>", "<s>", "</s>"}
    lines = list(read_lines(find_shards([Shard("heldout", 0)])[Shard("heldout", 0)]))
    assert sentences(task, test) == brute_force(lines, known)
    assert task.chance() == pytest.approx(6.3775, abs=1e-4)


def test_a_slice_by_name_equals_its_definition(data: Path) -> None:
    named = make("billion-word/heldout-10-13")
    spelled = make(
        "billion-word/train=heldout:10+11+12,valid=heldout:13,test=heldout:0,min-count=3"
    )
    assert spelled.data_hash == named.data_hash
    assert spelled.training_hash(0) == named.training_hash(0)


def test_the_real_shards_are_the_official_ones(data: Path) -> None:
    assert LM1B.check() is None
    assert not LM1B.locate().problem
    assert len(lm1b._OFFICIAL) == 5
