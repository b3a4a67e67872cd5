"""Boards as one flat table: a row for each score, for other programs to read."""

from collections.abc import Callable, Sequence

from seqmem.leaderboard.published import TRUST, UNITS, Published
from seqmem.leaderboard.record import Point, Record
from seqmem.leaderboard.statistics.aggregate import Board, score, state_trained
from seqmem.leaderboard.statistics.bits_held import bits_held
from seqmem.leaderboard.statistics.ranks import Rank, ranks
from seqmem.leaderboard.statistics.rows import other_names

__all__ = ["COLUMNS", "flat"]

# What each column holds of a measured score; None in those of published numbers alone.
COLUMNS: dict[str, Callable[[Record, Point, Rank | None], object]] = {
    "task": lambda record, point, rank: record.task.id,
    "task_version": lambda record, point, rank: record.task.version,
    "model": lambda record, point, rank: record.model["label"],
    "k_train": lambda record, point, rank: record.training["k_train"],
    "state": lambda record, point, rank: state_trained(record),
    "budget": lambda record, point, rank: record.training["budget"],
    "seed": lambda record, point, rank: record.training["seed"],
    "k": lambda record, point, rank: point.k,
    "n": lambda record, point, rank: point.n,
    "method": lambda record, point, rank: point.method,
    "loss": lambda record, point, rank: point.loss.mean,
    "half_width": lambda record, point, rank: point.half_width,
    "loss_low": lambda record, point, rank: (point.loss.interval or (None, None))[0],
    "loss_high": lambda record, point, rank: (point.loss.interval or (None, None))[1],
    "loss_unit": lambda record, point, rank: record.task.unit,
    "perplexity": lambda record, point, rank: (
        score(record, point.loss.mean) if record.task.score != "loss" else None
    ),
    "excess_over_full": lambda record, point, rank: point.excess.mean if point.excess else None,
    "accuracy": lambda record, point, rank: point.accuracy[0] if point.accuracy else None,
    "optimum": lambda record, point, rank: point.optimum,
    "chance": lambda record, point, rank: record.task.chance,
    "parameters": lambda record, point, rank: record.model["parameters"],
    "trust": lambda record, point, rank: record.trust,
    "k_at_most": lambda *_: None,
    "printed": lambda *_: None,
    "printed_unit": lambda *_: None,
    "source": lambda *_: None,
    "note": lambda *_: None,
    "state_floats": lambda record, point, rank: point.state_floats,
    "rank_best": lambda record, point, rank: rank.best if rank else None,
    "rank_worst": lambda record, point, rank: rank.worst if rank else None,
    "bits_held": lambda record, point, rank: _held(record, point)[0],
    "bits_held_low": lambda record, point, rank: _held(record, point)[1],
    "bits_held_high": lambda record, point, rank: _held(record, point)[2],
    "bits_per_float": lambda record, point, rank: _held(record, point)[3],
}


def flat(boards: Sequence[Board], published: Sequence[Published] = ()) -> dict[str, list[object]]:
    """Return the columns of a table of every score; None for what is missing.

    It has a row for each task, model, k_train, budget, seed and k, published numbers last.

    A published number is listed under ``loss`` or ``perplexity`` only if it is that score of the
    task; ``printed`` and ``printed_unit`` are the number and what it is. ``k_at_most`` is set if
    only a bound on its context is known. ``rank_best`` and ``rank_worst`` bound the rank at that k,
    of all seeds of the model together. ``note`` names the other labels of the same model.
    """
    scores: list[tuple[Record, Point, Rank | None]] = []
    notes: list[object] = []
    for board in boards:
        places = {k: ranks(board.rows, k) for k in board.contexts}
        others = other_names(board)
        for i, row in enumerate(board.rows):
            names = others.get(row.label)
            note = f"same model as {', '.join(names)}" if names else None
            for record in row.records:
                points = [point for point in record.curve if point.k in places]
                scores += [(record, point, places[point.k][i]) for point in points]
                notes += [note] * len(points)
    printed = [_printed(entry) for entry in published]
    columns = {name: [read(*score) for score in scores] for name, read in COLUMNS.items()}
    columns["note"] = notes
    return {
        name: [*cells, *(entry.get(name) for entry in printed)] for name, cells in columns.items()
    }


def _held(record: Record, point: Point) -> tuple[float | None, ...]:
    """Return bits held, both ends of their interval, and bits per float."""
    found = bits_held(record, point.k)
    if found is None:
        return (None,) * 4
    return found.bits, *(found.interval or (None, None)), found.per_float


def _printed(entry: Published) -> dict[str, object]:
    column = UNITS[entry.unit].score
    return {
        "task": entry.task,
        "model": entry.model,
        "k": entry.context,
        "loss": entry.score if column == "loss" else None,
        "loss_unit": entry.unit if column == "loss" else None,
        "perplexity": entry.score if column == "perplexity" else None,
        "parameters": entry.parameter_count,
        "trust": TRUST,
        "k_at_most": entry.at_most,
        "printed": entry.printed,
        "printed_unit": entry.unit,
        "source": str(entry.source),
        "note": entry.note or None,
    }
