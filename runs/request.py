"""What a user asks of an evaluation, before it is checked."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.measuring.precision import USUAL, Precision
from seqmem.measuring.settings import DType
from seqmem.tasks.task import Context

__all__ = ["LOCAL", "KTrain", "Request", "TrainingState", "Workers"]

LOCAL = "local"  # the address of a Ray that is started on this machine

KTrain = Context | Literal["diagonal"] | None  # as requested; None: the recipe's
TrainingState = Literal["carried", "reset"]


@dataclass(frozen=True)
class Workers:
    """The processes that run cells.

    Attributes:
        jobs: cells run at once, at most; None: one, or with Ray as many as it has room for.
        threads: of each cell; None: the cores divided among processes, or with Ray 1.
        ray: the address of a Ray cluster, LOCAL for one that is started here, None for no Ray.
        retries: how often a cell is retried when its process died.
        memory: what a cell requests from Ray, GiB; None: nothing is reserved.
        gpus: what a cell on a GPU requests from Ray: a fraction lets several share one.
        devices: how many devices train one model together.
    """

    jobs: int | None = None
    threads: int | None = None
    ray: str | None = None
    retries: int = 2
    memory: float | None = None
    gpus: float = 1.0
    devices: int = 1


@dataclass(frozen=True)
class Request:
    """What the user asked for, as text where it is still to be checked.

    Attributes:
        models: baselines with options.
        tasks: task ids; either these or a suite.
        suite: the name of a suite.
        contexts: context lengths to score; None for each task's own.
        k_trains: contexts to train with; None in it stands for the recipe's, "diagonal" for every
            context of the task's grid that a model can be trained with, and full.
        state: whether a recurrent model's state is carried between training segments or reset.
        seeds: seeds of training.
        budget: name of the training budget; None for the suite's, else small.
        precision: the requested half-width of every mean's interval; None: every target is scored.
        every_k: whether every whole number up to the longest context is measured.
        dtype: the floats that models are measured with.
        train_dtype: the floats that matrix products are computed with in training.
        device: "auto", "cpu" or "cuda".
        results: the folder of records and checkpoints, local or at a URL.
        fresh: whether finished work is ignored.
        workers: the processes that run the cells.
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    suite: str | None = None
    contexts: tuple[Context, ...] | None = None
    k_trains: tuple[KTrain, ...] = (None,)
    state: TrainingState = "carried"
    seeds: tuple[int, ...] = (0,)
    budget: str | None = None
    precision: Precision | None = USUAL
    every_k: bool = False
    dtype: DType = "float32"
    train_dtype: DType = "float32"
    device: str = "auto"
    results: Path | RemoteResults = Path("results")
    fresh: bool = False
    workers: Workers = field(default_factory=Workers)
