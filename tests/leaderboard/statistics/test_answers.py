"""How much memory a task needs and which model is best at k, on boards with known answers."""

from dataclasses import replace

import pytest

from seqmem.leaderboard.page.answers import answers, usual_k
from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.statistics.aggregate import Board, better_than_chance, boards
from seqmem.leaderboard.statistics.answers import leaders, memory
from seqmem.tests.records import fixed, make_record, make_trained


def board_of(*records: Record) -> Board:
    (board,) = boards(records)
    return board


def words(board: Board) -> dict[str, list[str]]:
    """Return the answers, those about leaders by k."""
    found = answers(board, memory(board), {row: row.label for row in board.rows})
    said = dict(zip(map(str, board.contexts), found["leaders"], strict=True))
    return {"memory": found["memory"], **said}


def with_optimum(record: Record, *values: float) -> Record:
    points = zip(record.curve, values, strict=True)
    return replace(record, curve=tuple(replace(p, optimum=best) for p, best in points))


LOSSES: dict[Context, float] = {1: 1.0, 4: 0.6, 8: 0.305, 16: 0.3, "full": 0.3}


def test_the_need_follows_from_a_known_optimum() -> None:
    """0.0095, at k = 8, is within 1 % of chance 1 minus optimum 0; models do not matter."""
    board = board_of(with_optimum(make_record(LOSSES), 1.0, 0.0105, 0.0095, 0.0, 0.0))
    found = memory(board)
    assert (found.known, found.optimal, found.shown.k) == (True, 8, 8)
    headline, why = words(board)["memory"]
    assert headline == "8 inputs"
    assert why == "Known from the task's definition. The best model here, lstm, uses 8."


def test_a_task_that_no_model_learned_still_has_a_need() -> None:
    losses: dict[Context, float] = {1: 1.001, 8: 1.002, "full": 1.001}
    board = board_of(with_optimum(make_record(losses, label="rnn"), 1.0, 1.0, 0.0))
    found = words(board)
    assert found["memory"] == [
        "more than 8 inputs",
        "Known from the task's definition. No model here has learned it.",
    ]
    assert found["8"][0] == "none: too few inputs"
    assert found["full"] == [
        "none better than chance",
        "Chance is 1.0000; the smallest score is 1.0010.",
    ]


def test_without_optimum_the_best_models_show_what_suffices() -> None:
    records = [
        make_record(LOSSES, optimum=None, excess_half=1e-9),
        make_record({1: 0.9, 4: 0.8, 8: 0.8, 16: 0.8, "full": 0.8}, optimum=None, label="gru"),
    ]
    curves = [replace(r, curve=tuple(replace(p, optimum=None) for p in r.curve)) for r in records]
    board = board_of(*curves)
    found = memory(board)
    assert (found.known, found.optimal, found.shown.state) == (False, None, "reached")
    assert words(board)["memory"][0].startswith(f"about {found.shown.k} inputs")
    assert "best model here, lstm" in words(board)["memory"][1]


def test_without_any_gain_the_need_is_unknown() -> None:
    losses: dict[Context, float] = {1: 1.2, "full": 1.1}
    record = make_record(losses, optimum=None)
    record = replace(record, curve=tuple(replace(p, optimum=None) for p in record.curve))
    assert words(board_of(record))["memory"] == [
        "not known",
        "No model here is better than chance.",
    ]
    record = replace(record, curve=record.curve[:1], gain=None)
    assert words(board_of(record))["memory"][0] == "not known"


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_ties_are_those_of_the_ranks(noise: float) -> None:
    """A small difference is significant if losses vary little, else it is a tie."""
    board = board_of(
        fixed(make_trained({8: 0.50, "full": 0.1}, label="a")),
        fixed(make_trained({8: 0.51, "full": 0.1}, label="b", noise=noise)),
        fixed(make_trained({8: 0.90, "full": 0.1}, label="c")),
    )
    found = leaders(board, 8)
    assert found is not None
    assert found.best.label == "a"
    assert [row.label for row in found.tied] == (["b"] if noise else [])
    said = words(board)["8"]
    assert said == ["a", "score 0.5000" + ("; tied with b" if noise else "")]


def test_many_ties_are_counted() -> None:
    board = board_of(*(fixed(make_trained({8: 0.5}, label=f"m{i}")) for i in range(7)))
    assert words(board)["8"] == [
        "m0",
        "score 0.5000; tied with m1, m2, m3 and 3 others",
    ]


def test_a_score_whose_interval_contains_chance_is_no_leader() -> None:
    sure = board_of(make_record({8: 0.98}, half=0.01, optimum=0.0))
    unsure = board_of(make_record({8: 0.98}, half=0.03, optimum=0.0))
    for board, state in ((sure, "better"), (unsure, "chance")):
        found = leaders(board, 8)
        assert found is not None
        assert found.state == state


def test_what_scores_worse_than_chance_is_not_called_best() -> None:
    """Though it gains on this test data, on which a constant is even worse."""
    record = make_trained({8: 1.02, "full": 1.02}, label="above")
    gain = replace(record.curve[-1].loss, mean=0.05, interval=(0.04, 0.06))
    board = board_of(replace(record, gain=gain))
    assert better_than_chance(board.rows[0], "full")
    assert words(board)["8"] == [
        "none better than chance",
        "Chance is 1.0000; the smallest score is 1.0200.",
    ]


def test_a_model_at_chance_does_not_lead_others() -> None:
    """It has the lower loss, but is not significantly better than chance."""
    board = board_of(
        fixed(make_trained({8: 0.90, "full": 0.9}, label="unsure", half=0.2)),
        fixed(make_trained({8: 0.95, "full": 0.9}, label="sure")),
    )
    found = leaders(board, 8)
    assert found is not None
    assert (found.state, found.best.label, found.tied) == ("better", "sure", ())


def test_models_that_were_trained_once_are_not_ranked() -> None:
    records = [make_trained({8: x, "full": x}, label=f"{x}") for x in (0.2, 0.4)]
    assert words(board_of(*records))["8"] == [
        "0.2",
        "score 0.2000; trained once, like the others: not ranked",
    ]


def test_a_gain_below_the_tolerance_shows_no_need() -> None:
    record = make_record({1: 0.999, 8: 0.995, "full": 0.995}, optimum=None, half=0.001)
    record = replace(record, curve=tuple(replace(p, optimum=None) for p in record.curve))
    assert words(board_of(record))["memory"] == [
        "not known",
        "No model here gains more than 1\u00a0% over chance.",
    ]


def test_rows_replaced_by_a_later_recipe_do_not_lead() -> None:
    old = make_trained({8: 0.1}, created="2026-01-01")
    new = make_trained({8: 0.4}, created="2026-01-02")
    new = replace(new, training={**new.training, "recipe": {"k_train": "full", "steps": 3}})
    found = leaders(board_of(old, new), 8)
    assert found is not None
    assert found.best.records == (new,)


def test_no_model_leads_at_a_k_without_scores() -> None:
    board = board_of(make_record({4: 0.5, "full": 0.4}))
    assert leaders(board, 8) is None


def test_a_page_starts_at_8_or_the_next_smaller_k() -> None:
    assert usual_k([1, 4, 8, 16, "full"]) == 8
    assert usual_k([1, 4, 16, "full"]) == 4
    assert usual_k([16, 32, "full"]) == 16
    assert usual_k(["full"]) == "full"
