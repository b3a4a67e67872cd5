"""Old records stay readable, and a corrected one stands in for them."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from seqmem.leaderboard.record import SCHEMA, RecordError, from_json, to_json
from seqmem.leaderboard.store import read_records, write_record
from seqmem.tests.records import make_record

GOLDEN = Path(__file__).parent.parent / "golden"


def test_there_is_a_golden_file_of_every_older_schema() -> None:
    for schema in range(1, SCHEMA):
        text = (GOLDEN / f"schema-{schema}.json").read_text(encoding="utf-8")
        old = json.loads(text)
        assert old["schema"] == schema
        record = from_json(text)
        assert record.schema == SCHEMA
        assert record.supersedes is None
        assert [p.loss.mean for p in record.curve] == [p["loss"]["mean"] for p in old["curve"]]
        assert record.training["recipe"] == {**old["training"]["recipe"], "dtype": "float32"}
        assert from_json(to_json(record)) == record


def test_group_sums_are_those_of_the_file() -> None:
    """They are read when they are looked at; nothing tells before or after."""
    text = (GOLDEN / "schema-2.json").read_text(encoding="utf-8")
    record, again = from_json(text), from_json(text)
    for point, plain in zip(record.curve, json.loads(text)["curve"], strict=True):
        assert point.group_sums == tuple(plain["group_sums"])
    assert record == again
    assert not hasattr(record.curve[0], "nothing")


@pytest.mark.parametrize("sums", ["1.5", "", '"a", 2', "[1], 2", "null, 1", "1, 2, 3"])
def test_group_sums_that_are_none_are_refused(sums: str) -> None:
    text = to_json(make_record({1: 0.5}))
    assert '"group_sums": [20.0, 30.0]' in text
    with pytest.raises(RecordError):
        from_json(text.replace("[20.0, 30.0]", f"[{sums}]"))


def test_broken_numbers_are_no_json() -> None:
    with pytest.raises(RecordError, match="not JSON"):
        from_json(to_json(make_record({1: 0.5})).replace("20.0, 30.0", "1..2, 3"))


@pytest.mark.parametrize("by", ["name", "sha256"])
def test_a_correction_stands_in_for_the_older_record(tmp_path: Path, by: str) -> None:
    old = write_record(make_record({1: 0.5}, created="2026-01-01"), tmp_path, "old")
    other = write_record(make_record({1: 0.7}, seed=1), tmp_path, "other")
    reference = old.name if by == "name" else hashlib.sha256(old.read_bytes()).hexdigest()
    new = replace(make_record({1: 0.4}, created="2026-01-02", version=2), supersedes=reference)
    path = write_record(new, tmp_path, "new")
    records, problems = read_records([tmp_path])
    assert (records, problems) == ([new, from_json(other.read_text())], [])
    # One that is superseded in turn stays out, and so does what it superseded.
    last = replace(make_record({1: 0.3}, created="2026-01-03"), supersedes=path.name)
    write_record(last, tmp_path, "newer")
    records, _ = read_records([tmp_path])
    assert records == [last, from_json(other.read_text())]
    assert old.exists()


def test_what_may_not_be_superseded_stays(tmp_path: Path) -> None:
    old = make_record({1: 0.5}, created="2026-01-02")
    elsewhere = make_record({1: 0.5}, task="other", created="2026-01-01")
    early = replace(make_record({1: 0.4}, created="2026-01-01"), supersedes="old.json")
    lost = replace(make_record({1: 0.4}, created="2026-01-03"), supersedes="nowhere.json")
    write_record(old, tmp_path, "old")
    write_record(elsewhere, tmp_path / "other", "old")
    write_record(early, tmp_path, "early")
    write_record(lost, tmp_path, "lost")
    records, problems = read_records([tmp_path])
    assert len(records) == 4
    (problem,) = problems
    assert "early.json: supersedes old.json, which is no older; both are kept" in problem
