"""`seqmem.ablate`: what of the far context a trained model uses, from Python."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from seqmem.api.requests import computing, logger
from seqmem.api.training import Run
from seqmem.errors import InputError
from seqmem.measuring.ablation import Ablated, Ablation, Ablations
from seqmem.measuring.ablation_text import ablation_rows, ablation_text
from seqmem.measuring.device import find_device
from seqmem.submissions.ablate import ablate_trained
from seqmem.submissions.measure import model_name
from seqmem.submissions.opening import OpenOptions
from seqmem.tasks import load_task
from seqmem.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AblatedModel", "ablate"]


class AblatedModel:
    """What of the far context a model uses; printed, it is the table of `seqmem ablate`."""

    def __init__(self, found: Ablations, name: str) -> None:
        """Take what was found, and the model's name."""
        self._found, self._name = found, name

    @property
    def ablations(self) -> tuple[Ablated, ...]:
        """Each ablation, with its excess over whole windows and its share."""
        return self._found.found

    @property
    def frame(self) -> "pd.DataFrame":
        """A data frame with a row for each ablation and every number."""
        import pandas as pd

        return pd.DataFrame(ablation_rows(self._found))

    def __repr__(self) -> str:
        """Return it in one line."""
        found = self._found
        return f"{self._name} on {found.task}: {len(found.found)} ablations at k = {found.k:,}"

    def __str__(self) -> str:
        """Return the table."""
        return ablation_text(self._found, self._name, "table")


def ablate(
    model: nn.Module | str | Run,
    task: str | Task | None = None,
    *,
    beyond: int | Sequence[int],
    kinds: Sequence[Ablation] | None = None,
    k: int | None = None,
    targets: int = 2000,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    verbose: bool = True,
) -> AblatedModel:
    """Replace what is far in the context of a trained model, and return what that costs.

    Args:
        model: as for `measure`; of a run the first seed.
        task: the task or its id; None: that of the run.
        beyond: how many of the latest inputs stay as they are: one number, or several.
        kinds: what is in place of the others, as `seqmem ablate --help` says; None: all that apply.
        k: inputs of a window; None: the longest context that may help, at most 512.
        targets: how many are scored.
        seed: of the targets and the shuffles.
        device: "auto", "cpu" or "cuda".
        threads: that torch may use; None: as many as it would.
        verbose: whether lines about progress are written to stderr.

    Raises:
        InputError: there is no such model or task, or a number is out of range.
        CellError: the model cannot be measured.
    """
    single = model.model if isinstance(model, Run) else model
    if isinstance(model, Run) and task is None:
        task = model.task
    if task is None:
        raise InputError("no task is given: ablate(model, 'wikitext-2', beyond=32)")
    if isinstance(task, str):
        task = load_task(task)
    name = str(model.cells[0].model) if isinstance(model, Run) else model_name(single)
    with computing(threads, verbose):
        found = ablate_trained(
            single,
            task,
            logger(verbose),
            OpenOptions(trust=True, threads=threads),
            beyond=[beyond] if isinstance(beyond, int) else beyond,
            kinds=kinds,
            k=k,
            targets=targets,
            seed=seed,
            device=find_device(device),
        )
    return AblatedModel(found, name)
