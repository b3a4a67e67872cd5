"""Records on disk, and what a board makes of them."""

import io
import json
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmem.leaderboard.aggregate import better_than_chance, boards, solved
from seqmem.leaderboard.record import (
    SCHEMA,
    Context,
    MeanOf,
    RecordError,
    from_json,
    to_json,
)
from seqmem.leaderboard.statistics.context_need import context_need
from seqmem.leaderboard.store import find_record, read_records, record_directory, write_record
from seqmem.leaderboard.tables.board_table import board_text
from seqmem.tests.records import make_record

finite = st.floats(-1e6, 1e6)

# Records: reading and writing.


@settings(deadline=None)  # a busy machine is no error
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
        (lambda d: d["task"].update(chance=None), "not of the right kind"),
        (lambda d: d["task"].update(id=5), "not of the right kind"),
        (lambda d: d["curve"][0].update(loss=None), "a point has no loss"),
    ],
)
def test_what_is_no_record_is_refused(change: object, says: str) -> None:
    data = json.loads(to_json(make_record({1: 0.5, "full": 0.25})))
    change(data)  # type: ignore[operator]
    with pytest.raises(RecordError, match=says):
        from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "{}", '{"schema": "1"}'])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        from_json(text)


def test_infinities_are_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(make_record({1: math.inf}))


# Records: files.


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    first, second = make_record({1: 0.5}), make_record({1: 0.4}, created="2026-02-01")
    paths = [write_record(record, tmp_path, "cell") for record in (first, second, first)]
    assert [path.name for path in paths] == ["cell.json", "cell.2.json", "cell.3.json"]
    assert from_json(paths[0].read_text()) == first
    assert find_record(tmp_path, "cell") == second  # the latest made
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


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert record_directory(tmp_path, "../../etc").parent == tmp_path


# Context need.


def test_context_need_is_the_smallest_k_close_to_full() -> None:
    losses: dict[Context, float] = {1: 0.9, 2: 0.5, 4: 0.205, 8: 0.2004, "full": 0.2}
    need = context_need(make_record(losses))  # 1 % of 1.0 − 0.0
    assert (need.state, need.k, need.low, need.high) == ("reached", 4, 4, 4)


def test_context_need_interval_comes_from_the_paired_differences() -> None:
    losses: dict[Context, float] = {1: 0.9, 2: 0.212, 4: 0.209, 8: 0.2004, "full": 0.2}
    need = context_need(make_record(losses, excess_half=0.003))
    assert (need.k, need.low, need.high) == (4, 2, 8)


def test_context_need_beyond_what_was_measured() -> None:
    need = context_need(make_record({1: 0.9, 2: 0.5, "full": 0.2}))
    assert (need.state, need.k, need.largest) == ("beyond", None, 2)


def test_context_need_of_a_model_no_better_than_chance() -> None:
    need = context_need(make_record({1: 0.995, 2: 0.995, "full": 0.995}, half=0.01))
    assert need.state == "chance"
    assert context_need(make_record({1: 0.98, "full": 0.98}, half=0.01)).state == "reached"


def test_a_small_gain_known_well_is_better_than_chance() -> None:
    """The gain over chance is paired: the spread of the losses themselves does not matter."""
    record = make_record({1: 0.981, "full": 0.98}, half=0.3)
    assert record.gain is not None
    sure = replace(record, gain=replace(record.gain, interval=(0.01, 0.03)))
    assert context_need(record).state == "chance"
    assert context_need(sure).state == "reached"


def test_context_need_without_full_is_not_known() -> None:
    assert context_need(make_record({1: 0.9, 2: 0.5})).state == "unknown"


def test_context_need_of_perplexities_is_relative() -> None:
    for excess, state in ((math.log(1.009), "reached"), (math.log(1.011), "beyond")):
        record = make_record({2: 5 + excess, "full": 5.0}, score="perplexity", chance=7.0)
        assert context_need(record).state == state


# Boards.


def test_seeds_make_one_row_with_their_median() -> None:
    records = [
        make_record({1: loss + 1, "full": loss}, seed=seed)
        for seed, loss in enumerate((0.3, 0.1, 0.2))
    ]
    (row,) = boards(records)[0].rows
    assert [r.training["seed"] for r in row.records] == [0, 1, 2]
    cell = row.scores["full"]
    assert (cell.value, cell.smallest, cell.largest, cell.seeds) == (0.2, 0.1, 0.3, 3)
    assert cell.half == pytest.approx(0.01)


def test_seeds_solve_a_task_within_a_hundredth_of_the_way_from_chance() -> None:
    def count(*losses: float, optimum: float | None = 0.5) -> int | None:
        (board,) = boards(
            make_record({1: 0.5, "full": loss}, seed=seed, chance=2.5, optimum=optimum)
            for seed, loss in enumerate(losses)
        )
        return solved(board.rows[0])

    assert count(0.5, 0.519, 0.521, 2.5) == 2
    assert count(2.5) == 0
    assert count(0.5, optimum=None) is None
    (unscored,) = boards([make_record({1: 0.5})])
    assert solved(unscored.rows[0]) is None
    several = boards([make_record({"full": loss}, seed=i) for i, loss in enumerate((0.0, 0.9))])
    text = board_text(several, "markdown")
    assert "solved 1 of 2" in text


