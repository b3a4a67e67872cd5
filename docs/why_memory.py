"""Where context helps on WikiText-2: rare words against frequent ones, and what recall explains."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from seqmem.docs.markup import details, table
from seqmem.leaderboard.statistics.aggregate import Board
from seqmem.leaderboard.statistics.rows import named_rows
from seqmem.leaderboard.statistics.strata import SplitRow, split_row
from seqmem.leaderboard.stratified import StratumMeans
from seqmem.leaderboard.tables.strata_table import strata_tables
from seqmem.leaderboard.tables.wording import shown

if TYPE_CHECKING:
    from seqmem.leaderboard.charts.theme import Spec

__all__ = ["why_charts", "why_parts"]

KINDS = ("frequency", "recurrence")
K = 8  # the least distance at which strata by recurrence divide

INTRODUCTION = f"""Each model's curve on WikiText-2 by kinds of words ([how](why.md)): recipe
`{{budget}}`, one training each, full-context perplexities {{scores}}. What a kind *loses* is its
loss with k = {K} minus that with all words, on the same words."""


@dataclass(frozen=True)
class Estimate:
    """A number with half its 95 % interval."""

    value: float
    half: float

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends of the interval."""
        return self.value - self.half, self.value + self.half


def why_parts(boards: Sequence[Board], folder: str) -> list[str]:
    """Return who gains from what: two sentences, charts and tables.

    Args:
        boards: of one task, one for each recipe; that with the most models in strata counts.
        folder: of the charts, as the page names it.
    """
    found = _most_split(boards)
    if found is None:
        return []
    board, models = found
    scores = ", ".join(f"{name} {shown(named_rows(board)[name].scores['full'])}" for name in models)
    parts = [
        "## Who gains from what",
        INTRODUCTION.format(budget=board.rows[0].budget, scores=scores),
        frequency_sentence({name: split["frequency"] for name, split in models.items()}),
        recall_sentence({name: split["recurrence"] for name, split in models.items()}),
    ]
    parts += [
        f"![What each kind of word loses with k words, by {by}]({folder}/{_chart(by)})"
        for by in KINDS
    ]
    parts += [
        details(f"By {by}", [notes, table(rows)])
        for by, notes, rows in strata_tables(board)
        if by in KINDS
    ]
    return parts


def why_charts(boards: Sequence[Board]) -> dict[str, "Spec"]:
    """Return the charts by the names of their files; none without strata."""
    from seqmem.leaderboard.charts.strata import strata_chart

    found = _most_split(boards)
    if found is None:
        return {}
    return {
        _chart(by): strata_chart({name: split[by] for name, split in found[1].items()}, columns=2)
        for by in KINDS
    }


def _chart(by: str) -> str:
    return f"why-{by}.svg"


def _most_split(
    boards: Sequence[Board],
) -> tuple[Board, dict[str, dict[str, SplitRow]]] | None:
    """Return the board with the most models in strata, of them alone; and those, in strata."""
    best: tuple[Board, dict[str, dict[str, SplitRow]]] | None = None
    for board in boards:
        models = {}
        for name, row in named_rows(board).items():
            split = {by: each for by in KINDS if (each := split_row(row, by)) is not None}
            if len(split) == len(KINDS) and all(each.at(K) for each in split.values()):
                models[name] = split
        if len(models) > (1 if best is None else len(best[1])):
            named = named_rows(board)
            best = replace(board, rows=tuple(named[name] for name in models)), models
    return best


def frequency_sentence(models: Mapping[str, SplitRow]) -> str:
    """Return whether rare words lose more than frequent ones, in how many models."""
    more, told = 0, []
    for name, split in models.items():
        rare, frequent = (_excess(_at(split), i) for i in (0, -1))
        more += rare.ends[0] > frequent.ends[1]
        told.append(f"{name} {_per_cent(rare)} against {_per_cent(frequent)}")
    labels = next(iter(models.values())).strata.labels
    return (
        f"**With {K} words instead of all, rare words lose more than frequent ones in {more} of "
        f"{len(models)} models** (published for LSTMs: Khandelwal et al. 2018, section 4). "
        f"Perplexity of words that training has {labels[0]}, against those of {labels[-1]}: "
        f"{'; '.join(told)}."
    )


