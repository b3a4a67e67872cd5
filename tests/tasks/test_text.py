import gzip
import lzma
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from seqmem.errors import InputError
from seqmem.leaderboard.store import record_directory
from seqmem.tasks import FAMILIES, load_task
from seqmem.tasks.text import Text

RNG = np.random.default_rng(3)
WORDS = np.array(["the", "cat", "sat", "on", "a", "mat", "naïve", "…"])
LINES = [" ".join(RNG.choice(WORDS, RNG.integers(0, 12))) for _ in range(400)] + ["rare words"] * 2


def make(rest: object) -> Text:
    task = load_task(f"text:{rest}")
    assert isinstance(task, Text)
    return task


@pytest.fixture
def file(own_data: Path) -> Path:
    path = own_data / "book.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


def parts(tokens: list[str]) -> dict[str, list[str]]:
    cuts = [0, len(tokens) * 90 // 100, len(tokens) * 95 // 100, len(tokens)]
    names = ("train", "valid", "test")
    return {name: tokens[a:b] for name, a, b in zip(names, cuts, cuts[1:], strict=False)}


@pytest.mark.parametrize("unit", ["word", "char"])
def test_against_brute_force(file: Path, unit: str) -> None:
    if unit == "word":
        tokens = [token for line in LINES for token in [*line.split(), "<eos>"]]
    else:
        tokens = list("\n".join(LINES) + "\n")
    expected = parts(tokens)
    counts = Counter(expected["train"])
    least = 3 if unit == "word" else 1
    known = {token for token, n in counts.items() if n >= least}
    for _ in range(2):  # read, then mapped
        task = make(f"{file}?unit={unit}")
        assert set(task.words) == known | {"<unk>"}
        for name, part in expected.items():
            split = task.train(0, 0) if name == "train" else task.split(name)
            seen = [token if token in known else "<unk>" for token in part]
            assert [task.words[i] for i in split.inputs.tolist()] == seen[:-1]
            assert [task.words[i] for i in split.targets.tolist()] == seen[1:]
            assert len(split.starts) == 2
        frequency = Counter(token if token in known else "<unk>" for token in expected["train"])
        frequency["<unk>"] = max(frequency["<unk>"], 1)
        total = sum(frequency.values())
        seen = [token if token in known else "<unk>" for token in expected["test"]]
        chance = np.mean([-np.log(frequency[token] / total) for token in seen[1:]])
        assert task.chance() == pytest.approx(chance, rel=1e-6)
        assert task.loss.score == ("perplexity" if unit == "word" else "loss")


def test_the_id_is_the_path_and_the_hash_that_of_the_content(file: Path) -> None:
    task = make(file)
    assert task.id == f"text:{file}"
    assert task.family == "text"
    before = task.data_hash
    assert record_directory(Path("records"), task.id).parent == Path("records")
    text = file.read_text()
    file.write_text(text.replace("cat", "dog"))  # the same frequencies in the same places
    assert make(file).data_hash != before
    file.write_text(text + text)
    assert make(file).data_hash != before


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_compression_and_line_ends_do_not_matter(file: Path, pack: object) -> None:
    assert callable(pack)
    plain = make(file).data_hash
    ending = ".gz" if pack is gzip.compress else ".xz"
    packed = file.with_name("book.txt" + ending)
    packed.write_bytes(pack(file.read_bytes().replace(b"\n", b"\r\n")))
    assert make(packed).data_hash == plain


def test_a_glob_is_read_in_order_of_names(own_data: Path) -> None:
    for name, lines in (("b.txt", LINES[200:]), ("a.txt", LINES[:200]), ("c.md", LINES)):
        (own_data / name).write_text("\n".join(lines), encoding="utf-8")
    (own_data / "whole").write_text("\n".join(LINES), encoding="utf-8")
    whole = make(own_data / "whole").data_hash
    assert make(f"{own_data}/*.txt").data_hash == whole
    assert make(f"{own_data}/?.txt").data_hash == whole  # a glob's question mark, no options
    assert make(f"{own_data}/?.txt?unit=char").unit == "char"


def test_blocks_are_equal_runs(own_data: Path) -> None:
    path = own_data / "long"
    for tokens, runs in ((1_000, 8), (100_000, 19), (1_000_000, 100)):
        path.write_text("a b c d\n" * (tokens // 5))
        split = make(path).split("test")
        sizes = np.bincount(split.blocks.numpy())
        assert len(sizes) == runs
        assert sizes.max() - sizes.min() <= 1


def test_long_words_and_lines(own_data: Path) -> None:
    path, long = own_data / "long", "x" * 1_000_000
    path.write_text("a " * 500_000 + (long + " ") * 3 + "b " * 500_000)
    task = make(path)
    assert len(task.split("test")) == (1_000_004 * 100 // 100) - 1_000_004 * 95 // 100 - 1
    assert task.words[:2] == ("a", "b")
    assert long in task.words


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"a b c\n" * 10, r"too short to split, 40 words .* at least 1,000 \(or use its char"),
        (b"good\n\xff\n", "line 2: not UTF-8"),
    ],
)
def test_a_bad_file_is_named(own_data: Path, content: bytes, problem: str) -> None:
    path = own_data / "own.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"own\.txt.*{problem}"):
        make(path).split("test")


@pytest.mark.parametrize("name", ["own.txt.gz", "own.txt.xz"])
def test_a_truncated_file_is_named(own_data: Path, name: str) -> None:
    content = "\n".join(LINES).encode()
    packed = gzip.compress(content) if name.endswith("gz") else lzma.compress(content)
    (own_data / name).write_bytes(packed[:-30])
    with pytest.raises(InputError, match=rf"{name}, line \d+: the file is truncated"):
        make(own_data / name).split("test")


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ("", "no file is named"),
        ("gone.txt", r"gone\.txt: there is no such file"),
        ("gone*.txt", r"gone\*\.txt matches no file"),
        ("a.txt?unit=byte", "unit=byte: the unit is word or char"),
        ("a.txt?size=3", "unknown parameter 'size'; this family has unit, min-count"),
        ("a.txt?unit=char&unit=word", "is given twice"),
        ("a.txt?min-count=x", "min-count=x is not a whole number"),
    ],
)
def test_a_wrong_id(own_data: Path, rest: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        make(rest).split("test")


def test_a_text_is_named_after_a_colon() -> None:
    with pytest.raises(InputError, match="path of your own files follows a colon, text:FILE"):
        load_task("text")
    with pytest.raises(InputError, match="path of your own files follows a colon, text:FILE"):
        load_task("text/unit=char")
    assert FAMILIES["text"].user_data


def test_a_real_book(data: Path) -> None:
    task = make(f"{data}/books/tiny_shakespeare.txt.xz?unit=char")
    total = 1_115_394
    assert len(task.train(0, 0)) == total * 90 // 100 - 1
    assert task.outputs == 66
