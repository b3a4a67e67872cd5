"""Envelopes whose values are known."""

from dataclasses import replace

from seqmem.docs import sentences
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
    """From chance 1.0 to 0.1: 90 % is 0.19, 60 % is 0.46, 1 % of optimum 0 is 0.01."""
    board = board_of(make_trained(FAST, label="tcn"), make_trained(SLOW))
    bests = envelope(board)
    assert sentences.most_need(board, bests).k == 8
    assert envelope_need(board, bests, 0.4 * 0.9).k == 4
    assert envelope_need(board, bests, 0.5).k == 1
    said = " ".join(sentences.needs(board))
    assert "The best score is 0.100 ±0.010 (lstm at k = 8); chance is 1.0000." in said
    assert "With k = 1, no model is better than 0.600 ±0.010 (tcn)." in said
    assert "k = 8 reaches 90 % of the gain over chance; k = 8 reaches the best score to" in said
    assert "Of 2 models, within 1 % of the best with at most k inputs: 1 at k = 8 (lstm)" in said


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
    assert sentences.needs(board) == ["No model was scored with the full context."]
    assert envelope_need(board, envelope(board), 0.1).state == "unknown"
    untrained = board_of(make_trained({1: 1.0, "full": 1.0}, optimum=None))
    assert sentences.needs(untrained) == ["No model is better than chance, 1.0000."]
    little = board_of(make_trained({1: 0.999, "full": 0.995}, optimum=None, half=0.001))
    assert sentences.needs(little) == ["No model gains 1 % over chance, 1.0000."]
    assert envelope_need(little, envelope(little), 0.1).state == "small"
    assert sentences.stable(board) == sentences.kinds(board) == sentences.trained_at(board) == []


def test_the_context_need_of_the_optimum() -> None:
    record = make_record({1: 0.9, 2: 0.9, 4: 0.9, "full": 0.9}, chance=1.0)
    optimum: Losses = {1: 0.9, 2: 0.5, 4: 0.05, "full": 0.0}
    assert optimum_need(record, optimum, 0.9) == 4
    assert optimum_need(record, optimum, 0.5) == 2
    assert optimum_need(record, {}, 0.9) is None
    assert optimum_need(record, {1: 0.9, "full": 0.0}, 0.9) is None
    assert "The models reach 10 % of its gain at full." in sentences.needs(
        board_of(make_record({1: 0.9, 4: 0.9, "full": 0.9}, chance=1.0, half=0.001))
    )