def test_better_than_chance_is_what_paired_gains_say() -> None:
    """However wide the interval of the loss itself is."""
    losses: dict[Context, float] = {1: 0.97, 4: 0.9, "full": 0.9}
    gain = MeanOf(0.1, 0.04, (0.02, 0.18))
    for excess_half, enough in ((0.05, False), (0.001, True)):
        record = replace(make_record(losses, half=0.2, excess_half=excess_half), gain=gain)
        (row,) = boards([record])[0].rows
        assert [better_than_chance(row, k) for k in (1, 4, 8)] == [False, enough, False]
        assert better_than_chance(row, "full")
    (row,) = boards([replace(record, gain=MeanOf(0.1, 0.1, (-0.1, 0.3)))])[0].rows
    assert not better_than_chance(row, "full")
    (row,) = boards([make_record(losses, half=0.02)])[0].rows  # the loss's own interval is enough
    assert better_than_chance(row, 1)
    (row,) = boards([make_record({1: 0.9, 4: 0.999})])[0].rows  # no full: nothing is paired
    assert [better_than_chance(row, k) for k in (1, 4)] == [True, False]
    seeds = [make_record({"full": loss}, seed=seed) for seed, loss in enumerate((0.5, 0.5, 1.0))]
    (row,) = boards(seeds)[0].rows
    assert better_than_chance(row, "full")
    (row,) = boards(seeds[1:])[0].rows
    assert not better_than_chance(row, "full")


def test_the_latest_record_of_a_seed_counts() -> None:
    old = make_record({"full": 0.5}, created="2026-01-01")
    new = make_record({"full": 0.4}, created="2026-01-02")
    for order in ([old, new], [new, old]):
        (row,) = boards(order)[0].rows
        assert row.scores["full"].value == 0.4


def test_other_contexts_of_the_same_weights_are_joined() -> None:
    old = make_record({1: 0.9, "full": 0.5}, created="2026-01-01")
    new = make_record({2: 0.7}, created="2026-01-02")
    (row,) = boards([old, new])[0].rows
    assert {k: cell.value for k, cell in row.scores.items()} == {1: 0.9, 2: 0.7, "full": 0.5}
    assert row.need.state == "beyond"
    retrained = replace(new, model={**new.model, "weights_sha256": "other"})
    (row,) = boards([old, retrained])[0].rows
    assert set(row.scores) == {2}


def test_what_is_not_comparable_is_not_mixed() -> None:
    base = make_record({"full": 0.5})
    others = [
        make_record({"full": 0.5}, version=2),
        make_record({"full": 0.5}, data_hash="1" * 64),
        make_record({"full": 0.5}, task="other"),
    ]
    assert len(boards([base, *others])) == 4
    rows = [
        make_record({"full": 0.5}, k_train=8),
        make_record({"full": 0.5}, budget="full"),
        make_record({"full": 0.5}, label="lstm:hidden=3"),
        replace(base, training={**base.training, "recipe": {"steps": 3}}),
    ]
    assert len(boards([base, *rows])[0].rows) == 5


def test_rows_are_ranked_and_missing_is_missing() -> None:
    board = boards(
        [
            make_record({1: 0.9, "full": 0.5}, label="b"),
            make_record({2: 0.9, "full": 0.2}, label="a"),
            make_record({4: 0.1}, label="c"),
        ]
    )[0]
    assert board.contexts == (1, 2, 4, "full")
    assert [row.label for row in board.rows] == ["a", "b", "c"]
    text = board_text([board], "markdown")
    (line,) = [line for line in text.splitlines() if line.startswith("| a ")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [
        "a", "1", "0 of 1", "1,234", "–", "0.9000 ±0.0100", "–", "0.2000 ±0.0100", "> 2",
    ]  # fmt: skip
    (missing,) = [line for line in text.splitlines() if line.startswith("| c ")]
    assert [cell.strip() for cell in missing.strip("|").split("|")][1] == "–"


# Tables.


def test_the_table_says_what_was_measured() -> None:
    record = make_record(
        {1: math.log(100), "full": math.log(50)},
        score="perplexity",
        unit="nats per word",
        chance=math.log(900),
    )
    text = board_text(boards([record]), "table")
    assert "toy/T=3: perplexity per word" in text
    assert "100.0 ±1.0" in text
    assert "900.0" in text
    assert "optimum" in text


def test_a_tiny_interval_is_not_shown_as_zero() -> None:
    text = board_text(boards([make_record({1: 0.5, "full": 0.1}, half=1e-9)]), "table")
    assert "0.5000 ±<0.0001" in text
    assert "±0.0000" not in text


def test_several_seeds_show_their_range() -> None:
    records = [make_record({"full": loss}, seed=i) for i, loss in enumerate((0.3, 0.1, 0.2))]
    assert "0.2000 ±0.0100 [0.1000, 0.3000]" in board_text(boards(records), "table")


def test_names_are_escaped_in_markdown() -> None:
    text = board_text(boards([make_record({"full": 0.1}, label="a|b")]), "markdown")
    assert "| a\\|b " in text


def test_csv_and_json_give_back_the_numbers() -> None:
    losses: dict[Context, float] = {1: 1 / 3, 2: 0.1, "full": 0.012345678901234}
    shown = boards([make_record(losses)])
    table = pd.read_csv(io.StringIO(board_text(shown, "csv")))
    assert dict(zip(table["k"], table["loss"], strict=True)) == {
        str(k): loss for k, loss in losses.items()
    }
    rows = json.loads(board_text(shown, "json"))
    assert {row["k"]: row["loss"] for row in rows} == pytest.approx(losses, rel=1e-14)
    assert rows[0]["task"] == "toy/T=3"


def test_an_empty_board_is_empty() -> None:
    assert board_text([], "table") == ""
    assert json.loads(board_text([], "json")) == []


def test_the_leaderboard_needs_no_torch() -> None:
    code = (
        "import sys, seqmem.leaderboard.tables.board_table, seqmem.leaderboard.store, "
        "seqmem.leaderboard.aggregate; from seqmem.leaderboard.published import read_published; "
        "assert read_published(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
