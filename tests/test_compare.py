"""Comparisons of rows whose answers are known, and the sentences made of them."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqmem.leaderboard import sentences
from seqmem.leaderboard.aggregate import Board, boards
from seqmem.leaderboard.compare import (
    difference,
    envelope,
    envelope_need,
    kind,
    named_rows,
    optimum_need,
    stable_pairs,
    usual_rows,
)
from seqmem.leaderboard.formatting import rounded
from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.wording import contexts, gap, grouped, listed, verdict
from seqmem.tests.records import make_record, make_trained

Losses = dict[Context, float]

FAST: Losses = {1: 0.6, 2: 0.5, 4: 0.45, 8: 0.45, "full": 0.45}  # good at once, then no more
SLOW: Losses = {1: 0.9, 2: 0.7, 4: 0.3, 8: 0.1, "full": 0.1}


def board_of(*records: Record) -> Board:
    (board,) = boards(records)
    return board


def pair(stable: Losses, free: Losses) -> Board:
    return board_of(make_trained(stable, label="lstm-stable"), make_trained(free))


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
    assert row.cells["full"].value == 0.2


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
    found = {(pair.stable.label, pair.free.label) for pair in stable_pairs(board.rows)}
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
        ([(0.50, 0.40), (0.40, 0.50)], "not told apart"),
    ],
)
def test_verdicts(losses: list[tuple[float, float]], says: str) -> None:
    records = [
        make_trained({"full": loss}, label=label, seed=seed)
        for seed, both in enumerate(losses)
        for label, loss in zip(("a", "b"), both, strict=True)
    ]
    rows = {row.label: row for row in board_of(*records).rows}
    gone = difference(rows["a"], rows["b"], "full")
    assert gone is not None
    assert verdict(gone, 0.01) == says


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
    assert "k = 8 gives 90 % of the gain over chance; k = 8 gives the best score to" in said
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
    assert "The models reach 10 % of what it gains at full." in sentences.needs(
        board_of(make_record({1: 0.9, 4: 0.9, "full": 0.9}, chance=1.0, half=0.001))
    )


# Sentences.


def test_a_stable_model_that_differs_and_one_that_does_not() -> None:
    (differs,) = sentences.stable(pair({4: 0.3, "full": 0.2}, {4: 0.3, "full": 0.1}))
    assert differs == (
        "lstm-stable and lstm: 0.200 ±0.010 against 0.100 ±0.010 at full, +0.1000 (+0.1000 to "
        "+0.1000), worse (one seed, over targets); context need > 4 against > 4."
    )
    (alike,) = sentences.stable(pair({4: 0.101, "full": 0.101}, {4: 0.1, "full": 0.1}))
    assert "the same within 1 % (one seed, over targets); context need 4 against 4." in alike
    (none,) = sentences.stable(pair({4: 1.0, "full": 1.0}, {4: 1.0, "full": 1.0}))
    assert "neither better than chance" in none


def test_seeds_decide_where_there_are_several() -> None:
    records = [
        make_trained({"full": loss}, label=label, seed=seed)
        for label, losses in (("rnn", (0.1, 0.5, 0.2)), ("rnn-stable", (0.4, 0.1, 0.3)))
        for seed, loss in enumerate(losses)
    ]
    (said,) = sentences.stable(board_of(*records))
    assert "not told apart (3 seeds)" in said


def test_recurrent_and_feed_forward_models_at_equal_k() -> None:
    board = board_of(make_trained(FAST, label="tcn", stateful=False), make_trained(SLOW))
    said = " ".join(sentences.kinds(board))
    assert "better at k = 4, 8 and full; worse at k = 1 and 2." in said
    assert "lstm and tcn, 0.100 ±0.010 against 0.450 ±0.010, −0.3500" in said
    assert sentences.kinds(board_of(make_trained(SLOW), make_trained(FAST, label="gru"))) == []


def test_trained_at_k_and_cut_to_k() -> None:
    cut: Losses = {1: 0.9, 2: 0.6, 4: 0.3, 8: 0.1, "full": 0.1}
    records = [make_trained(cut, usual_k=8, k_train=8)]
    for k, loss in ((1, 0.7), (2, 0.6), (4, 0.35)):
        own: Losses = {k: loss, "full": loss}
        records.append(make_trained(own, usual_k=8, k_train=k, state="reset"))
    (said,) = sentences.trained_at(board_of(*records))
    assert said == (
        "lstm (state reset), trained at k instead of cut to k: better at k = 1; worse at k = 4; "
        "the same within 1 % at k = 2; the largest difference, at k = 1, is −0.2000 (−0.2000 to "
        "−0.2000) (one seed, over targets)."
    )


def test_uses_are_listed_from_little_to_much() -> None:
    board = board_of(
        make_trained({1: 0.1, 8: 0.1, "full": 0.1}, label="a"),
        make_trained({1: 0.1, 8: 0.1, "full": 0.1}, label="b"),
        make_trained({1: 0.9, 8: 0.2, "full": 0.2}, label="c"),
        make_trained({1: 0.9, 8: 0.5, "full": 0.2}, label="d"),
        make_trained({1: 1.0, 8: 1.0, "full": 1.0}, label="e"),
        make_trained({1: 0.5}, label="f"),
    )
    assert sentences.uses(board) == [
        "Context need k*(1 %): a and b: 1; c: 8; d: > 8; e: never better than chance; f: not known."
    ]


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
    assert gap(gone, facts) == (
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
    assert contexts([1, 2, "full"]) == "k = 1, 2 and full"
    assert contexts(["full"]) == "the full context"
    places = [("x", "a"), ("x", "b"), ("y", "c"), ("z", "a"), ("z", "b")]
    assert grouped(places) == "a and b on x and z; c on y"
