"""The words behind <unk>: read from the files again, and how many there are."""

from pathlib import Path

import numpy as np
import pytest

from seqmem.errors import InputError
from seqmem.tasks import load_task
from seqmem.tasks.data.lm1b import Shard
from seqmem.tasks.language import LanguageTask
from seqmem.tasks.original_text import original_text
from seqmem.tasks.unknown_words import check_known_words, unknown_share


def load(task_id: str) -> LanguageTask:
    task = load_task(task_id)
    assert isinstance(task, LanguageTask)
    return task


def spelled(task: LanguageTask) -> tuple[list[str], list[str]]:
    found = original_text(task)
    inputs, targets = ([found.words[i] for i in ids] for ids in (found.inputs, found.targets))
    return inputs, targets


def test_own_text(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = []
    for name in ("a.txt", "b.txt"):
        rows = [[f"w{i}" for i in rng.zipf(1.5, 9)] for _ in range(120)]
        (tmp_path / name).write_text("\n".join(map(" ".join, rows)) + "\n")
        files += [word for row in rows for word in (*row, "<eos>")]
    task = load(f"text:{tmp_path}/*.txt")
    inputs, targets = spelled(task)
    assert [*inputs, targets[-1]] == files[len(files) * 95 // 100 :]
    assert inputs[1:] == targets[:-1]
    known = [word if word in task.words else "<unk>" for word in targets]
    assert known == [task.words[i] for i in task.split("test").targets.tolist()]
    assert unknown_share(task) == known.count("<unk>") / len(known) > 0
    assert original_text(task).share_of("<unk>") == 0
    (tmp_path / "b.txt").write_text((tmp_path / "b.txt").read_text().replace("w", "v"))
    with pytest.raises(InputError, match="its files have changed since"):
        original_text(task)


def test_unk_in_the_file_is_its_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("the <unk> cat\n" * 400)
    task = load(f"text:{tmp_path}/text")
    assert set(spelled(task)[1]) == {"the", "<unk>", "cat", "<eos>"}
    assert original_text(task).share_of("<unk>") == unknown_share(task)
    assert unknown_share(task) == pytest.approx(0.25, rel=0.1)


def test_sentences(own_data: Path) -> None:
    (own_data / "lm1b").mkdir()
    for number, text in enumerate(["the cat\n" * 5, "the dog\n", "the mouse sat\n\ncat\n"], 1):
        (own_data / "lm1b" / Shard("heldout", number).name).write_text(text)
    task = load("billion-word/train=heldout:1,valid=heldout:2,test=heldout:3,min-count=2")
    inputs, targets = spelled(task)
    assert inputs == ["<s>", "the", "mouse", "sat", "<s>", "<s>", "cat"]
    assert targets == ["the", "mouse", "sat", "</s>", "</s>", "cat", "</s>"]
    assert unknown_share(task) == pytest.approx(2 / 7)


def test_a_corpus_with_another_vocabulary(data: Path) -> None:
    task, published = load("wikitext-103/vocabulary=valid"), load("wikitext-2")
    share = unknown_share(task)
    assert share is not None
    assert share > 2 * original_text(task).share_of("<unk>") > 0
    # The two have the same test articles, with other rare words.
    both = zip(spelled(task)[1], spelled(published)[1], strict=True)
    assert all(one == other for one, other in both if "<unk>" not in (one, other))


@pytest.mark.parametrize(
    "words", ["a b c " * 1000 + "x y z " * 100, " ".join(map(str, range(2000)))]
)
def test_a_text_without_known_words_is_refused(words: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text(words)
    with pytest.raises(InputError, match="all that is to be predicted in the test part is <unk>"):
        check_known_words(load(f"text:{path}"))
    check_known_words(load_task("adding-problem/T=5"))
