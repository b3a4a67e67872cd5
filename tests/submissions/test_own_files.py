"""Code is known by the files that it reads in its folder, and by no others."""

import os
import sys
from pathlib import Path

import pytest

from seqmem.submissions.own_files import files_sha256, inside, read_inside
from seqmem.submissions.python_factory import load_callable, parse_factory

CODE = """
import pathlib
import beside_of_it

def build():
    here = pathlib.Path(__file__).parent
    with open(here / "weights.bin", "rb") as file:
        return file.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(CODE)
    (tmp_path / "beside_of_it.py").write_text("import os\n")
    (tmp_path / "weights.bin").write_bytes(b"1")
    (tmp_path / "train.log").write_text("epoch 1")
    os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.txt", os.O_CREAT))  # not UTF-8
    return tmp_path.resolve()


def read(folder: Path) -> list[Path]:
    with read_inside([folder]) as found:
        build = load_callable(parse_factory(f"{folder}/net.py:build"))
        build()
    return found


def test_what_is_imported_and_opened_counts(folder: Path) -> None:
    names = ["beside_of_it.py", "net.py", "weights.bin"]
    assert [path.name for path in read(folder)] == names
    # Neither is imported anew the second time, and one may have been compiled before.
    assert [path.name for path in read(folder)] == names
    del sys.modules["beside_of_it"]


def test_the_hash_follows_these_files_only(folder: Path) -> None:
    def now() -> str:
        return files_sha256(read(folder), [folder])

    first = now()
    (folder / "train.log").write_text("epoch 2")
    assert now() == first
    (folder / "weights.bin").write_bytes(b"2")
    second = now()
    assert second != first
    (folder / "beside_of_it.py").write_text("import sys\n")
    assert now() not in (first, second)
    del sys.modules["beside_of_it"]


def test_nothing_outside_counts(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "secret"
    other.write_text("")
    (folder / "link").symlink_to(other)
    (folder / "loop").symlink_to("loop")
    names = [
        str(other),
        f"{folder}/link",
        f"{folder}/loop",
        f"{folder}/../x",
        "",
        "\0",
        "/dev/zero",
    ]
    assert inside(names, [folder]) == []
    assert inside([f"{folder}/net.py", f"{folder}/./net.py"], [folder]) == [folder / "net.py"]


def test_names_that_are_not_utf8_are_hashed(folder: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt"))
    assert files_sha256([odd], [folder]) != files_sha256([folder / "train.log"], [folder])
