"""Records from outside: what cannot be true or shown is left out, and no board breaks."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from seqmem.leaderboard import FORMATS
from seqmem.leaderboard.record import Record, RecordError, from_json, to_json
from seqmem.leaderboard.signature import signed
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.store import COMMITTED, read_records, write_record
from seqmem.leaderboard.tables.board_table import board_text
from seqmem.leaderboard.tables.writing import table
from seqmem.tests.records import FAST, SLOW, board_of, make_record, make_trained

# Erases a line of a terminal; reverses what follows; has no width; is another line.
UNPRINTABLE = ("\x1b[2K", "\u202e", "\u200b", "\n", "\x7f", "\x9b", "\u2028")

TEXTS = (
    *("task/id", "task/unit", "model/label", "model/name", "training/budget", "suite/version"),
    *("measurement/rule", "environment/device", "trust", "curve/0/method", "supersedes"),
)

Data = dict[str, Any]


def changed(path: str, value: object) -> Callable[[Data], None]:
    """Return a change of one field of a record; numbers in the path are indices."""

    def change(data: Data) -> None:
        *parents, last = (int(part) if part.isdecimal() else part for part in path.split("/"))
        place: Any = data
        for part in parents:
            place = place[part]
        place[last] = value

    return change


def forged(*changes: Callable[[Data], None], **fields: Any) -> str:
    """Return the text of a record after changes."""
    data: Data = json.loads(to_json(make_trained(FAST, **fields)))
    for change in changes:
        change(data)
    return json.dumps(data)


IN_TWO_MONTHS = (datetime.now(UTC) + timedelta(days=60)).isoformat()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("created", "yesterday"),
        ("created", "20260101"),  # sorts after every date with hyphens
        ("created", "2026-13-01"),
        ("created", "2999-01-01T00:00:00+00:00"),
        pytest.param("created", IN_TWO_MONTHS, id="created in two months"),
        ("trust", "confirmed"),
        ("task/score", "points"),
        ("task/chance", 1e300),
        ("task/id", ""),
        ("curve/0/n", 101),
        ("curve/0/half_width", -0.1),
        ("curve/0/loss/mean", -1e308),
        ("curve/0/loss/standard_error", -1),
        ("curve/0/loss/interval", [1, 0]),
        ("curve/0/loss/interval", [0.7, 0.8]),  # the mean is 0.6
        ("curve/0/loss/mean", 0.6001),  # the groups' sums give 0.6
        ("curve/0/excess/mean", 0.1),  # 0.6 − 0.45
        ("curve/0/n", 99),  # with a half-width of zero
        ("curve/0/accuracy", [1.5, 1, 2]),
        ("curve/0/method", "<b>"),
        ("group_counts", [0] * 10),
        ("group_counts", []),
        ("model/label", "a" * 100),
        ("model/label", ""),
        ("model/label", "optimum"),
        ("model/label", "Chance"),
        ("model/label", "=1+1"),
        ("model/label", "two  spaces"),
        ("model/label", "l\u0455tm"),  # a Cyrillic letter
        ("model/label", "<img src=x>"),
        ("model/certificate", 3),
        ("model/options", 5),
        pytest.param("model/authors", "a" * (1 << 18), id="a book of authors"),
        ("model/certificate", {"rate": "x"}),
        ("training/k_train", "many"),
        ("training/budget", "a" * 100),
        ("training/recipe", 5),
        ("training/seed", 1 << 63),  # no table could hold it
        ("model/parameters", 1 << 63),
        ("measurement/precision", "0"),
        ("measurement/precision", "1000%"),
        ("measurement/precision", "1000"),
        ("measurement/precision", "1e999"),
        ("measurement/precision", [1]),
        ("measurement/plain_passes", "x"),
        ("measurement/failed", 7),
        ("validity", "x"),
        ("validity", {"checks": 5}),
        ("validity", {"checks": [{"name": "a"}]}),
        ("environment", None),
        ("extras", {"a": {"b": 1}}),
    ],
)
def test_what_cannot_be_true_is_left_out(path: str, value: object, tmp_path: Path) -> None:
    write_record(make_trained(SLOW, label="gru"), tmp_path, "good")
    (tmp_path / "forged.json").write_text(forged(changed(path, value)))
    (record,), (problem,) = read_records([tmp_path])
    assert record.model["label"] == "gru"
    assert len(problem.splitlines()) == 1
    assert "forged.json: a field is missing or wrong: " in problem


@pytest.mark.parametrize("sign", UNPRINTABLE)
@pytest.mark.parametrize("path", TEXTS)
def test_texts_are_printable(path: str, sign: str) -> None:
    for ascii_only in (True, False):
        data = json.loads(forged(changed(path, f"a{sign}b")))
        with pytest.raises(RecordError) as caught:
            from_json(json.dumps(data, ensure_ascii=ascii_only))
        assert str(caught.value).isprintable()


def test_names_of_facts_are_printable() -> None:
    with pytest.raises(RecordError, match="cannot be printed"):
        from_json(forged(changed("extras", {"a\x1b": 1})))


def test_other_letters_are_printable() -> None:
    record = from_json(forged(changed("task/id", "text:文.txt"), changed("model/name", 'λ "x"')))
    assert record.task.id == "text:文.txt"


def test_deep_facts_are_left_out() -> None:
    deep: object = 1
    for _ in range(300):
        deep = {"a": deep}
    for path in ("suite", "training/recipe", "model/options"):
        with pytest.raises(RecordError):
            from_json(forged(changed(path, {"a": deep})))


def test_a_date_may_be_a_little_ahead_of_this_clock() -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    assert from_json(forged(changed("created", soon))).created == soon


EXTREME: tuple[Any, ...] = (
    0,
    -1,
    1e15,
    2**63,
    None,
    "x",
    True,
    [],
    {},
    [1],
    {"a": 1},
    "full",
    1e308,
)


@pytest.mark.parametrize("form", FORMATS)
def test_no_field_breaks_a_board(form: Any) -> None:
    """Whatever a field is, the record is refused, or the board is written."""
    good = make_trained(SLOW, label="gru")
    fields = [f"{part}/{name}" for part, names in _fields().items() for name in names]
    read = 0
    for path in [*_fields(), *fields, "curve/0/loss/mean", "curve/0/loss/interval"]:
        for value in EXTREME:
            try:
                record = from_json(forged(changed(path, value)))
            except RecordError:
                continue
            read += 1
            text = board_text(boards([good, record]), form)
            assert "gru" in text
    assert read > 50


def _fields() -> dict[str, list[str]]:
    data = json.loads(forged())
    first = data["curve"][0]
    named = {name: list(value) for name, value in data.items() if isinstance(value, dict)}
    return {**named, "curve/0": list(first), "created": [], "group_counts": [], "gain": []}


def test_huge_group_sums_are_refused() -> None:
    with pytest.raises(RecordError, match="the sums give inf"):
        from_json(forged(changed("curve/0/group_sums", [1e308] * 10)))


def test_chance_and_optimum_are_those_of_most_records(tmp_path: Path) -> None:
    for i in range(2):
        write_record(make_record(FAST, label=f"m{i}"), tmp_path, f"m{i}")
    write_record(make_record(SLOW, label="own-chance", chance=9.0), tmp_path, "a1")
    write_record(make_record(SLOW, label="own-optimum", optimum=-5.0), tmp_path, "a2")
    write_record(make_record(SLOW, label="rounded", chance=1.0 + 1e-12), tmp_path, "a3")
    records, problems = read_records([tmp_path])
    assert {record.model["label"] for record in records} == {"m0", "m1", "rounded"}
    assert any("chance is 9.0, in other records of the task 1.0" in line for line in problems)
    assert any("optimum" in line and "is -5.0" in line for line in problems)


def test_losses_below_the_optimum_are_left_out(tmp_path: Path) -> None:
    """By more than twice the half-width, 0.01; the mean of a test set may be a little below."""
    for label, loss in (("a", 0.29), ("little", 0.285), ("far", 0.279)):
        write_record(make_record({1: loss}, label=label, optimum=0.3), tmp_path, label)
    records, (problem,) = read_records([tmp_path])
    assert [record.model["label"] for record in records] == ["a", "little"]
    assert "far.json: the loss at k = 1 is 0.279, below the optimum 0.3" in problem


def test_committed_records_know_their_tasks(tmp_path: Path) -> None:
    """A record of the same data must agree with them even if it is the only one shown."""
    path = next(COMMITTED.glob("hidden-markov*/*.json"))
    data = json.loads(path.read_text())
    data["task"]["chance"] += 1
    (tmp_path / "alone.json").write_text(json.dumps(data))
    records, (problem,) = read_records([tmp_path])
    assert records == []
    assert "chance is" in problem


def test_committed_records_are_all_read() -> None:
    records, problems = read_records([COMMITTED])
    assert len(records) == len(list(COMMITTED.rglob("*.json")))
    assert problems == []


def named(label: str, sha256: str, **fields: Any) -> Record:
    record = make_trained(FAST, label=label, **fields)
    return replace(record, model={**record.model, "sha256": sha256})


def test_one_model_under_two_names_is_marked() -> None:
    board = board_of(named("a", "1"), named("b", "1"), named("c", "2"))
    for form in ("table", "markdown", "latex"):
        text = board_text([board], form)
        assert "under several names" in text
    assert "by its hash: a = b.\n" in board_text([board], "table")
    rows = csv.DictReader(io.StringIO(board_text([board], "csv")))
    notes = {row["model"]: row["note"] for row in rows}
    assert notes == {"a": "same model as b", "b": "same model as a", "c": ""}
    assert "several names" not in board_text([board_of(named("a", "1"), named("c", "2"))], "table")


def test_another_model_does_not_replace_one_of_its_name() -> None:
    old, new = named("a", "1"), named("a", "2", created="2026-02-01")
    assert len(board_of(old, new).rows) == 2


def test_points_measured_again_count() -> None:
    """A self-reported point does not, however precise or late it claims to be."""
    losses = {k: loss - 0.1 for k, loss in FAST.items()}
    false = replace(named("a", "1", created="2026-03-01"), curve=make_trained(losses).curve)
    again = make_trained(FAST)
    wide = tuple(replace(point, half_width=0.01) for point in again.curve)
    rescored = replace(named("a", "1"), trust="rescored", curve=wide)
    for records in ((false, rescored), (rescored, false)):
        (row,) = board_of(*records).rows
        assert row.records[0].trust == "rescored"
        assert [row.scores[k].value for k in FAST] == list(FAST.values())
    part = replace(rescored, curve=wide[1:])
    (row,) = board_of(false, part).rows
    assert row.records[0].trust == "rescored, self-reported"
    assert row.scores[1].value == pytest.approx(FAST[1] - 0.1)


def test_rescored_is_what_was_measured_again_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQMEM_CACHE", str(tmp_path / "cache"))
    own = signed(replace(named("own", "1"), trust="rescored"))
    written = json.loads(to_json(replace(own, model={**own.model, "label": "other"})))
    assert len(written["measurement"]["signature"]) == 64
    folder = tmp_path / "records"
    write_record(own, folder, "own")
    (folder / "copied.json").write_text(json.dumps(written))  # another record's signature
    write_record(replace(named("bare", "2"), trust="rescored"), folder, "bare")
    found, problems = read_records([folder])
    assert {record.model["label"]: record.trust for record in found} == {
        "own": "rescored",
        "other": "self-reported",
        "bare": "self-reported",
    }
    assert [Path(line.partition(":")[0]).name for line in problems] == ["bare.json", "copied.json"]
    assert all("says 'rescored', and was not written by your" in line for line in problems)
    assert (tmp_path / "cache" / "verify.key").stat().st_mode & 0o77 == 0
    monkeypatch.setenv("SEQMEM_CACHE", str(tmp_path / "of someone else"))
    assert {record.trust for record in read_records([folder])[0]} == {"self-reported"}


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2+A1", "@SUM(A1)", "\tx", "+1(A1)"])
def test_spreadsheets_run_no_cell(text: str) -> None:
    rows = list(csv.reader(io.StringIO(table({"name": [text]}, "csv"))))
    assert rows[1] == [f"'{text}"]


@pytest.mark.parametrize("cell", [-1.5, "-1.5", "+0.0011 (+0.0010 to 0.0012)", "−2", "a=b"])
def test_numbers_stay_numbers(cell: object) -> None:
    rows = list(csv.reader(io.StringIO(table({"x": [cell]}, "csv"))))
    assert rows[1] == [str(cell)]


def test_markdown_has_no_html_and_no_links_from_cells() -> None:
    cells = ["<img src=x>", "</table>", "<!-- x", "[x](javascript:alert)", "a\nb"]
    lines = table({"x": cells}, "markdown").splitlines()[2:]
    assert [line.strip("| ") for line in lines] == [
        r"\<img src=x>",
        r"\</table>",
        r"\<!-- x",
        r"[x]\(javascript:alert)",
        "a b",
    ]
    assert "±<0.1" in table({"x": ["±<0.1"]}, "markdown")
