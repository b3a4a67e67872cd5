"""The five findings say of records made by hand what is known of them."""

from dataclasses import replace

import pytest

from seqmem.docs import sentences
from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.statistics.aggregate import Board
from seqmem.leaderboard.statistics.differences import difference
from seqmem.tests.records import Losses, board_of, make_trained

NEVER: Losses = {1: 1.0, 4: 1.0, "full": 1.0}
SEEDS = range(3)


def trained(losses: Losses, label: str = "lstm", **fields: object) -> list[Record]:
    """Return three seeds that differ a little."""
    return [
        make_trained(
            {k: loss + seed / 1e4 for k, loss in losses.items()},
            label=label,
            seed=seed,
            stateful=not label.startswith("tcn"),
            **fields,  # type: ignore[arg-type]
        )
        for seed in SEEDS
    ]


def board(*rows: list[Record]) -> Board:
    return sentences.by_gain(board_of(*[record for records in rows for record in records]))


def test_a_feed_forward_model_replaces_a_recurrent_one_from_a_k_on() -> None:
    short = trained({1: 0.9, 4: 0.24, 8: 0.22, "full": 0.22}, "tcn")
    some = board(short, trained({1: 0.9, 4: 0.5, 8: 0.2, "full": 0.2}))
    found = sentences.kinds([some])
    assert found is not None
    assert "loses at most 5 % of the gain" in found.text
    assert "on 1 of 1 task**" in found.text
    assert "with k = 4 on toy/T=3. With all inputs, it is worse on 1 (" in found.text
    (row,) = found.rows
    forward, recurrent = (next(r for r in some.rows if r.label == x) for x in ("tcn", "lstm"))
    paired = difference(some.rows, forward, recurrent, 8)
    assert paired is not None
    assert paired.low is not None
    assert paired.high is not None
    # The optimum is 0 and chance 1: per cent of the gain are hundredths of the loss.
    assert (row.mean, row.low, row.high) == pytest.approx(
        (100 * paired.mean, 100 * paired.low, 100 * paired.high)
    )
    assert row.text(" %") in found.text


def test_nothing_is_claimed_of_ties() -> None:
    wide = [
        make_trained(
            {1: 0.9, 4: loss, "full": loss}, label=label, seed=seed, stateful=label == "lstm"
        )
        for label, seeds in (("tcn", (0.1, 0.5, 0.2)), ("lstm", (0.4, 0.1, 0.3)))
        for seed, loss in enumerate(seeds)
        for losses in [{1: 0.9, 4: loss, "full": loss}]
    ]
    found = sentences.kinds([board(wide)])
    assert found is not None
    assert "on 0 of 1 task**" in found.text
    assert "Not settled: k = " in found.text
    assert "it is tied on 1." in found.text
    assert "better" not in found.text
    assert "worse" not in found.text
    # Equal to within 1 %, with intervals that exclude zero or not, is no claim either.
    same = sentences.kinds([board(trained({4: 0.2, "full": 0.2}, "tcn"), trained(NEVER | {
        "full": 0.201, 4: 0.201,
    }))])  # fmt: skip
    assert same is not None
    assert "it is tied on 1." in same.text


def test_models_that_learned_nothing_are_no_comparison() -> None:
    some = [board(trained(NEVER, "tcn"), trained(NEVER), trained(NEVER, "lstm-stable"))]
    assert sentences.kinds(some) is None
    assert sentences.stable(some) is None
    assert sentences.words(some) is None
    said = sentences.known_optimum(some)
    assert said is not None
    assert "on 0 of 1 task" in said.text
    assert "no model learned it on toy/T=3" in said.text
    assert said.text.endswith("come lstm, lstm-stable and tcn on none.")
    assert sentences.known_optimum([board(trained(NEVER, optimum=None))]) is None


def test_a_recurrent_model_that_learned_nothing_is_not_replaced() -> None:
    found = sentences.kinds([board(trained({1: 0.9, 4: 0.1, "full": 0.1}, "tcn"), trained(NEVER))])
    assert found is not None
    assert "on 0 of 0 tasks**" in found.text
    assert "it is better on 1 (toy/T=3, −90.0" in found.text


def test_a_feed_forward_model_that_never_comes_close_is_told() -> None:
    tcn = trained({1: 0.9, 8: 0.5, "full": 0.5}, "tcn")
    found = sentences.kinds([board(tcn, trained({1: 0.9, 8: 0.1, "full": 0.1}))])
    assert found is not None
    assert "on 0 of 1 task**" in found.text
    assert "It loses more on toy/T=3 up to k = 8." in found.text


def test_the_best_model_uses_what_the_optimum_needs_or_less() -> None:
    def with_optimum(records: list[Record], optimum: Losses) -> list[Record]:
        return [
            replace(r, curve=tuple(replace(p, optimum=optimum[p.k]) for p in r.curve))
            for r in records
        ]

    ideal: Losses = {1: 0.9, 4: 0.0, 8: 0.0, "full": 0.0}
    early = with_optimum(trained({1: 0.9, 4: 0.001, 8: 0.001, "full": 0.001}, "tcn"), ideal)
    late = with_optimum(trained({1: 0.9, 4: 0.8, 8: 0.2, "full": 0.2}), ideal)
    found = sentences.known_optimum([board(early, late)])
    assert found is not None
    assert "on 1 of 1 task**" in found.text
    assert "99 % of the possible gain: k = 4 on toy/T=3." in found.text
    assert "Within 5 % of that gain come tcn on 1; lstm on none." in found.text
    found = sentences.known_optimum([board(late)])
    assert found is not None
    assert "on 0 of 1 task**" in found.text
    assert "k = 8 on toy/T=3, optimum 4" in found.text


