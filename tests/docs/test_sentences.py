"""Sentences about comparisons whose results are known."""

from dataclasses import replace

from seqmem.docs import sentences
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.aggregate import Board
from seqmem.tests.records import FAST, SLOW, Losses, board_of, make_trained


def pair(stable: Losses, free: Losses) -> Board:
    return board_of(make_trained(stable, label="lstm-stable"), make_trained(free))


def test_a_stable_model_that_differs_and_one_that_does_not() -> None:
    (differs,) = sentences.stable(pair({4: 0.3, "full": 0.2}, {4: 0.3, "full": 0.1}))
    assert differs == (
        "lstm-stable and lstm: at full 0.200 ±0.010 against 0.100 ±0.010, +0.1000 (+0.1000 to "
        "+0.1000), worse in one training each (one seed each, over targets); context need > 4 "
        "against > 4."
    )
    (alike,) = sentences.stable(pair({4: 0.101, "full": 0.101}, {4: 0.1, "full": 0.1}))
    assert "the same within 1 % in one training each (one seed each, over targets)" in alike
    (none,) = sentences.stable(pair({4: 1.0, "full": 1.0}, {4: 1.0, "full": 1.0}))
    assert "neither significantly better than chance" in none


def test_several_seeds_decide() -> None:
    records = [
        make_trained({"full": loss}, label=label, seed=seed)
        for label, losses in (("rnn", (0.1, 0.5, 0.2)), ("rnn-stable", (0.4, 0.1, 0.3)))
        for seed, loss in enumerate(losses)
    ]
    (said,) = sentences.stable(board_of(*records))
    assert "tied (mean of 3 seeds)" in said
    one, *rest = records
    lucky = replace(one, curve=make_trained({"full": 0.9}).curve)  # medians 0.5 and 0.3
    (said,) = sentences.stable(board_of(lucky, *rest))
    assert "(mean of 3 seeds)" in said
    rare = replace(rest[-1], curve=make_trained({"full": 9.0}, label="rnn-stable").curve)
    (said,) = sentences.stable(board_of(lucky, *rest[:-1], rare))
    assert "0.400 ±0.010 against 0.500 ±0.010" in said
    assert "tied (mean of 3 seeds, opposite in sign to that of the medians)" in said


def test_several_models_with_seeds_share_their_variance() -> None:
    records = [
        make_trained({"full": loss + seed / 1e4}, label=label, seed=seed)
        for label, loss in (("rnn", 0.1), ("rnn-stable", 0.2), ("lstm", 0.3))
        for seed in range(1 if label == "rnn-stable" else 3)
    ]
    (said,) = sentences.stable(board_of(*records))
    assert "worse (means of 1 and 3 seeds)" in said


def test_recurrent_and_feed_forward_models_at_equal_k() -> None:
    board = board_of(make_trained(FAST, label="tcn", stateful=False), make_trained(SLOW))
    said = " ".join(sentences.kinds(board))
    one = "in one training each"
    assert f"better {one} at k = 4, 8 and full; worse {one} at k = 1 and 2." in said
    assert "lstm and tcn, 0.100 ±0.010 against 0.450 ±0.010, −0.3500" in said
    assert sentences.kinds(board_of(make_trained(SLOW), make_trained(FAST, label="gru"))) == []


def test_kinds_are_compared_if_one_is_better_than_chance_and_trained_as_usual() -> None:
    board = board_of(
        make_trained({1: 1.2, 8: 0.995, "full": 0.5}, label="tcn", stateful=False),
        make_trained({1: 1.1, 8: 0.9, "full": 0.4}),
        make_trained({1: 0.2, 8: 0.2, "full": 0.2}, k_train=1),  # by no recipe
    )
    (verdicts, full) = sentences.kinds(board)
    assert verdicts.endswith(
        "better in one training each at k = 8 and full; neither significantly better than chance "
        "at k = 1."
    )
    assert full.startswith("With the full context: lstm and tcn, 0.400 ±0.010 against 0.500")
    (best, at_one, *_) = sentences.needs(board)
    assert "(lstm, k_train 1 at k = 1)" in best
    assert at_one.endswith("0.200 ±0.010 (lstm, k_train 1).")


