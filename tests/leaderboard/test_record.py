"""Records as JSON: written, read and refused; older schemas stay readable."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmem.leaderboard.record import (
    SCHEMA,
    Context,
    RecordError,
    from_json,
    to_json,
)
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
    """Records compare equal however often they are read."""
    text = (GOLDEN / "schema-2.json").read_text(encoding="utf-8")
    record, again = from_json(text), from_json(text)
    for point, plain in zip(record.curve, json.loads(text)["curve"], strict=True):
        assert point.group_sums == tuple(plain["group_sums"])
    assert record == again
    assert not hasattr(record.curve[0], "nothing")


@pytest.mark.parametrize("sums", ["1.5", "", '"a", 2', "[1], 2", "null, 1", "1, 2, 3"])
def test_invalid_group_sums_are_refused(sums: str) -> None:
    text = to_json(make_record({1: 0.5}))
    assert '"group_sums": [20.0, 30.0]' in text
    with pytest.raises(RecordError):
        from_json(text.replace("[20.0, 30.0]", f"[{sums}]"))


@pytest.mark.parametrize("number", ["1..2", "NaN", "1e999"])
def test_invalid_numbers_are_refused(number: str) -> None:
    text = to_json(replace(make_record({1: 0.5}), validity=None))
    for old, new in (("20.0, 30.0", f"{number}, 3"), ('"validity": null', f'"validity": {number}')):
        assert old in text
        with pytest.raises(RecordError, match="not JSON"):
            from_json(text.replace(old, new))


def test_a_record_that_names_an_older_one_is_read(tmp_path: Path) -> None:
    """Files of schema 3 may contain the name or sha256 of a record that they correct."""
    record = replace(make_record({1: 0.4}), supersedes="old.json")
    assert from_json(to_json(record)) == record
    write_record(make_record({1: 0.5}), tmp_path, "old")
    write_record(record, tmp_path, "new")
    assert len(read_records([tmp_path])[0]) == 2


finite = st.floats(-1e6, 1e6)


@settings(deadline=None)  # slow on a busy machine
@given(st.dictionaries(st.one_of(st.integers(1, 999), st.just("full")), finite, min_size=1))
def test_records_survive_json(losses: dict[Context, float]) -> None:
    record = make_record(losses)
    ascending = sorted(record.curve, key=lambda p: 1000 if p.k == "full" else p.k)
    record = replace(record, curve=tuple(ascending))
    assert from_json(to_json(record)) == record


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.pop("schema"), "no schema version"),
        (lambda d: d.update(schema=SCHEMA + 1), "newer than this version"),
        (lambda d: d.pop("task"), "missing or wrong"),
        (lambda d: d["task"].pop("chance"), "missing or wrong"),
        (lambda d: d["task"].update(surprise=1), "missing or wrong"),
        (lambda d: d["model"].pop("label"), "missing or wrong"),
        (lambda d: d["curve"][0].update(k=0), "missing or wrong"),
        (lambda d: d["curve"][0].update(k="all"), "missing or wrong"),
        (lambda d: d["curve"][0]["loss"].update(mean="low"), "missing or wrong"),
        (lambda d: d.update(curve=3), "missing or wrong"),
        (lambda d: d.update(curve=[]), "not ascending"),
        (lambda d: d.update(curve=d["curve"][::-1]), "not ascending"),
        (lambda d: d.update(measurement={}), "missing or wrong"),
        (lambda d: d["task"].update(chance=None), "task.chance = None should be a valid number"),
        (lambda d: d["task"].update(id=5), "task.id = 5 should be a valid string"),
        (lambda d: d["curve"][0].update(loss=None), "curve.0.loss = None should be"),
        (lambda d: d["curve"][0].update(k=True), "curve.0.k = True should be a valid integer"),
        (lambda d: d["curve"][0].update(n=-1), "curve.0.n = -1 should be greater than or equal"),
        (lambda d: d["training"].update(state=3), "training.state = 3 should be a valid string"),
        (lambda d: d.update(surprise=1), "unknown field 'surprise'; the fields are suite, "),
    ],
)
def test_other_objects_are_refused(change: object, says: str) -> None:
    data = json.loads(to_json(make_record({1: 0.5, "full": 0.25})))
    change(data)  # type: ignore[operator]
    with pytest.raises(RecordError, match=says):
        from_json(json.dumps(data))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", '"x"', "{}"]
    + [f'{{"schema": {version}}}' for version in ('"1"', "true", "0", "-1", "1.0", "1", "2", "9")],
)
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        from_json(text)


WRONG: tuple[Any, ...] = (None, 0, -1, True, 1e308, "", "x", [], [1], {})


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_a_wrong_field_of_any_schema_is_refused_or_read(schema: int) -> None:
    """Whatever a field holds, there is no other error."""
    golden = (GOLDEN / f"schema-{min(schema, SCHEMA - 1)}.json").read_text(encoding="utf-8")
    text = golden if schema < SCHEMA else to_json(from_json(golden))
    refused = 0
    for path in _paths(json.loads(text)):
        for value in WRONG:
            data: Any = json.loads(text)
            part = data
            for key in path[:-1]:
                part = part[key]
            part[path[-1]] = value
            try:
                from_json(json.dumps(data))
            except RecordError:
                refused += 1
    assert refused > 100


def _paths(part: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the places in nested fields; of lists, the first two items."""
    few = part[:2] if isinstance(part, list) else []
    for key, value in part.items() if isinstance(part, dict) else enumerate(few):
        yield (key,)
        yield from ((key, *rest) for rest in _paths(value))


def test_infinities_are_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(make_record({1: math.inf}))
