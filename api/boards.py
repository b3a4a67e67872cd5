"""`seqmem.leaderboard`, `seqmem.plot`, `seqmem.compare`, and the lists of tasks and models."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seqmem.api.model_curve import ModelCurve, frame_of
from seqmem.api.picture import Picture, pictured
from seqmem.api.requests import logger
from seqmem.baselines import BASELINES
from seqmem.cli.listings import model_rows, task_rows
from seqmem.errors import InputError, unknown
from seqmem.leaderboard.charts.sweep import sweep_chart
from seqmem.leaderboard.comparison import Comparison
from seqmem.leaderboard.comparison import compare as compare_models
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.selection import select
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.statistics.sweep import sweeps
from seqmem.tasks import every_id

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["compare", "leaderboard", "models", "plot", "tasks"]


def tasks() -> "pd.DataFrame":
    """Return every task of the suites: its loss, chance, optimum, context lengths, data."""
    import pandas as pd

    return pd.DataFrame(task_rows()).set_index("task")


def models() -> "pd.DataFrame":
    """Return every baseline with its options, and its size on an example task."""
    import pandas as pd

    return pd.DataFrame(model_rows()).set_index("model")


def leaderboard(
    task: str | Sequence[str] = (), *, records: str | Path | Sequence[str | Path] = ()
) -> "pd.DataFrame":
    """Return records as a data frame with a row for each score.

    Args:
        task: ids of tasks; none: all.
        records: files or folders of records; none: the committed ones, and ./results.

    Raises:
        InputError: there are none.
    """
    named = [task] if isinstance(task, str) else list(task)
    places = [records] if isinstance(records, str | Path) else list(records)
    return frame_of(select([Path(place) for place in places], named, logger(verbose=True)).records)


def plot(task: str, *models: str, against: str | None = None) -> Picture:
    """Return a picture of the records of a task.

    Args:
        task: the task's id; of several tasks of a family, as in ``copy-memory/T=10|30``.
        models: only these.
        against: what scores and bits held with the full context are drawn against instead of k: a
            parameter of the tasks, or "state", the floats of a model's state.

    Raises:
        InputError: there are no records of a task, or none of a model, or no such parameter.
    """
    if against is not None:
        swept = select((), every_id(task), logger(verbose=True), models=models).records
        return Picture(sweep_chart(sweeps(boards(swept), against), list(BASELINES)))
    records = select((), every_id(task), logger(verbose=True)).records
    labels = sorted({record.model["label"] for record in records})
    for name in models:
        if name not in labels:
            raise unknown("model among the records", name, labels, "seqmem leaderboard")
    return pictured([r for r in records if not models or r.model["label"] in models])


def compare(
    first: ModelCurve | str,
    second: ModelCurve | str,
    *,
    k: Context = "full",
    task: str | None = None,
    budget: str | None = None,
) -> Comparison:
    """Return which of two models is better on a task, and by how much: a paired difference.

    Args:
        first: a curve, a model's name on the board, or a file of records.
        second: another.
        k: the context length.
        task: the task; None: that of the curve.
        budget: of models named here; None: the largest that both were trained with.

    Raises:
        InputError: there is no such model, or they were not measured on the same task at k.
    """
    for each in (first, second):
        if not isinstance(each, ModelCurve | str):
            raise InputError(
                f"{each!r} is no model: give a curve, a model's name on the board, or a file of "
                "records"
            )
    curves = [each for each in (first, second) if isinstance(each, ModelCurve)]
    wanted = task or (curves[0].task if curves else None)
    sides = [each.records if isinstance(each, ModelCurve) else each for each in (first, second)]
    found = compare_models(sides[0], sides[1], k=k, tasks=[wanted] if wanted else (), budget=budget)
    return found[0]
