"""Comparisons of rows whose answers are known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqmem.docs import limitations, sentences
from seqmem.leaderboard.rows import kind, named_rows, stable_pairs, usual_rows
from seqmem.leaderboard.statistics.context_need import optimum_need
from seqmem.leaderboard.statistics.differences import difference
from seqmem.leaderboard.statistics.envelope import envelope, envelope_need
from seqmem.leaderboard.statistics.intervals import block_mean
from seqmem.leaderboard.tables.formatting import rounded
from seqmem.leaderboard.tables.wording import difference_text, listed, verdict
from seqmem.tests.records import FAST, SLOW, Losses, board_of, make_record, make_trained

# Rows.


def test_the_usual_row_is_trained_as_the_recipe_says() -> None:
    losses: Losses = {8: 0.2, "full": 0.2}
    usual = make_trained(losses, usual_k=8, k_train=8)
    board = board_of(
        usual,
        make_trained(losses, usual_k=8, k_train=8, state="reset"),
        make_trained(losses, usual_k=8, k_train=64),
        make_trained(losses, usual_k=8, k_train="full", label="gru"),
        make_record(losses, k_train=8, label="marginal"),  # not trained: no recipe
        make_record(losses, k_train="full", label="marginal"),
    )
    chosen = {row.label: (row.k_train, row.state) for row in usual_rows(board)}
    assert chosen == {"lstm": (8, "carried"), "gru": ("full", "carried"), "marginal": (8, None)}
    assert len(board.rows) == 6


def test_of_several_recipes_the_latest_counts() -> None:
    old, new = make_trained({"full": 0.1}, created="2026-01-01"), make_trained({"full": 0.2})
    new = replace(new, training={**new.training, "recipe": {"k_train": "full", "steps": 3}})
    (row,) = usual_rows(board_of(new, old))
    assert row.scores["full"].value == 0.2


def test_names_tell_rows_apart_and_no_more() -> None:
    board = board_of(
        make_trained(SLOW),
        make_trained(SLOW, budget="smoke"),
        make_trained(SLOW, label="gru"),
    )
    assert set(named_rows(board)) == {"lstm, small", "lstm, smoke", "gru"}


def test_kinds_of_models() -> None:
    for record, is_ in (
        (make_trained(SLOW), "recurrent"),
        (make_trained(SLOW, stateful=False), "feed-forward"),
        (make_record(SLOW), "not trained by steps"),
    ):
        (row,) = board_of(record).rows
        assert kind(row) == is_


def test_stable_models_are_paired_with_their_own_options_only() -> None:
    labels = ("rnn", "rnn-stable", "lstm:hidden=3", "lstm-stable:hidden=3", "gru", "lru-stable")
    board = board_of(*(make_trained(SLOW, label=label) for label in labels))
    found = {(pair.stable.label, pair.unconstrained.label) for pair in stable_pairs(board.rows)}
    assert found == {("rnn-stable", "rnn"), ("lstm-stable:hidden=3", "lstm:hidden=3")}
    other = board_of(
        make_trained(SLOW, label="rnn"), make_trained(SLOW, label="rnn-stable", k_train=4)
    )
    assert stable_pairs(other.rows) == ()


# Differences.


@given(st.lists(st.tuples(st.floats(0.1, 1), st.floats(0.1, 1)), min_size=2, max_size=6))
def test_differences_over_seeds_are_a_paired_t_test(losses: list[tuple[float, float]]) -> None:
    records = [
        make_trained({"full": loss}, label=label, seed=seed)
        for seed, both in enumerate(losses)
        for label, loss in zip(("a", "b"), both, strict=True)
    ]
    rows = {row.label: row for row in board_of(*records).rows}
    gone = difference(rows["a"], rows["b"], "full")
    assert gone is not None
    assert gone.seeds == len(losses)
    each = [a - b for a, b in losses]
    error = stats.sem(each)
    half = stats.t.ppf(0.975, len(each) - 1) * error
    assert gone.mean == pytest.approx(sum(each) / len(each), abs=1e-12)
    assert gone.low == pytest.approx(gone.mean - half, abs=1e-9)
    assert gone.high == pytest.approx(gone.mean + half, abs=1e-9)


def test_with_one_seed_targets_are_paired() -> None:
    """What two models have in common drops out, however large."""
    one = make_trained({"full": 0.5}, label="a", noise=0.3)
    two = make_trained({"full": 0.4}, label="b", noise=0.3)
    rows = {row.label: row for row in board_of(one, two).rows}
    alike = difference(rows["a"], rows["b"], "full")
    assert alike is not None
    assert (alike.low, alike.high) == pytest.approx((0.1, 0.1))
    rows["b"] = board_of(replace(two, group_counts=(20,) * 5)).rows[0]
    unknown = difference(rows["a"], rows["b"], "full")
    assert unknown is not None
    assert (unknown.low, unknown.sign, unknown.within(9)) == (None, 0, False)
    noisy = board_of(make_trained({"full": 0.4}, label="b", noise=-0.3)).rows[0]
    unlike = difference(rows["a"], noisy, "full")
    assert unlike is not None
    half = stats.t.ppf(0.975, 9) * 0.6 / math.sqrt(9)  # ten values, all 0.6 from their mean
    assert (unlike.low, unlike.high) == pytest.approx((0.1 - half, 0.1 + half))


def test_groups_of_unequal_sizes_leave_more_open() -> None:
    """By how much: `tails`, which test_ranks.py holds against simulations."""
    sizes = (1, 1, 1, 1, 1, 1, 1, 1, 1, 91)
    one, two = (make_trained({"full": loss}, label=f"{loss}", noise=loss) for loss in (0.5, 0.4))
    rows = [board_of(replace(record, group_counts=sizes)).rows[0] for record in (one, two)]
    gone = difference(rows[0], rows[1], "full")
    assert gone is not None
    assert gone.low is not None
    sums = [np.array(row.records[0].point("full").group_sums) for row in rows]  # type: ignore[union-attr]
    student = block_mean(sums[0] - sums[1], np.array(sizes)).interval
    assert student is not None
    assert gone.mean - gone.low > 1.05 * (student.high - student.low) / 2


def test_seeds_that_only_one_has_do_not_count() -> None:
    records = [make_trained({"full": 0.5}, label="a", seed=seed) for seed in (0, 1, 2)]
    records += [make_trained({"full": 0.4}, label="b", seed=seed) for seed in (1, 2, 3)]
    rows = {row.label: row for row in board_of(*records).rows}
    gone = difference(rows["a"], rows["b"], "full")
    assert gone is not None
    assert gone.seeds == 2
    assert difference(rows["a"], rows["b"], 4) is None


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        ([(0.50, 0.40), (0.51, 0.41)], "worse"),
        ([(0.40, 0.50), (0.41, 0.51)], "better"),
        ([(0.405, 0.40), (0.4051, 0.4)], "the same within 1 %"),  # though above zero
        ([(0.50, 0.40), (0.40, 0.50)], "tied"),
    ],
)
def test_verdicts(losses: list[tuple[float, float]], says: str) -> None:
    records = [
        make_trained({"full": loss}, label=label, seed=seed)
        for seed, both in enumerate(losses)
        for label, loss in zip(("a", "b"), both, strict=True)
    ]
    board = board_of(*records)
    rows = {row.label: row for row in board.rows}
    gone = difference(rows["a"], rows["b"], "full")
    assert gone is not None
    assert verdict(board, gone) == says


# Envelopes.


def test_the_envelope_takes_the_best_at_most_k() -> None:
    board = board_of(make_trained(FAST, label="tcn"), make_trained(SLOW))
    bests = envelope(board)
    assert [(b.k, b.row.label, b.at, b.loss) for b in bests] == [
        (1, "tcn", 1, 0.6),
        (2, "tcn", 2, 0.5),
        (4, "lstm", 4, 0.3),
        (8, "lstm", 8, 0.1),
        ("full", "lstm", 8, 0.1),  # full is no better
    ]
    assert [b.loss for b in envelope(board, [board.rows[-1]])] == [0.6, 0.5, 0.45, 0.45, 0.45]
    assert envelope(board, []) == ()


def test_more_inputs_are_never_worse() -> None:
    bests = envelope(board_of(make_trained({1: 0.3, 2: 0.5, "full": 0.4})))
    assert [(b.k, b.at, b.loss) for b in bests] == [(1, 1, 0.3), (2, 1, 0.3), ("full", 1, 0.3)]


def test_a_known_envelope_has_known_needs() -> None:
    """From chance 1.0 to 0.1: 90 % is 0.19, 60 % is 0.46, 1 % of optimum 0 is 0.01."""
    board = board_of(make_trained(FAST, label="tcn"), make_trained(SLOW))
    bests = envelope(board)
    assert envelope_need(bests, sentences.most_gained(board, bests)).k == 8
    assert envelope_need(bests, 0.4 * 0.9).k == 4
    assert envelope_need(bests, 0.5).k == 1
    said = " ".join(sentences.needs(board))
    assert "The best score is 0.100 ±0.010 (lstm at k = 8); chance is 1.0000." in said
    assert "With k = 1, no model is better than 0.600 ±0.010 (tcn)." in said
    assert "k = 8 reaches 90 % of the gain over chance; k = 8 reaches the best score to" in said
    assert "Of 2 models, within 1 % of the best with at most k inputs: 1 at k = 8 (lstm)" in said


def test_the_needs_interval_comes_from_paired_differences() -> None:
    losses: Losses = {1: 0.9, 2: 0.22, 4: 0.1, "full": 0.1}
    record = make_trained(losses)
    noisy = replace(
        record,
        curve=tuple(
            replace(p, group_sums=tuple(10 * (p.loss.mean + 0.06 * (-1) ** i) for i in range(10)))
            if p.k == 2
            else p
            for p in record.curve
        ),
    )
    bests = envelope(board_of(noisy))
    need = envelope_need(bests, 0.09)
    assert (need.k, need.low, need.high) == (4, 2, 4)


def test_what_is_missing_is_not_said() -> None:
    board = board_of(make_record({1: 0.5, 2: 0.4}))
    assert sentences.needs(board) == ["No model was scored with the full context."]
    assert envelope_need(envelope(board), 0.1).state == "unknown"
    hopeless = board_of(make_trained({1: 1.0, "full": 1.0}, optimum=None))
    assert sentences.needs(hopeless) == ["No model is better than chance, 1.0000."]
    assert sentences.stable(board) == sentences.kinds(board) == sentences.trained_at(board) == []


def test_the_optimum_needs_what_it_needs() -> None:
    record = make_record({1: 0.9, 2: 0.9, 4: 0.9, "full": 0.9}, chance=1.0)
    optimum: Losses = {1: 0.9, 2: 0.5, 4: 0.05, "full": 0.0}
    assert optimum_need(record, optimum, 0.9) == 4
    assert optimum_need(record, optimum, 0.5) == 2
    assert optimum_need(record, {}, 0.9) is None
    assert optimum_need(record, {1: 0.9, "full": 0.0}, 0.9) is None
    assert "The models reach 10 % of its gain at full." in sentences.needs(
        board_of(make_record({1: 0.9, 4: 0.9, "full": 0.9}, chance=1.0, half=0.001))
    )


# Words.


def test_perplexities_differ_by_shares() -> None:
    facts = make_record({"full": 1.0}, score="perplexity").task
    records = [
        make_trained({"full": loss}, label=label, seed=seed, score="perplexity")
        for label, losses in (("a", (0.10, 0.12)), ("b", (0.0, 0.0)))
        for seed, loss in enumerate(losses)
    ]
    rows = {row.label: row for row in board_of(*records).rows}
    gone = difference(rows["a"], rows["b"], "full")
    assert gone is not None
    half = stats.t.ppf(0.975, 1) * 0.01
    assert difference_text(gone, facts) == (
        f"+{100 * math.expm1(0.11):.0f} % (−{-100 * math.expm1(0.11 - half):.0f} to "
        f"+{100 * math.expm1(0.11 + half):.0f})"
    )


@pytest.mark.parametrize(
    ("values", "half", "written"),
    [
        ([144.62, 2.63], 2.63, ["144.6", "2.6"]),
        ([204.7, 17.6], 17.6, ["205", "18"]),
        ([0.00123, 0.00004], 0.00004, ["0.001230", "0.000040"]),
        ([1.5], None, ["1.500"]),
        ([0.0], None, ["0.000"]),
        ([-0.001, 2.0], 1.0, ["0.0", "2.0"]),
        ([-2.0], 0.5, ["−2.00"]),
        ([0.123456789], 1e-12, ["0.12346"]),
    ],
)
def test_numbers_are_rounded_by_their_interval(
    values: list[float], half: float | None, written: list[str]
) -> None:
    assert rounded(values, half) == written


def test_lists() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert sentences.contexts([1, 2, "full"]) == "k = 1, 2 and full"
    assert sentences.contexts(["full"]) == "the full context"
    places = [("x", "a"), ("x", "b"), ("y", "c"), ("z", "a"), ("z", "b")]
    assert limitations.grouped(places) == "a and b on x and z; c on y"