def recall_sentence(models: Mapping[str, SplitRow]) -> str:
    """Return what part of the loss falls on words that occurred, but not among the latest K.

    If recall of them were what far words are for, they would lose more than new words do.
    """
    shares = {name: recalled_share(split) for name, split in models.items()}
    first = next(iter(models.values())).strata
    counted = sum(first.counts[1:-1]) / sum(first.counts)
    lowest, highest = (f(share.value for share in shares.values()) for f in (min, max))
    more, told = 0, []
    for name, split in models.items():
        recalled, new = recalled_excess(split), _excess(_at(split), -1)
        more += recalled.ends[0] > new.ends[1]
        told.append(
            f"{name} {_share(shares[name])}, {_per_cent(recalled)} against {_per_cent(new)}"
        )
    beyond_recall = "" if more else ", so that recall alone does not explain it"
    return (
        f"**Of what all words are worth over the {K} latest, {100 * lowest:.0f} to "
        f"{100 * highest:.0f} % falls on words that occurred before in the text, but not among the "
        f"{K} latest. They are {100 * counted:.0f} % of all words, and lose more than new words in "
        f"{more} of {len(models)} models**{beyond_recall}. Share, and "
        f"perplexity of such words against that of new ones: {'; '.join(told)}. Zoology (Arora et "
        "al. 2023, arXiv 2312.04927) finds that recall explains 82 % of the gap between attention "
        "and gated convolutions, of pairs of words and larger models."
    )


def recalled_excess(split: SplitRow) -> Estimate:
    """Return what words lose that occurred, but not among the latest K.

    Half-widths of their strata are added, as if they were wholly dependent.
    """
    point, counts = _at(split), split.strata.counts
    each = [(counts[i], _excess(point, i)) for i in range(1, len(counts) - 1)]
    total = sum(count for count, _ in each)
    return Estimate(
        sum(count * excess.value for count, excess in each) / total,
        sum(count * excess.half for count, excess in each) / total,
    )


def recalled_share(split: SplitRow) -> Estimate:
    """Return the share of the loss at K in all strata by recurrence but the nearest and new words.

    Records do not hold how the part and the whole vary together: the interval takes them as
    independent. They are of the same targets, so that it is rather too wide than too narrow.
    """
    counts, recalled = split.strata.counts, recalled_excess(split)
    whole = split.record.point(K)
    assert whole is not None
    assert whole.excess is not None
    part = sum(counts[1:-1]) / sum(counts)
    low, high = whole.excess.interval or (math.nan, math.nan)
    share = part * recalled.value / whole.excess.mean
    half = math.hypot(part * recalled.half, share * (high - low) / 2) / abs(whole.excess.mean)
    return Estimate(share, half)


def _at(split: SplitRow) -> StratumMeans:
    point = split.at(K)
    assert point is not None
    return point


def _excess(point: StratumMeans, i: int) -> Estimate:
    """Return what a stratum loses to full."""
    assert point.excess is not None
    half = None if point.excess_half is None else point.excess_half[i]
    return Estimate(point.excess[i], math.nan if half is None else half)


def _per_cent(loss: Estimate) -> str:
    """Return a difference of log-losses as one of perplexities, in per cent."""
    value, low, high = (100 * math.expm1(each) for each in (loss.value, *loss.ends))
    return f"{value:+.0f} % ({low:+.0f} to {high:+.0f})".replace("-", "−")


def _share(share: Estimate) -> str:
    low, high = share.ends
    return f"{100 * share.value:.0f} % ({100 * low:.0f} to {100 * high:.0f})".replace("-", "−")
