"""Envelopes whose values are known."""

from dataclasses import replace

from seqmem.leaderboard.statistics.context_need import optimum_need
from seqmem.leaderboard.statistics.envelope import envelope, envelope_need
from seqmem.tests.records import FAST, SLOW, Losses, board_of, make_record, make_trained


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
    """From chance 1.0 to 0.1: 90 % is 0.19, 60 % is 0.46."""
    board = board_of(make_trained(FAST, label="tcn"), make_trained(SLOW))
    bests = envelope(board)
    assert envelope_need(board, bests, 0.1 * 0.9).k == 8
    assert envelope_need(board, bests, 0.4 * 0.9).k == 4
    assert envelope_need(board, bests, 0.5).k == 1


def test_an_envelope_may_be_compared_with_another_model() -> None:
    """The tcn has 0.45 from k = 4 on, 0.05 above a model with 0.40 at full."""
    board = board_of(make_trained(FAST, label="tcn"), make_trained({1: 0.9, "full": 0.4}))
    tcn, lstm = (
        envelope(board, [row for row in board.rows if row.label == label])
        for label in ("tcn", "lstm")
    )
    assert envelope_need(board, tcn, 0.06, lstm[-1]).k == 4
    never = envelope_need(board, tcn, 0.04, lstm[-1])
    assert (never.state, never.low, never.largest) == ("beyond", None, 8)
    untrained = envelope(board_of(make_trained({1: 1.0, "full": 1.0})))
    assert envelope_need(board, tcn, 0.04, untrained[-1]).state == "chance"


def test_the_interval_of_the_need_comes_from_paired_differences() -> None:
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
    board = board_of(noisy)
    need = envelope_need(board, envelope(board), 0.09)
    assert (need.k, need.low, need.high) == (4, 2, 4)


def test_nothing_is_said_about_missing_scores() -> None:
    board = board_of(make_record({1: 0.5, 2: 0.4}))
    assert envelope_need(board, envelope(board), 0.1).state == "unknown"
    little = board_of(make_trained({1: 0.999, "full": 0.995}, optimum=None, half=0.001))
    assert envelope_need(little, envelope(little), 0.1).state == "small"


def test_the_context_need_of_the_optimum() -> None:
    record = make_record({1: 0.9, 2: 0.9, 4: 0.9, "full": 0.9}, chance=1.0)
    optimum: Losses = {1: 0.9, 2: 0.5, 4: 0.05, "full": 0.0}
    assert optimum_need(record, optimum, 0.9) == 4
    assert optimum_need(record, optimum, 0.5) == 2
    assert optimum_need(record, {}, 0.9) is None
    assert optimum_need(record, {1: 0.9, "full": 0.0}, 0.9) is None
