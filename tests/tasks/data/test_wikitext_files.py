"""WikiText files: read, checked, cached; from a folder or from the hub."""

import gzip
import hashlib
import lzma
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seqmem.errors import InputError
from seqmem.tasks.data import wikitext_files as corpora
from seqmem.tasks.data.sources import Facts
from seqmem.tasks.data.wikitext_files import (
    Corpus,
    CorpusSource,
    load_corpus,
)

TEXTS = {
    "train": " \n = A = \n \n the cat <unk> the \n = = Sub = = \n \n = B = \n \n the the cat \n",
    "valid": " \n = A = \n \n cat \n",
    "test": " \n = B = \n \n the <unk> \n \n = A = \n \n the \n",
}


def expected(text: str, *, ordered: bool = True) -> Facts:
    lines = [" ".join(line.split()) + "\n" for line in text.splitlines()]
    each = [hashlib.sha256(line.encode()).digest() for line in lines]
    counts = {"lines": len(lines), "tokens": sum(len(line.split()) + 1 for line in lines)}
    if ordered:
        return {**counts, "sha256": hashlib.sha256("".join(lines).encode()).hexdigest()}
    total = sum(int.from_bytes(digest, "big") for digest in each) % 2**256
    return {**counts, "sha256_in_any_order": f"{total:064x}"}


TINY = CorpusSource(
    name="tiny",
    title="a tiny corpus",
    licence="none",
    hub=("nobody/nothing", "tiny-v1"),
    splits={name: expected(text, ordered=name != "train") for name, text in TEXTS.items()},
    vocabulary=8,
)


def put(directory: Path, texts: dict[str, str] = TEXTS, name: str = "{}.txt") -> Path:
    folder = directory / "tiny"
    folder.mkdir(exist_ok=True)
    for split, text in texts.items():
        content = text.encode()
        path = folder / name.format(split)
        if path.suffix == ".gz":
            content = gzip.compress(content)
        elif path.suffix == ".xz":
            content = lzma.compress(content)
        path.write_bytes(content)
    return folder


def words(corpus: Corpus, split: str) -> list[str]:
    return [corpus.words[i] for i in corpus.ids[split]]


def tokens(text: str) -> list[str]:
    return [word for line in text.splitlines() for word in [*line.split(), "<eos>"]]


@pytest.mark.parametrize("name", ["{}.txt", "{}.txt.xz", "{}.txt.gz", "wiki.{}.tokens"])
def test_a_corpus_is_read_under_every_file_name(own_data: Path, name: str) -> None:
    put(own_data, name=name)
    for _ in range(2):  # read, then mapped
        corpus = load_corpus(TINY)
        assert {split: words(corpus, split) for split in TEXTS} == {
            split: tokens(text) for split, text in TEXTS.items()
        }
        assert {split: at.tolist() for split, at in corpus.articles.items()} == {
            "train": [0, 18],
            "valid": [0],
            "test": [0, 10],
        }
    assert isinstance(corpus.ids["train"], np.memmap)


def test_the_most_frequent_word_comes_first(own_data: Path) -> None:
    put(own_data)
    corpus = load_corpus(TINY)
    counts = np.bincount(corpus.ids["train"]).tolist()
    order = sorted(range(len(counts)), key=lambda i: (-counts[i], corpus.words[i]))
    assert order == list(range(TINY.vocabulary))


def test_windows_line_ends_have_the_same_ids(own_data: Path) -> None:
    put(own_data)
    unix = load_corpus(TINY)
    put(own_data, {split: text.replace("\n", "\r\n") for split, text in TEXTS.items()})
    windows = load_corpus(TINY)
    assert windows.words == unix.words
    for split in TEXTS:
        assert np.array_equal(windows.ids[split], unix.ids[split])


def test_articles_of_train_may_be_in_another_order(own_data: Path) -> None:
    lines = TEXTS["train"].splitlines(keepends=True)
    put(own_data, {**TEXTS, "train": "".join(lines[6:] + lines[:6])})
    load_corpus(TINY)


@pytest.mark.parametrize(
    ("split", "text", "problem"),
    [
        ("test", TEXTS["test"][:-8], "tiny, test: 6 lines, expected 8; the file is truncated"),
        ("test", TEXTS["test"].replace("<unk>", "the the"), "test: 18 tokens, expected 17"),
        ("test", TEXTS["test"].replace("<unk>", "cat"), "tiny, test: sha256 of the content is"),
        ("train", TEXTS["train"].replace("cat", "dog", 1), "tiny, train: sha256 of the content is"),
        ("train", "", "tiny, train: 0 lines, expected 9"),
    ],
    ids=["cut off", "a word more", "another word", "another word in train", "empty"],
)
def test_an_altered_file_is_refused(own_data: Path, split: str, text: str, problem: str) -> None:
    put(own_data, {**TEXTS, split: text})
    with pytest.raises(InputError, match=problem):
        load_corpus(TINY)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("test.txt", b"good\nbad \xff\n", r"test\.txt, line 2: not UTF-8 \(byte 0xff"),
        ("test.txt.xz", lzma.compress(b"a b c\n" * 99)[:-15], r"test\.txt\.xz, line \d+: the file"),
        ("test.txt.gz", gzip.compress(b"a b c\n" * 99)[:-9], r"test\.txt\.gz, line \d+: the file"),
        ("test.txt.gz", b"not compressed\n", r"test\.txt\.gz, line 1: the file is truncated"),
    ],
    ids=["not UTF-8", "cut-off xz", "cut-off gz", "not gz"],
)
def test_a_damaged_file_is_named(own_data: Path, name: str, content: bytes, problem: str) -> None:
    folder = put(own_data, {split: TEXTS[split] for split in ("train", "valid")})
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=problem):
        load_corpus(TINY)


