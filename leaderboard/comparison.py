"""Which of two models is better on a task, by how much, in one sentence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path

from seqmem.errors import InputError, unknown
from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.leaderboard.selection import Selection, select
from seqmem.leaderboard.statistics.aggregate import Board, Row, boards
from seqmem.leaderboard.statistics.differences import Difference, difference
from seqmem.leaderboard.statistics.rows import usual_rows
from seqmem.leaderboard.tables.formatting import rounded
from seqmem.leaderboard.tables.wording import seeds_text

__all__ = ["Comparison", "Side", "compare"]

Side = str | Sequence[Record]
Edition = tuple[str, int, str]  # a task, its version, its data
LARGEST_FIRST = ("full", "medium", "small", "smoke")  # budgets


@dataclass(frozen=True)
class Comparison:
    """Two models on one task at one context length.

    Attributes:
        task: the task's id.
        k: the context length.
        first: the name of a model.
        second: the name of another.
        unit: of the losses.
        budget: both budgets, or the one of both.
        difference: the loss of the first minus that of the second, paired.
    """

    task: str
    k: Context
    first: str
    second: str
    unit: str
    budget: str
    difference: Difference

    @property
    def better(self) -> str | None:
        """The name of the better model; None if no difference is shown."""
        return {-1: self.first, 1: self.second, 0: None}[self.difference.sign]

    def __str__(self) -> str:
        """Return it in one sentence."""
        found = self.difference
        where = f"on {self.task} at k = {self.k}"
        trained = "one training each"
        if found.trainings:
            trained = "one seed" if found.seeds == (1, 1) else f"{seeds_text(found)} seeds"
        pairs = f"paired over test data, {trained}, budget {self.budget}"
        if found.low is None or found.high is None:
            mean = rounded([found.mean], None, "+")[0]
            return (
                f"{where[0].upper()}{where[1:]} the loss of {self.first} minus that of "
                f"{self.second} is {mean} {self.unit}, budget {self.budget}; its interval is not "
                "known."
            )
        half = (found.high - found.low) / 2
        ends = (abs(found.mean), *sorted((abs(found.low), abs(found.high))))
        if self.better is None:
            numbers = [found.mean, found.low, found.high]
            mean, low, high = rounded(numbers, half, "+")
            return (
                f"No difference is shown between {self.first} and {self.second} {where}: "
                f"{mean} {self.unit} (95 % interval {low} to {high}; {pairs})."
            )
        other = self.second if self.better == self.first else self.first
        mean, low, high = rounded(ends, half, exclude_zero=True)
        return (
            f"{self.better} is better than {other} {where}: its loss is lower by {mean} "
            f"{self.unit} (95 % interval {low} to {high}; {pairs})."
        )


def compare(
    first: Side,
    second: Side,
    *,
    k: Context = "full",
    tasks: Sequence[str] = (),
    budget: str | None = None,
    places: Sequence[Path | RemoteResults] = (),
    log: Callable[[str], object] = lambda line: None,
) -> list[Comparison]:
    """Return the comparison of two models on every task that both were measured on.

    Models are compared as their recipes train them, at the largest budget that both have. Two
    names are compared as the board ranks them: with the variance between trainings of all models
    there, and Holm's correction for all pairs.

    Args:
        first: a model's name on the board, a file or folder of records, or records.
        second: another.
        k: the context length.
        tasks: only these; none: all.
        budget: only models trained with it; None: with any.
        places: where names are looked up; none: in the committed records, and in ./results.
        log: called with one line for each file that is no record.

    Raises:
        InputError: there is no such model, or nothing on which both were measured.
    """
    known: list[Board] = []  # of all names, so that both sides are rows of one board
    selected = partial(select, log=log, budget=budget)
    sides = [_rows(each, tasks, places, selected, known) for each in (first, second)]
    boards_by_row = {row: board for board in known for row in board.rows}
    found = []
    for edition in sorted(sides[0].keys() & sides[1].keys()):
        row, other = _pair(sides[0][edition], sides[1][edition])
        board, same = boards_by_row.get(row), boards_by_row.get(other)
        rows = board.rows if board is not None and board is same else (row, other)
        between = difference(rows, row, other, k)
        if between is not None:
            unit = row.records[0].task.unit
            budgets = " and ".join(dict.fromkeys((row.budget, other.budget)))
            found.append(Comparison(edition[0], k, row.label, other.label, unit, budgets, between))
    if not found:
        where = " ".join(f"--task {task}" for task in tasks) or "any task"
        raise InputError(
            f"{_named(first)} and {_named(second)} were not both measured on {where} at k = {k}, "
            "on the same data; `seqmem leaderboard` shows what there is"
        )
    return found


def _rows(
    side: Side,
    tasks: Sequence[str],
    places: Sequence[Path | RemoteResults],
    selected: Callable[[Sequence[Path | RemoteResults], Sequence[str]], Selection],
    known: list[Board],
) -> dict[Edition, list[Row]]:
    """Return the rows of a model by the task, its version and its data.

    Args:
        side: the model.
        tasks: only these; none: all.
        places: where a name is looked up.
        selected: returns the records of places and tasks.
        known: the boards of all names; filled by the first.
    """
    if isinstance(side, str) and not Path(side).exists():
        if "/" in side or side.endswith(".json"):
            raise InputError(
                f"{side}: there is no such file or folder; give a file of records, or a model's "
                "name on the board"
            )
        known[:] = known or boards(selected(places, tasks).records)
        labels = sorted({row.label for board in known for row in board.rows})
        if side not in labels:
            raise unknown("model among the records", side, labels, "seqmem leaderboard")
        made, label = known, side
    else:
        records = selected([Path(side)], ()).records if isinstance(side, str) else side
        if not records:
            raise InputError(f"{side}: there are no records in it; `seqmem eval` makes some")
        made, label = boards(records), None
    found: dict[Edition, list[Row]] = {}
    for board in made:
        task = board.records[0].task
        rows = [row for row in usual_rows(board) if label in (None, row.label)]
        if rows and (not tasks or task.id in tasks):
            found[task.id, task.version, task.data_hash] = rows
    return found


def _pair(ones: Sequence[Row], others: Sequence[Row]) -> tuple[Row, Row]:
    """Return two rows of the same budget, the largest that both have; else the best of each.

    Budgets with the same changes are the same; if there are none, those of the same name.
    """
    for budget in (attrgetter("budget"), _order):
        pairs = [(one, other) for one in ones for other in others if budget(one) == budget(other)]
        if pairs:
            return min(pairs, key=lambda pair: _order(pair[0]))  # the best of a budget come first
    return ones[0], others[0]


def _order(row: Row) -> int:
    """Return the place of a row's budget without its changes, the largest first."""
    name = row.budget.partition(",")[0]
    return LARGEST_FIRST.index(name) if name in LARGEST_FIRST else len(LARGEST_FIRST)


def _named(side: Side) -> str:
    return side if isinstance(side, str) else side[0].model["label"]
