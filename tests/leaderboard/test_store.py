"""Record files: never overwritten, and broken ones are named."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest

from seqmem.leaderboard.record import from_json
from seqmem.leaderboard.store import find_record, read_records, record_directory, write_record
from seqmem.tests.records import make_record


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    first, second = make_record({1: 0.5}), make_record({1: 0.4}, created="2026-02-01")
    paths = [write_record(record, tmp_path, "cell") for record in (first, second, first)]
    assert [path.name for path in paths] == ["cell.json", "cell.2.json", "cell.3.json"]
    assert from_json(paths[0].read_text()) == first
    assert find_record(tmp_path, "cell") == second  # the latest
    assert find_record(tmp_path, "cel") is None


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    records = [make_record({1: float(i)}) for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda record: write_record(record, tmp_path, "cell"), records))
    assert len(set(paths)) == 40
    read, problems = read_records([tmp_path])
    assert not problems
    assert sorted(r.curve[0].loss.mean for r in read) == list(range(40))
    assert len(os.listdir(tmp_path)) == 40


def test_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_record(make_record({1: 0.5}), tmp_path, "cell")
    assert list(tmp_path.iterdir()) == []


def test_broken_files_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    good = write_record(make_record({1: 0.5}), tmp_path / "sub", "good")
    (tmp_path / "cut.json").write_text(good.read_text()[:100])
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    (tmp_path / "notes.txt").write_text("not looked at")
    records, problems = read_records([tmp_path])
    assert len(records) == 1
    assert sorted(Path(p.partition(": ")[0]).name for p in problems) == ["bytes.json", "cut.json"]


def test_task_folders_are_plain_names(tmp_path: Path) -> None:
    assert record_directory(tmp_path, "copy-memory/T=3-9") == tmp_path / "copy-memory_T=3-9"
    assert record_directory(tmp_path, "text:data/book.txt") == tmp_path / "text_data_book.txt"
    assert record_directory(tmp_path, "../../etc").parent == tmp_path
    assert record_directory(tmp_path, "..").name not in ("..", ".", "")


def test_every_task_has_a_folder_of_its_own_with_a_short_name(tmp_path: Path) -> None:
    ids = [
        *("text:文", "text:語", "text:a b", "text:a/b", "text:a_b", "text:a:b", "text/a/b"),
        *(
            "text:a",
            "text/a",
            "text:é",
            "text:\udce9",
            "..",
            "../..",
            "text:a__b",
            "text:a?unit=char",
        ),
        *(f"text:{'folder/' * 60}{name}" for name in "ab"),
    ]
    ids += ["text:A", "text:a/B", "text:Text.txt", "text:text.txt"]  # some systems ignore case
    names = {record_directory(tmp_path, task_id).name.lower() for task_id in ids}
    assert len(names) == len(ids)
    assert all(len(name) <= 100 and name.isascii() for name in names)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def link(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.link", link)
    test_nothing_is_overwritten(tmp_path / "one")
    test_many_writers_lose_nothing(tmp_path / "many")

    def replace(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.replace", replace)
    with pytest.raises(OSError, match="Input/output"):
        write_record(make_record({1: 0.5}), tmp_path / "failed", "cell")
    assert list((tmp_path / "failed").iterdir()) == []


def test_a_writer_that_is_killed_leaves_no_record_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no moment there is an empty file with the name of a record, or a name taken for good."""
    monkeypatch.setattr("os.link", Mock(side_effect=OSError(errno.EPERM, "no links")))
    folder = tmp_path / "records"
    monkeypatch.setattr("os.replace", lambda *_: os._exit(9))
    if (child := os.fork()) == 0:
        write_record(make_record({1: 0.5}), folder, "cell")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert len(left := os.listdir(folder)) == 2
    assert all(name.endswith(".tmp") for name in left)
    assert read_records([folder]) == ([], [])
    monkeypatch.undo()
    path = write_record(make_record({1: 0.5}), folder, "cell")
    assert os.listdir(folder) == [path.name] == ["cell.json"]


def test_a_temporary_file_that_is_removed_by_another_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a machine that shares the folder and not its locks."""
    usual, tries = os.fsync, []

    def removed(handle: int) -> None:
        usual(handle)
        tries.append(handle)
        if len(tries) == 1:
            for path in tmp_path.glob("*.tmp"):
                path.unlink()

    monkeypatch.setattr("os.fsync", removed)
    path = write_record(make_record({1: 0.5}), tmp_path, "cell")
    assert from_json(path.read_text()) == make_record({1: 0.5})
    assert len(tries) == 2
    assert os.listdir(tmp_path) == ["cell.json"]


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    good = write_record(make_record({1: 0.5}), tmp_path, "good")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "link.json").symlink_to(good)
    records, problems = read_records([tmp_path])
    assert len(records) == 2  # the file, and the link to it
    assert len(problems) == 4
    assert sum("not a regular file" in problem for problem in problems) == 3
    assert find_record(tmp_path, "pipe") is None
