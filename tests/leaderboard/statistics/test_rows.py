"""Rows of a board: which are shown, their names and pairs."""

from dataclasses import replace
from inspect import signature

from seqmem.baselines.recurrent import LSTM, RNN
from seqmem.baselines.stable import StableLSTM, StableRNN
from seqmem.leaderboard.statistics.rows import (
    CONSTRAINT,
    kind,
    named_rows,
    stable_pairs,
    usual_rows,
)
from seqmem.tests.records import SLOW, Losses, board_of, make_record, make_trained


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


def test_names_are_unique_and_short() -> None:
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
        (make_trained(SLOW, stateful=False, label="seq2seq:layers=1"), "recurrent"),
        (make_record(SLOW), "not trained by steps"),
    ):
        (row,) = board_of(record).rows
        assert kind(row) == is_


def test_every_option_of_a_constraint_is_known() -> None:
    for stable, free in ((StableLSTM, LSTM), (StableRNN, RNN)):
        own = signature(stable).parameters.keys() - signature(free).parameters.keys()
        assert own <= set(CONSTRAINT)


def test_stable_models_are_paired_with_their_own_options_only() -> None:
    labels = ("rnn", "rnn-stable", "lstm:hidden=3", "lstm-stable:hidden=3", "gru", "lru-stable")
    board = board_of(*(make_trained(SLOW, label=label) for label in labels))
    found = {
        (stable.label, unconstrained.label) for stable, unconstrained in stable_pairs(board.rows)
    }
    assert found == {("rnn-stable", "rnn"), ("lstm-stable:hidden=3", "lstm:hidden=3")}
    others = ("lstm", "lstm-stable:forget_bias=free", "lstm-stable:forget_max=0.9,hidden=3")
    board = board_of(*(make_trained(SLOW, label=label) for label in others))
    assert [stable.label for stable, _ in stable_pairs(board.rows)] == [others[1]]
    other = board_of(
        make_trained(SLOW, label="rnn"), make_trained(SLOW, label="rnn-stable", k_train=4)
    )
    assert stable_pairs(other.rows) == []
