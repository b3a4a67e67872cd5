from array import array
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmem.errors import InputError
from seqmem.tasks.data import vocabulary
from seqmem.tasks.data.vocabulary import (
    GrowingIndex,
    as_ids,
    build_vocabulary,
    read_vocabulary,
)

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "d", "<unk>", "é"]), min_size=1, max_size=60)


@given(TEXTS, st.integers(1, 4), st.integers(1, 7))
def test_one_pass_equals_counting_first(text: list[str], minimum: int, chunk: int) -> None:
    counts = Counter(text)
    kept = {word: n for word, n in counts.items() if n >= minimum or word == "<unk>"}
    kept["<unk>"] = kept.get("<unk>", 0) + sum(n for w, n in counts.items() if w not in kept)
    expected = sorted(kept, key=lambda word: (-kept[word], word))

    growing = GrowingIndex()
    ids = as_ids(array("i", map(growing.__getitem__, text)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "CHUNK", chunk)
        words = build_vocabulary(growing, ids, minimum=minimum, unknown=True)
    assert list(words) == expected
    assert [words[i] for i in ids] == [word if word in kept else "<unk>" for word in text]


def test_without_unknown_every_word_is_kept() -> None:
    ids = np.array([0, 1, *[2] * 5], np.int32)
    words = build_vocabulary({"b": 0, "a": 1, "c": 2}, ids)
    assert words == ("c", "a", "b")
    assert ids.tolist() == [2, 1, *[0] * 5]


def test_read_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_text("the\n<unk>\nof\n")
    assert read_vocabulary(path, ("<unk>", "<eos>")) == ("the", "<unk>", "of", "<eos>")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("the\nof 17\n", "line 2: 'of 17' is not one word"),
        ("the\n\nof\n", "line 2: '' is not one word"),
        ("the\nof\nthe\n", "line 3: 'the' is already in line 1"),
        ("", "is empty"),
    ],
)
def test_a_broken_vocabulary_file(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "words"
    path.write_text(content)
    with pytest.raises(InputError, match=problem):
        read_vocabulary(path, ())
