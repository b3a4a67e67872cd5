"""Translation: pairs as sequences, their splits and their vocabulary, against brute force."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from seqmem.errors import InputError, NotApplicableError
from seqmem.submissions.hugging_face.word_text import language_task
from seqmem.submissions.safetensors_file import load_baseline
from seqmem.tasks import every_id, family_of, load_task
from seqmem.tasks.data import translation_files
from seqmem.tasks.data.translation_files import MULTI30K
from seqmem.tasks.translation import Translation
from seqmem.tasks.translation_cuts import ids_with_sources
from seqmem.testing import check_chance, check_task
from seqmem.tests.command import Command

RNG = np.random.default_rng(5)
SOURCE = np.array(["casa", "perro", "gato", "y", "el", "no"])
TARGET = np.array(["house", "dog", "cat", "and", "the", "not", "don't", "well-known"])


def sentence(words: np.ndarray, end: str) -> str:
    return " ".join(RNG.choice(words, RNG.integers(1, 9))) + end


# The last word of each is its own, so that no two pairs are alike.
PAIRS = [(sentence(SOURCE, f" n{i}."), sentence(TARGET, f", n{i}")) for i in range(237)]


def write(path: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{one}\t{two}\n" for one, two in pairs), encoding="utf-8")
    return path


def make(rest: object) -> Translation:
    task = load_task(f"translation:{rest}")
    assert isinstance(task, Translation)
    return task


def tokens(text: str) -> list[str]:
    """Split the marks of PAIRS off."""
    return text.replace(".", " .").replace(",", " ,").split()


def sequences(task: Translation, name: str) -> list[tuple[list[str], list[tuple[int, str]]]]:
    """Return of each pair the inputs, and the targets with their places."""
    split = task.train(0, 0) if name == "train" else task.split(name)  # type: ignore[arg-type]
    found = []
    for begin, end in zip(split.starts[:-1].tolist(), split.starts[1:].tolist(), strict=True):
        inputs = [task.words[i] for i in split.inputs[begin:end].tolist()]
        targets = [
            (position - begin, task.words[target])
            for position, target in zip(
                split.positions.tolist(), split.targets.tolist(), strict=True
            )
            if begin <= position < end
        ]
        found.append((inputs, targets))
    return found


@pytest.mark.parametrize("unit", ["word", "char"])
def test_against_brute_force(own_data: Path, unit: str) -> None:
    file = write(own_data / "pairs.tsv", PAIRS)
    cut = tokens if unit == "word" else list
    sides = [(cut(one), cut(two)) for one, two in PAIRS]
    parts = {"train": sides[:213], "valid": sides[213:225], "test": sides[225:]}
    counts = Counter(word for pair in parts["train"] for side in pair for word in side)
    known = {word for word, n in counts.items() if n >= (3 if unit == "word" else 1)}

    def seen(words: list[str]) -> list[str]:
        return [word if word in known else "<unk>" for word in words]

    for _ in range(2):  # read, then mapped
        task = make(f"{file}?unit={unit}")
        assert set(task.words) == known | {"<sep>", "</s>", "<unk>"}
        for name, part in parts.items():
            assert sequences(task, name) == [
                (
                    [*seen(one), "<sep>", *seen(two)],
                    list(enumerate([*seen(two), "</s>"], start=len(one))),
                )
                for one, two in part
            ]
        # Chance is of the targets alone; words that are none of them count once.
        targets = Counter(w for _, two in parts["train"] for w in [*seen(two), "</s>"])
        frequency = {word: max(targets[word], 1) for word in task.words}
        scored = [w for _, two in parts["test"] for w in [*seen(two), "</s>"]]
        total = sum(frequency.values())
        chance = -sum(math.log(frequency[word] / total) for word in scored) / len(scored)
        assert task.chance() == pytest.approx(chance, rel=1e-6)


def test_names_of_tokens_in_a_text_are_no_tokens(own_data: Path) -> None:
    named = [(f"{one} <sep> </s>", f"{two} </s> <sep> </s>") for one, two in PAIRS]
    for unit in ("word", "char", "bpe&pieces=400"):
        task = make(f"{write(own_data / 'pairs.tsv', named)}?unit={unit}")
        assert len(sequences(task, "test")) == 12
        check_task(task)


def test_contract_and_chance_on_own_pairs(own_data: Path) -> None:
    task = make(write(own_data / "pairs.tsv", PAIRS))
    check_task(task)
    check_chance(task, (1, 8, "full"))
    assert task.loss.score == "perplexity"
    assert len(set(task.split("test").blocks.tolist())) == 8


def test_two_files_are_the_pairs_of_their_lines(own_data: Path) -> None:
    one = make(write(own_data / "pairs.tsv", PAIRS))
    for i, name in enumerate(("a.es", "a.en")):
        text = "\n".join(pair[i] for pair in PAIRS)
        (own_data / name).write_text(text, encoding="utf-8")
    two = make(f"{own_data}/a.es+{own_data}/a.en")
    assert two.data_hash == one.data_hash
    assert two.train(0, 0).fingerprint() == one.train(0, 0).fingerprint()
    assert family_of(two.id) == "translation"
    assert every_id(f"translation:{own_data}/a|b.tsv") == [f"translation:{own_data}/a|b.tsv"]


def test_pieces_join_to_the_text_and_are_learned_from_training_pairs_alone(own_data: Path) -> None:
    pytest.importorskip("tokenizers", reason="byte-pair encoding needs the hf extra")
    file = write(own_data / "pairs.tsv", PAIRS)
    task = make(f"{file}?unit=bpe&pieces=300")
    for (inputs, _), (one, two) in zip(sequences(task, "train"), PAIRS, strict=False):
        text = "".join(inputs).replace("Ġ", " ").strip().replace("<sep> ", "\t")
        assert text == f"{one}\t{two}"
    words = task.words
    changed = [*PAIRS[:225], *((one, two + " zzzz zzzz zzzz") for one, two in PAIRS[225:])]
    write(file, changed)
    assert make(f"{file}?unit=bpe&pieces=300").words == words
    assert len(make(f"{file}?unit=bpe&pieces=330").words) > len(words)


GOOD = PAIRS[:150]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([*GOOD[:7], ("no tab",)], "line 8: has no tab"),
        ([*GOOD[:7], ("a", "b", "c")], "line 8: has 2 tabs"),
        ([*GOOD[:2], (" ", "b")], "line 3: the source is empty"),
        ([*GOOD[:2], ("a", "")], "line 3: the target is empty"),
        ([*GOOD[:4], ("a", "b " * 10_000)], "line 5: the target has 10,000 words, more than 1,000"),
        (GOOD[:99], "too short to split, 99 pairs"),
        ([*GOOD, GOOD[3]], "line 151: the pair of the test split is also in the train split"),
        (
            [*GOOD, (GOOD[3][0].replace(" ", "  "), GOOD[3][1])],  # of the same tokens
            "line 151: the pair of the test split is also in the train split",
        ),
    ],
)
def test_bad_pairs_are_one_line(
    own_data: Path, lines: Sequence[tuple[str, ...]], says: str
) -> None:
    file = own_data / "pairs.tsv"
    file.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(InputError, match=says.replace(".", r"\.")) as caught:
        make(file).split("test")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "no file is named"),
        ("a.tsv?unit=line", "the unit is word, char or bpe"),
        ("a.tsv?pieces=900", "unknown parameter 'pieces'"),
        ("a.tsv?unit=bpe&pieces=10", "pieces=10 is out of range"),
        ("a.tsv?min-count=0", "min-count=0 is out of range"),
        ("gone.tsv", "there is no such file"),
        ("gone.es+gone.en", "there is no such file"),
    ],
)
@pytest.mark.usefixtures("own_data")
def test_wrong_ids_are_one_line(given: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        make(given).split("test")


def test_one_of_several_files_is_not_taken_silently(own_data: Path) -> None:
    for name in ("a.es", "a.en", "b.es", "b.en"):
        (own_data / name).write_text("x\n" * 150, encoding="utf-8")
    for pattern in ("*.es+*.en", "a.es+*.en", "*.es"):
        with pytest.raises(InputError, match="matches 2 files; name one"):
            make(f"{own_data}/{pattern}".replace("+", f"+{own_data}/")).split("test")


def test_files_of_different_lengths_are_refused(own_data: Path) -> None:
    for name, lines in (("a.es", 150), ("a.en", 149)):
        (own_data / name).write_text("x\n" * lines, encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.en ends before line 150"):
        make(f"{own_data}/a.es+{own_data}/a.en").split("test")


def test_an_altered_published_text_is_refused(own_data: Path) -> None:
    (own_data / "translation").mkdir()
    for split in ("train", "valid", "test"):
        write(own_data / "translation" / f"bible-es-en.{split}.tsv", PAIRS)
    with pytest.raises(InputError, match="237 pairs, expected 28,570"):
        load_task("translation/bible-es-en").split("test")
    with pytest.raises(InputError, match="bible-es-en"):
        load_task("translation/bible-es-fr")
    assert load_task("translation/bible-es-en,unit=char").longest_context == 512
    with pytest.raises(InputError, match="the unit is word, char or bpe"):
        load_task("translation/bible-es-en,unit=line")


def test_a_published_text_of_two_files(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own_data / "multi30k-de-en"
    folder.mkdir()
    parts = {"train": PAIRS[:200], "val": PAIRS[200:210], "test_2016_flickr": PAIRS[210:]}
    for name, pairs in parts.items():
        for side, lines in zip(("de", "en"), zip(*pairs, strict=True), strict=True):
            (folder / f"{name}.{side}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"train\.de and .*train\.en: 200 pairs, expected 29,000"):
        load_task("translation/multi30k-de-en").split("test")
    counts = {split: {"pairs": n} for split, n in (("train", 200), ("valid", 10), ("test", 27))}
    monkeypatch.setattr(translation_files, "expected_content", lambda _: {MULTI30K.name: counts})
    task = load_task("translation/multi30k-de-en")
    assert isinstance(task, Translation)
    assert [len(task.split(name).starts) - 1 for name in ("valid", "test")] == [10, 27]
    read = [[word for _, word in targets[:-1]] for _, targets in sequences(task, "test")]
    assert [len(words) for words in read] == [
        len(tokens(two)) for _, two in parts["test_2016_flickr"]
    ]
    assert MULTI30K.locate().problem == ""
    (folder / "val.en").unlink()
    with pytest.raises(InputError, match=r"val\.en is not in .*seqmem data fetch multi30k-de-en"):
        MULTI30K.find()


def test_a_model_with_a_tokenizer_is_refused(own_data: Path) -> None:
    with pytest.raises(NotApplicableError, match="is not a text"):
        language_task(make(write(own_data / "pairs.tsv", PAIRS)))


def views(task: Translation) -> list[tuple[list[str], list[tuple[int, str]]]]:
    """Return the sequences of the test split, a list of words and its targets with their places."""
    return sequences(task, "test")


@pytest.mark.parametrize(
    ("source", "target"),
    [(0, None), (3, None), (100, None), (None, 0), (None, 2), (0, 0), (3, 4), (1, 100), (100, 1)],
)
def test_cuts_against_brute_force(own_data: Path, source: int | None, target: int | None) -> None:
    file = write(own_data / "pairs.tsv", PAIRS)
    whole = make(f"{file}?unit=word")
    cuts = [f"{name}={n}" for name, n in (("source", source), ("target", target)) if n is not None]
    task = make("&".join([f"{file}?unit=word", *cuts]))
    assert task.id == "&".join([whole.id, *cuts])
    expected = []
    for inputs, targets in views(whole):
        end = inputs.index("<sep>")
        kept = inputs[:end] if source is None else inputs[:end][max(end - source, 0) :]
        if target is None:
            first = len(kept) - end
            expected.append((kept + inputs[end:], [(at + first, word) for at, word in targets]))
            continue
        for at, word in targets:
            before = inputs[end + 1 : at + 1]
            seen = [*kept, "<sep>", *before[max(len(before) - target, 0) :]]
            expected.append((seen, [(len(seen) - 1, word)]))
    assert views(task) == expected
    check_task(task)
    assert task.trained_on.id == whole.id
    assert task.train(0, 0).fingerprint() == whole.train(0, 0).fingerprint()
    assert task.split("valid").fingerprint() == whole.split("valid").fingerprint()
    assert task.chance() == whole.chance()
    assert (task.data_hash == whole.data_hash) == (source in (None, 100) and target is None)
    before_each = [
        each.of.tolist()
        for one in (task, whole)
        for each in one.strata()
        if each.by == "target words before"
    ]
    assert before_each[0] == before_each[1]  # in the text, in view or not


def test_training_is_cut_too(own_data: Path) -> None:
    file = write(own_data / "pairs.tsv", PAIRS)
    cut, whole = make(f"{file}?source=2&train=cut"), make(file)
    assert cut.id == f"translation:{file}?source=2&train=cut"
    assert cut.trained_on is cut
    for name in ("train", "valid", "test"):
        expected = []
        for inputs, targets in sequences(whole, name):
            left_out = max(inputs.index("<sep>") - 2, 0)
            expected.append((inputs[left_out:], [(at - left_out, word) for at, word in targets]))
        assert sequences(cut, name) == expected
    tested = make(f"{file}?source=2").split("test")
    assert cut.split("test").fingerprint() == tested.fingerprint()  # compared target by target
    assert cut.chance() == whole.chance()
    check_task(cut)
    for wrong in ("train=all&source=2", "train=cut", "source=2&target=1&train=cut"):
        with pytest.raises(InputError, match=r"train=(all: write train=cut|cut cuts sources)"):
            make(f"{file}?{wrong}")


def test_ids_of_cuts(own_data: Path) -> None:
    file = write(own_data / "pairs.tsv", PAIRS)
    assert make(f"{file}?target=2&source=3").id == f"translation:{file}?source=3&target=2"
    assert make(f"{file}?source=3&unit=char").trained_on.id == f"translation:{file}?unit=char"
    assert make(f"{file}?source=3&target=2").longest_context == 6
    both = ("translation/bible-es-en", "translation/bible-es-en,unit=char", f"translation:{file}")
    assert ids_with_sources(both, (0, 4, 4)) == (
        "translation/bible-es-en,source=0",
        "translation/bible-es-en,source=4",
        "translation/bible-es-en,unit=char,source=0",
        "translation/bible-es-en,unit=char,source=4",
        f"translation:{file}?source=0",
        f"translation:{file}?source=4",
    )
    assert load_task("translation/bible-es-en,source=4").trained_on.id == "translation/bible-es-en"
    with pytest.raises(InputError, match="source=-1 is not a whole number"):
        make(f"{file}?source=-1")
    with pytest.raises(InputError, match="--k-source 2: wikitext-2 has no source side"):
        ids_with_sources(["wikitext-2"], [2])
    with pytest.raises(InputError, match="--k-source 2: no translation is named"):
        ids_with_sources([], [2])


def test_sources_are_cut_from_the_command_line(seqmem_: Command, own_data: Path) -> None:
    """One training serves all cuts, of a model that knows of sources and of one that does not."""
    file = write(own_data / "pairs.tsv", PAIRS)
    task = ["--task", f"translation:{file}", "--budget", "smoke", "--set", "steps=2"]
    ran = seqmem_("eval", "seq2seq", "lstm", *task, "--k-source", "0", "--k-source", "2")
    assert ran.status == 0, ran.err
    assert ran.err.count("trained for 2 steps") == 2
    for cut in ("source=0", "source=2"):
        assert f"translation:{file}?{cut}" in ran.out
    for weights in Path("results").rglob("weights.safetensors"):  # both read the separator
        model, made = load_baseline(weights)
        assert made.architecture.inputs == make(file).inputs
        assert made.task == f"translation:{file}"
        assert model(torch.tensor([[0, 1]])).isfinite().all()
    wrong = seqmem_("eval", "lstm", "--task", "adding-problem/T=5", "--k-source", "2")
    assert wrong.status == 2
    assert "adding-problem/T=5 has no source side" in wrong.err
    refused = seqmem_("eval", "seq2seq", "--task", "adding-problem/T=5")
    assert refused.status == 2
    assert "seq2seq translates a source, and adding-problem/T=5 has none" in refused.err
