"""Who gains from what: sentences from records with known strata."""

from dataclasses import replace

import pytest

from seqmem.docs.why_memory import recalled_share, why_charts, why_parts
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.statistics.strata import split_row
from seqmem.leaderboard.stratified import Stratified, StratumMeans
from seqmem.tests.records import Losses, make_record, split_by

COUNTS = (30, 50, 20)  # near, before, new
LOSSES: Losses = {8: 5.5, 32: 5.1, "full": 5.0}


def split(label: str, *, rare: float = 0.05) -> Record:
    """Return a record whose words that occurred before make up 80 % of what k = 8 loses."""
    record = split_by(make_record(LOSSES, label=label, task="wikitext-2", score="perplexity",
                                  chance=7.0, unit="nats per word"), spread=rare)  # fmt: skip
    curve = []
    for point in record.curve:
        excess = point.loss.mean - 5.0
        each = (0.0, 0.8 * 100 / 50 * excess, 0.2 * 100 / 20 * excess)
        losses = tuple(5.0 + more for more in each)
        half = (0.0, 0.02, 0.0) if excess else (0.0, 0.0, 0.0)
        curve.append(StratumMeans(point.k, losses, half, each, half))
    labels = ("at most 8 ago", "9–64 ago", "new")
    strata = Stratified("recurrence", "how long ago it occurred", labels, COUNTS, tuple(curve))
    return replace(record, strata=(*record.strata, strata))


def test_the_share_of_words_that_occurred_before() -> None:
    (row,) = boards([split("lstm")])[0].rows
    found = split_row(row, "recurrence")
    assert found is not None
    share = recalled_share(found)
    assert share.value == pytest.approx(0.8)
    # 50 of 100 words with ±0.02, the whole of 0.5 with ±0.001: as if both were independent.
    assert share.half == pytest.approx(((0.5 * 0.02) ** 2 + (0.8 * 0.001) ** 2) ** 0.5 / 0.5)


def test_models_are_counted_whose_rare_words_lose_more() -> None:
    board = boards([split("lstm"), split("gru"), split("tcn", rare=-0.05)])
    text = "\n".join(why_parts(board, "charts"))
    assert "rare words lose more than frequent ones in 2 of 3 models" in text
    # exp(0.5 + 0.15) − 1 ± and exp(0.5 − 0.05) − 1
    assert "lstm +92 % (+88 to +95) against +57 % (+55 to +58)" in text
    assert "80 to 80 % falls on words that occurred before" in text
    assert "They are 50 % of all words, and lose more than new words in 3 of 3 models**. Sh" in text
    # exp(0.8 ± 0.02) − 1 and exp(0.5) − 1
    assert "lstm 80 % (78 to 82), +123 % (+118 to +127) against +65 % (+65 to +65)" in text
    assert set(why_charts(board)) == {"why-frequency.svg", "why-recurrence.svg"}
    assert "<summary>By recurrence</summary>" in text


def test_without_two_models_in_strata_nothing_is_said() -> None:
    plain = make_record(LOSSES, label="gru", task="wikitext-2", score="perplexity", chance=7.0)
    board = boards([split("lstm"), plain])
    assert why_parts(board, "charts") == []
    assert why_charts(board) == {}