def lstm(full: float, budget: str, score: str = "loss") -> list[Record]:
    losses: Losses = {1: 6.0, 32: full + 0.1, 64: full, "full": full}
    return [make_trained(losses, task="wikitext-2", chance=7.0, optimum=None, budget=budget,
                         score=score)]  # fmt: skip


def test_the_longest_trained_lstm_is_told_with_what_truncation_costs() -> None:
    boards = [board(lstm(full, budget, "perplexity")) for full, budget in
              ((4.6, "medium"), (5.3, "small"))]  # fmt: skip
    found = sentences.words(boards)
    assert found is not None
    assert (
        "**An LSTM at perplexity 99.48 ±0.99 uses k = 64 words**: with so many it is within 1 % of "
        "the gain of its loss with all, on wikitext-2 (lstm, budget medium, 1 training)"
        in found.text
    )
    # exp(0.1) − 1 = 10.5 %, the same on every group of targets
    assert "its perplexity changes by +10.52 % (+10.52 to +10.52)." in found.text
    assert found.text.endswith(
        "With less training: perplexity 200.3 ±2.0 and k = 64 at budget small."
    )
    assert found.records == boards[0].records
    assert [row.name for row in found.rows] == ["k = 1", "k = 32", "k = 64"]
    assert found.rows[1].mean == pytest.approx(100 * 0.1 / (7.0 - 4.6))
    assert found.rows[1].word == "worse"
    assert found.rows[1].one


def test_needs_are_for_a_share_of_the_gain_not_of_the_loss() -> None:
    """1 % of chance, 0.1, would be 10 % of what this model gains."""
    records = trained({1: 9.9, 4: 9.05, 8: 9.0, "full": 9.0}, chance=10.0, optimum=None)
    plain = board_of(*records)
    (row,), (scaled,) = plain.rows, sentences.by_gain(plain).rows
    assert (row.need.k, scaled.need.k) == (4, 8)
    assert {need.k for need in scaled.needs} == {8}


def test_stable_models_are_told_by_task_with_the_largest_difference() -> None:
    worse = board(
        trained({4: 0.3, "full": 0.2}, "lstm-stable", task="a"),
        trained({4: 0.3, "full": 0.1}, task="a"),
    )
    better = board(
        trained({4: 0.3, "full": 0.1}, "lstm-stable", task="b"),
        trained({4: 0.3, "full": 0.15}, task="b"),
    )
    found = sentences.stable([worse, better])
    assert found is not None
    assert "lstm-stable against lstm: better on 1 (b) and worse on 1 (a), most different on a" in (
        found.text
    )
    assert [(row.name, row.word) for row in found.rows] == [
        ("lstm-stable on a", "worse"), ("lstm-stable on b", "better"),
    ]  # fmt: skip
    assert found.rows[0].text(" %") in found.text
    (one,) = sentences.stable([board(trained({"full": 0.2}, "lstm-stable")[:1],
                                     trained({"full": 0.1})[:1])]).rows  # type: ignore[union-attr] # fmt: skip
    assert one.one
    assert " in one training each" in sentences.amount(one)


def test_trained_at_k_and_cut_to_k() -> None:
    records = trained({1: 0.9, 2: 0.6, 4: 0.3, 8: 0.1, "full": 0.1}, usual_k=8, k_train=8)
    for k, loss in ((1, 0.7), (2, 0.6), (4, 0.35)):
        own: Losses = {k: loss, "full": loss}
        records += trained(own, usual_k=8, k_train=k, state="reset")
    found = sentences.trained_at([board(records)])
    assert found is not None
    assert (
        "On toy/T=3, lstm (state reset): better at k = 1, worse at k = 4 and tied at k = 2, most "
        "different at k = 1, −20.000 % (" in found.text
    )
    assert [row.word for row in found.rows] == ["better", "tied", "worse"]
    assert sentences.trained_at([board(trained(NEVER))]) is None


def test_other_differences_of_models_trained_at_k_are_told() -> None:
    records = []
    cells: list[tuple[Context, int, int]] = [(2, 1, 100), (4, 3, 500), ("full", 8, 1000)]
    for k, field, targets in cells:
        losses: Losses = {2: 0.6, 4: 0.3, "full": 0.3} if k == "full" else {k: 0.5, "full": 0.5}
        records += [
            replace(record, model={**record.model, "receptive_field": {"declared": field}})
            for record in trained(losses, "tcn", k_train=k, result={"targets": targets})
        ]
    found = sentences.trained_at([board(records)])
    assert found is not None
    assert "tcn (layers that read only 1 and 3 inputs) (on 10 to 50 % as many targets):" in (
        found.text
    )
