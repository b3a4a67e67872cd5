"""`seqmem.train` and `seqmem.evaluate`: the cells of `seqmem eval`, from Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqmem.api.model_curve import ModelCurve, frame_of
from seqmem.api.picture import Picture, pictured
from seqmem.api.requests import Model, computing, logger, request_of
from seqmem.errors import InputError
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.selection import beside_committed
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.tables.board_table import board_text
from seqmem.measuring.progress_bar import bars_hidden
from seqmem.runs.cell import Cell
from seqmem.runs.evaluate import evaluate as run_cells
from seqmem.runs.plan import plan
from seqmem.runs.run_cell import trained_model
from seqmem.tasks.model import SequenceModel, weights_sha256
from seqmem.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Evaluation", "Run", "cell_of", "evaluate", "train"]

OTHERS = {"suite", "k", "precision", "exact", "jobs"}  # settings that training has no use for


@dataclass(frozen=True, repr=False)
class Run:
    """A model trained on a task, once for each seed.

    Attributes:
        cells: what was trained, and how.
        models: the trained models, in evaluation mode.
        task: the task.
        training: how each was trained, as a record stores it.
    """

    cells: tuple[Cell, ...]
    models: tuple[SequenceModel, ...]
    task: Task
    training: tuple[dict[str, Any], ...]

    @property
    def model(self) -> SequenceModel:
        """The model of the first seed."""
        return self.models[0]

    def __repr__(self) -> str:
        """Return it in one line."""
        cell, results = self.cells[0], [each.get("result") or {} for each in self.training]
        best = ", ".join(f"{r['best_validation']:.4g}" for r in results if "best_validation" in r)
        seeds = ", ".join(str(each.seed) for each in self.cells)
        validation = f", best validation loss {best}" if best else ""
        return f"{cell.model} on {cell.task_id}, budget {cell.budget}, seeds {seeds}{validation}"


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What an evaluation measured.

    Attributes:
        records: one for each cell.
        failures: one line for each cell, or context length, that could not be measured.
    """

    records: tuple[Record, ...]
    failures: tuple[str, ...]

    @property
    def curves(self) -> list[ModelCurve]:
        """The curve of each model on each task, best first."""
        return [ModelCurve(row.records) for board in boards(self.records) for row in board.rows]

    @property
    def frame(self) -> "pd.DataFrame":
        """A data frame with a row for each score."""
        return frame_of(self.records)

    def plot(self, *others: str) -> Picture:
        """Return a picture of every curve, in front of those of other models on the board."""
        return pictured(self.records, others)

    def __repr__(self) -> str:
        """Return the board, with the committed baselines beside the user's own models."""
        board = board_text(boards(beside_committed(self.records)), "table")
        return "\n".join([board.rstrip("\n"), *self.failures])


def train(
    model: Model,
    task: str | Task,
    *,
    budget: str = "small",
    seeds: int | Sequence[int] = 1,
    verbose: bool = True,
    **settings: Any,
) -> Run:
    """Train a model on a task, as `seqmem eval` does; what is trained already is loaded.

    Args:
        model: a class of your own, "my.py:MyLayer", or a baseline's name, with options.
        task: the task or its id.
        budget: smoke (seconds), small (minutes), medium (hours) or full (hours on a GPU).
        seeds: how many, from 0 on; or which.
        verbose: whether progress is shown, and lines about it are written to stderr.
        settings: further options of `request_of`: options, kind, recipe, match, k_train, state,
            device, threads, results, fresh.

    Raises:
        InputError: there is no such task or model, or they do not go together, or a setting is not
            one of training.
        CellError: training diverged.
    """
    for name in OTHERS & settings.keys():
        raise InputError(
            f"{name}={settings[name]!r}: is no setting of training; seqmem.measure or "
            "seqmem.evaluate may take it"
        )
    log = logger(verbose)
    request = request_of(model, task, budget=budget, seeds=seeds, **settings)
    planned = plan(request, log)
    models, training = [], []
    for cell in planned.cells:
        with cell.synchronised(), computing(request.workers.threads, verbose):
            trained, facts = trained_model(cell, planned.tasks[cell.task_id], log)
        # What `seqmem.measure` knows the model's training from, as long as its weights are these.
        vars(trained)["trained_as"] = (cell, weights_sha256(trained))
        models.append(trained.eval())
        training.append(facts)
    found = planned.tasks[planned.cells[0].task_id]
    return Run(planned.cells, tuple(models), found, tuple(training))


def evaluate(
    models: Model | Sequence[Model],
    tasks: str | Task | Sequence[str | Task] = (),
    *,
    verbose: bool = True,
    **settings: Any,
) -> Evaluation:
    """Train and measure models on tasks: `seqmem eval` with the same options.

    Args:
        models: classes of your own, texts as "my.py:MyLayer", or names of baselines.
        tasks: tasks or their ids; none if a `suite` is given.
        verbose: whether progress is shown, and lines about it are written to stderr.
        settings: further options of `request_of`: suite, budget, seeds, k, k_train, recipe, match,
            jobs, threads and others.

    Raises:
        InputError: something requested does not exist or cannot be.
    """
    request = request_of(models, tasks, **settings)
    with bars_hidden(not verbose):
        records, failures = run_cells(request, logger(verbose))
    return Evaluation(tuple(records), tuple(failures))


def cell_of(model: object) -> Cell | None:
    """Return the cell that trained a model, unless its weights have changed since."""
    known = getattr(model, "trained_as", None)
    if known is None or not isinstance(model, SequenceModel):
        return None
    cell, digest = known
    return cell if weights_sha256(model) == digest else None
