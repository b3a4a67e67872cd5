"""Which strata records are split by, and what each stratum needs and loses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seqmem.errors import InputError
from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.statistics.aggregate import Row
from seqmem.leaderboard.statistics.context_need import ContextNeed, first_within, tolerance
from seqmem.leaderboard.stratified import Stratified, StratumMeans

__all__ = ["SplitRow", "kinds", "needs", "require_kind", "shares", "split_row", "strata_of"]


@dataclass(frozen=True)
class SplitRow:
    """A row of a board, split by strata: the seed with the median full-context loss.

    Attributes:
        record: of that seed.
        strata: its curve in strata.
    """

    record: Record
    strata: Stratified

    def at(self, k: Context) -> StratumMeans | None:
        """Return the means at one context length; None if it was not measured."""
        return next((point for point in self.strata.curve if point.k == k), None)


def kinds(records: Iterable[Record]) -> list[str]:
    """Return what records are split by, each kind once."""
    return list(dict.fromkeys(each.by for record in records for each in record.strata))


def require_kind(records: Sequence[Record], by: str) -> None:
    """Check that some record is split by this.

    Raises:
        InputError: none is; the error names what they are split by.
    """
    known = kinds(records)
    if by in known:
        return
    tasks = ", ".join(dict.fromkeys(record.task.id for record in records))
    if not known:
        raise InputError(
            f"by '{by}': no record of {tasks} has strata; the task has none, or they were measured "
            "before strata were: `seqmem eval` with --results of another folder measures them"
        )
    raise InputError(f"by '{by}': the records of {tasks} are split by {', '.join(known)}")


def strata_of(record: Record, by: str) -> Stratified | None:
    """Return a record's curve in strata of one kind; None if it has none."""
    return next((each for each in record.strata if each.by == by), None)


def split_row(row: Row, by: str) -> SplitRow | None:
    """Return a row split by strata; None if no seed of it is.

    It is the seed with the median full-context loss of those that are, as for the context need.
    """
    found = [
        SplitRow(record, strata)
        for record in row.records
        if (strata := strata_of(record, by)) is not None
    ]
    found.sort(key=lambda each: each.record.curve[-1].loss.mean)
    return found[(len(found) - 1) // 2] if found else None


def needs(split: SplitRow) -> list[ContextNeed]:
    """Return each stratum's context need: where its own loss is near its own full-context loss.

    The tolerance is that of the task: 1 % of perplexity, or of the way from chance to the optimum.
    """
    allowed = tolerance(split.record)
    found = []
    for i in range(len(split.strata.labels)):
        excesses = []
        for point in split.strata.curve:
            if point.k == "full" or point.excess is None or point.excess_half is None:
                continue
            mean, half = point.excess[i], point.excess_half[i] or 0.0
            excesses.append((point.k, mean, mean - half, mean + half))
        if not excesses:
            found.append(ContextNeed("unknown"))
            continue
        need = first_within(excesses, allowed)
        found.append(ContextNeed(need.state, need.k, need.low, need.high, excesses[-1][0]))
    return found


def shares(strata: Stratified, point: StratumMeans) -> list[float] | None:
    """Return each stratum's part of the whole excess at one k; they add up to 1.

    Returns:
        None without full, or where nothing is lost.
    """
    if point.excess is None:
        return None
    parts = [count * excess for count, excess in zip(strata.counts, point.excess, strict=True)]
    whole = sum(parts)
    return [part / whole for part in parts] if whole > 0 else None
