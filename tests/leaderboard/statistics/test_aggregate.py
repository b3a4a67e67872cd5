"""Boards of known records."""

from dataclasses import replace

import pytest

from seqmem.leaderboard.record import (
    Context,
    MeanOf,
)
from seqmem.leaderboard.statistics.aggregate import better_than_chance, boards, solved
from seqmem.leaderboard.tables.board_table import board_text
from seqmem.tests.records import make_record


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


def test_seeds_solve_a_task_within_1_percent_of_chance_minus_optimum() -> None:
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


def test_better_than_chance_follows_from_paired_gains() -> None:
    """The interval of the loss itself may be wide."""
    losses: dict[Context, float] = {1: 0.97, 4: 0.9, "full": 0.9}
    gain = MeanOf(0.1, 0.04, (0.02, 0.18))
    for excess_half, enough in ((0.05, False), (0.001, True)):
        record = replace(make_record(losses, half=0.2, excess_half=excess_half), gain=gain)
        (row,) = boards([record])[0].rows
        assert [better_than_chance(row, k) for k in (1, 4, 8)] == [False, enough, False]
        assert better_than_chance(row, "full")
    (row,) = boards([replace(record, gain=MeanOf(0.1, 0.1, (-0.1, 0.3)))])[0].rows
    assert not better_than_chance(row, "full")
    (row,) = boards([make_record(losses, half=0.02)])[0].rows  # the interval of the loss suffices
    assert better_than_chance(row, 1)
    (row,) = boards([make_record({1: 0.9, 4: 0.999})])[0].rows  # without full nothing is paired
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


def test_more_contexts_of_the_same_weights_are_joined() -> None:
    old = make_record({1: 0.9, "full": 0.5}, created="2026-01-01")
    new = make_record({2: 0.7}, created="2026-01-02")
    (row,) = boards([old, new])[0].rows
    assert {k: cell.value for k, cell in row.scores.items()} == {1: 0.9, 2: 0.7, "full": 0.5}
    assert row.need.state == "beyond"
    retrained = replace(new, model={**new.model, "weights_sha256": "other"})
    (row,) = boards([old, retrained])[0].rows
    assert set(row.scores) == {2}


def test_incomparable_records_are_not_joined() -> None:
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


def test_rows_are_ranked_and_missing_scores_stay_missing() -> None:
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