def test_another_vocabulary_is_refused(own_data: Path) -> None:
    put(own_data)
    with pytest.raises(InputError, match="8 distinct tokens, expected 9"):
        load_corpus(replace(TINY, vocabulary=9))


def test_words_outside_the_vocabulary_are_refused(own_data: Path) -> None:
    texts = {**TEXTS, "test": " dogs \n"}
    put(own_data, texts)
    source = replace(TINY, splits={**TINY.splits, "test": expected(texts["test"])})
    with pytest.raises(InputError, match="tiny, test: 'dogs' is not in the vocabulary"):
        load_corpus(source)


def test_the_error_for_a_missing_split_says_what_to_do(own_data: Path) -> None:
    put(own_data, {split: TEXTS[split] for split in ("valid", "test")})
    with pytest.raises(InputError, match=r"train\.txt or wiki\.train\.tokens .* is not in .*/tiny"):
        load_corpus(TINY)
    source = replace(TINY, without_train=("tiny/vocabulary=valid",))
    with pytest.raises(InputError, match="without it only tiny/vocabulary=valid can be measured"):
        source.find(own_data / "tiny", source.splits)
    assert source.locate().files is not None
    assert "train.txt" in source.locate().problem
    assert source.check() == "no training split; only tiny/vocabulary=valid can be measured"
    assert TINY.locate().files is None


def test_a_vocabulary_from_valid_or_a_file(own_data: Path, tmp_path: Path) -> None:
    put(own_data, {split: TEXTS[split] for split in ("valid", "test")})
    corpus = load_corpus(TINY, "valid")
    assert set(corpus.words) == {"<eos>", "=", "A", "cat", "<unk>"}
    known = [word if word in corpus.words else "<unk>" for word in tokens(TEXTS["test"])]
    assert words(corpus, "test") == known
    (tmp_path / "words.txt").write_text("the\nB\n")
    corpus = load_corpus(TINY, tmp_path / "words.txt")
    assert corpus.words == ("the", "B", "<unk>", "<eos>")
    assert words(corpus, "valid") == ["<eos>", *["<unk>"] * 3, "<eos>", "<eos>", "<unk>", "<eos>"]


def test_rows_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the layout of a hub repository replaces the hub."""
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "README.md").write_text(
        "---\nconfigs:\n- config_name: tiny-v1\n  data_files:\n"
        "  - {split: train, path: train.txt}\n  - {split: validation, path: valid.txt}\n"
        "  - {split: test, path: test.txt}\n---\n"
    )
    for split, text in TEXTS.items():
        (repository / f"{split}.txt").write_text(text)
    monkeypatch.delenv("SEQMEM_DATA", raising=False)
    monkeypatch.setenv("SEQMEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hub")
    source = replace(TINY, hub=(str(repository), "tiny-v1"))
    corpus = load_corpus(source)
    assert words(corpus, "test") == tokens(TEXTS["test"])
    monkeypatch.setattr(corpora, "_encode", None)  # from here on only the cache is read
    assert words(load_corpus(source), "test") == tokens(TEXTS["test"])


def test_an_unreachable_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEQMEM_DATA", raising=False)
    source = replace(TINY, hub=(str(tmp_path / "gone"), "tiny-v1"))
    with pytest.raises(InputError, match=r"cannot be loaded from the hub: .*--data-dir"):
        load_corpus(source)


LOAD = """
import sys
from seqmem.tasks.data.wikitext_files import load_corpus
from seqmem.tests.tasks.data.test_wikitext_files import TINY

print("ready", flush=True)
sys.stdin.readline()  # both begin at once
print(load_corpus(TINY).ids["test"].tolist())
"""


def test_two_processes_at_once(own_data: Path) -> None:
    put(own_data)
    command = [sys.executable, "-c", LOAD]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    expected = f"{load_corpus(TINY).ids['test'].tolist()}\n"
    assert [process.communicate(timeout=60)[0] for process in both] == [expected] * 2
    assert len(os.listdir(os.environ["SEQMEM_CACHE"])) == 1