def test_trained_at_k_and_truncated_to_k() -> None:
    cut: Losses = {1: 0.9, 2: 0.6, 4: 0.3, 8: 0.1, "full": 0.1}
    records = [make_trained(cut, usual_k=8, k_train=8)]
    for k, loss in ((1, 0.7), (2, 0.6), (4, 0.35)):
        own: Losses = {k: loss, "full": loss}
        records.append(make_trained(own, usual_k=8, k_train=k, state="reset"))
    (said,) = sentences.trained_at(board_of(*records))
    assert said == (
        "lstm (state reset), trained at k instead of truncated to k: better in one training each "
        "at k = 1; worse in one training each at k = 4; the same within 1 % in one training each "
        "at k = 2; the largest difference, at k = 1, is −0.2000 (−0.2000 to −0.2000) (one seed "
        "each, over targets)."
    )


def test_other_differences_of_models_trained_at_k() -> None:
    cut: Losses = {1: 0.9, 2: 0.6, 4: 0.3, "full": 0.3}
    records = []
    cells: list[tuple[Context, int, int]] = [
        (1, 1, 100), (2, 1, 250), (4, 3, 500), ("full", 8, 1000),
    ]  # fmt: skip
    for k, field, targets in cells:
        own: Losses = cut if k == "full" else {k: 0.5, "full": 0.5}
        record = make_trained(own, k_train=k, label="tcn", stateful=False)
        result = {**record.training["result"], "targets": targets}
        records.append(
            replace(
                record,
                model={**record.model, "receptive_field": {"declared": field}},
                training={**record.training, "result": result},
            )
        )
    (said,) = sentences.trained_at(board_of(*records))
    assert said.endswith(
        "(one seed each, over targets). Trained at k = 2 and 4, its layers have a receptive field "
        "of 1 and 3. It was trained on 10 to 50 % as many targets as the truncated one."
    )
    (alike,) = sentences.trained_at(board_of(records[-1], replace(records[0], training={
        **records[0].training, "result": records[-1].training["result"],
    })))  # fmt: skip
    assert alike.endswith("(one seed each, over targets).")


def test_models_trained_at_k_are_not_better_below_chance() -> None:
    cut = make_trained({1: 1.5, 4: 0.5, "full": 0.5}, usual_k=4, k_train=4)
    own = make_trained({1: 1.2, "full": 1.2}, usual_k=4, k_train=1)
    (said,) = sentences.trained_at(board_of(cut, own))
    assert "truncated to k: neither significantly better than chance at k = 1;" in said


def test_a_best_model_is_named_with_its_training_setting() -> None:
    usual = make_trained({"full": 0.1})
    short = replace(make_trained({"full": 0.05}), environment={"dtype": "bfloat16"})
    (best, *_) = sentences.needs(board_of(usual, short))
    assert "(lstm, bfloat16)" in best


def test_context_needs_are_listed_in_order() -> None:
    board = board_of(
        make_trained({1: 0.1, 8: 0.1, "full": 0.1}, label="a"),
        make_trained({1: 0.1, 8: 0.1, "full": 0.1}, label="b"),
        make_trained({1: 0.9, 8: 0.2, "full": 0.2}, label="c"),
        make_trained({1: 0.9, 8: 0.5, "full": 0.2}, label="d"),
        make_trained({1: 1.0, 8: 1.0, "full": 1.0}, label="e"),
        make_trained({1: 0.999, 8: 0.995, "full": 0.995}, label="g", half=0.001),
        make_trained({1: 0.5}, label="f"),
    )
    assert sentences.uses(board) == [
        "Context need k*(1 %): a and b: 1; c: 8; d: > 8; g: gain below 1 %; e: never better than "
        "chance; f: not known."
    ]
