"""Harm by unfamiliar input is found, and what models that are trained at k need."""

from dataclasses import replace

from seqmem.leaderboard.record import Record
from seqmem.leaderboard.statistics.truncation import harmed, learned, trained_needs
from seqmem.leaderboard.tables.truncation import truncation_note
from seqmem.tests.records import Losses, board_of, fixed, make_trained

CLIFF: Losses = {1: 3.0, 2: 5.0, 4: 1.005, 8: 0.1, "full": 0.1}  # chance is 1


def with_optimum(record: Record) -> Record:
    best: Losses = {1: 1.0, 2: 1.0, 4: 0.005}
    curve = tuple(replace(p, optimum=best.get(p.k, 0.0)) for p in record.curve)
    return replace(record, curve=curve)


def test_models_that_truncation_makes_worse_than_chance_are_named() -> None:
    board = board_of(
        with_optimum(make_trained(CLIFF)),
        with_optimum(make_trained({**CLIFF, 1: 1.0, 2: 1.0}, label="gru")),
        with_optimum(make_trained({**CLIFF, "full": 1.2}, label="rnn")),  # learned nothing
        with_optimum(fixed(make_trained(CLIFF, label="ngram"))),
    )
    assert {row.label for row in learned(board)} == {"lstm", "gru"}
    ((row, ks),) = harmed(board).items()
    assert (row.label, ks) == ("lstm", (1, 2))
    assert truncation_note(board) == (
        "Truncated to inputs unlike those of training, 1 of 2 models that learned the task scores "
        "worse than chance (at k = 1 and 2): there k*(1 %) shows where that harm ends rather than "
        "how much memory is used. An optimal predictor from k inputs needs 4. No model here was "
        "trained at k."
    )


def test_one_seed_that_is_not_harmed_is_enough() -> None:
    seeds = [make_trained(CLIFF), make_trained({**CLIFF, 1: 1.0, 2: 1.005}, seed=1)]
    assert not harmed(board_of(*seeds))
    assert truncation_note(board_of(*seeds)) == ""


def test_what_models_need_that_are_trained_at_k() -> None:
    """At k = 4 the model trained there is within 0.01 of the usual full-context loss."""
    records = [make_trained(CLIFF)]
    for k, loss in ((1, 0.9), (2, 0.5), (4, 0.105)):
        records.append(make_trained({k: loss, "full": loss}, k_train=k))
        records.append(make_trained({k: loss + 0.1, "full": 2}, k_train=k, state="reset"))
    board = board_of(*records)
    ((row, need),) = trained_needs(board).items()
    assert (row.k_train, need.state, need.k) == ("full", "reached", 4)
    assert "Trained at k, lstm needs 4." in truncation_note(board)
    assert trained_needs(board_of(*records[:3])) == {}
