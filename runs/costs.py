"""How long cells take relative to each other, as far as the committed records tell."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import mean

from seqmem.leaderboard.record import Record
from seqmem.runs.cell import Cell

__all__ = ["relative_costs"]


def relative_costs(cells: Sequence[Cell], records: Iterable[Record]) -> list[float]:
    """Return a number for each cell that is proportional to the time that it is expected to take.

    It is the mean duration of training and measuring in records of the same model, task and budget,
    else of the same task and budget, else the mean of the other cells.

    Args:
        cells: what will be run.
        records: of earlier runs, on any machine.
    """
    known: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for record in records:
        trained = (record.training.get("result") or {}).get("seconds")
        measured = record.measurement.get("seconds")
        if trained is not None and measured is not None:
            seconds = trained + measured
            name, task, budget = record.model["name"], record.task.id, record.training["budget"]
            for key in ((name, task, budget), (task, budget)):
                known[key].append(seconds)
    found = [
        known.get((cell.model.name, cell.task_id, cell.budget))
        or known.get((cell.task_id, cell.budget))
        for cell in cells
    ]
    usual = mean([mean(each) for each in found if each] or [1.0])
    return [mean(each) if each else usual for each in found]
