"""Boards as one flat table: a row for each score, for other programs to read."""

from collections.abc import Sequence

from seqmem.leaderboard.aggregate import Board, score, state_trained
from seqmem.leaderboard.published import TRUST, UNITS, Published
from seqmem.leaderboard.record import Point, Record
from seqmem.leaderboard.statistics.ranks import Rank, ranks

__all__ = ["COLUMNS", "flat"]

COLUMNS = (
    "task",
    "task_version",
    "model",
    "k_train",
    "state",
    "budget",
    "seed",
    "k",
    "n",
    "method",
    "loss",
    "half_width",
    "loss_low",
    "loss_high",
    "loss_unit",
    "perplexity",
    "excess_over_full",
    "accuracy",
    "optimum",
    "chance",
    "parameters",
    "trust",
    "k_at_most",
    "printed",
    "printed_unit",
    "source",
    "note",
    "state_floats",
    "rank_best",
    "rank_worst",
)


def flat(boards: Sequence[Board], published: Sequence[Published] = ()) -> dict[str, list[object]]:
    """Return the columns of a table of every score; None for what is missing.

    It has a row for each task, model, k_train, budget, seed and k, published numbers last.

    A published number is listed under ``loss`` or ``perplexity`` only if it is that score of the
    task; ``printed`` and ``printed_unit`` are the number and what it is. ``k_at_most`` is set if
    only a bound on its context is known. ``rank_best`` and ``rank_worst`` bound the rank at that k,
    of all seeds of the model together.
    """
    rows = []
    for board in boards:
        places = {k: ranks(board.rows, k) for k in board.contexts}
        rows += [
            _measured(record, point, places[point.k][i])
            for i, row in enumerate(board.rows)
            for record in row.records
            for point in record.curve
        ]
    rows += map(_printed, published)
    return {name: [row.get(name) for row in rows] for name in COLUMNS}


def _measured(record: Record, point: Point, rank: Rank | None) -> dict[str, object]:
    return {
        "task": record.task.id,
        "task_version": record.task.version,
        "model": record.model["label"],
        "k_train": record.training["k_train"],
        "state": state_trained(record),
        "budget": record.training["budget"],
        "seed": record.training["seed"],
        "k": point.k,
        "n": point.n,
        "method": point.method,
        "loss": point.loss.mean,
        "half_width": point.half_width,
        "loss_low": point.loss.interval[0] if point.loss.interval else None,
        "loss_high": point.loss.interval[1] if point.loss.interval else None,
        "loss_unit": record.task.unit,
        "perplexity": score(record, point.loss.mean) if record.task.score != "loss" else None,
        "excess_over_full": point.excess.mean if point.excess else None,
        "accuracy": point.accuracy[0] if point.accuracy else None,
        "optimum": point.optimum,
        "chance": record.task.chance,
        "parameters": record.model["parameters"],
        "trust": record.trust,
        "state_floats": point.state_floats,
        "rank_best": rank.best if rank else None,
        "rank_worst": rank.worst if rank else None,
    }


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
