"""`seqmem.exponent`: by which law the loss falls with context, from Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seqmem.api.model_curve import ModelCurve
from seqmem.api.requests import Contexts, contexts_of, logger
from seqmem.errors import InputError
from seqmem.measuring.exponent import CurveLaw, Exponents, exponents
from seqmem.measuring.exponent_text import exponent_rows, exponents_text
from seqmem.tasks.correlations import Correlations
from seqmem.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Exponent", "exponent"]


class Exponent:
    """By which law losses fall; printed, it is the report of `seqmem exponent`."""

    def __init__(self, found: Exponents) -> None:
        """Take what was found."""
        self._found = found

    @property
    def curves(self) -> tuple[CurveLaw, ...]:
        """The law of the optimum, or of each model of that name; empty for a corpus alone."""
        return self._found.curves

    @property
    def verdict(self) -> str:
        """Of the first curve: "power law", "exponential", "neither" or "cannot tell"."""
        return self._found.curve.verdict

    @property
    def gamma(self) -> float:
        """The exponent γ of the power law nearest to the first curve, whatever the verdict."""
        return self._found.curve.power_law.value

    @property
    def interval(self) -> tuple[float | None, float | None] | None:
        """The 95 % interval of γ; an end is None where it is unbounded. None for an optimum."""
        return self._found.curve.power_law.interval

    @property
    def corpus(self) -> Correlations | None:
        """How the correlations of a text decay; its `exponent` is β and half its interval."""
        return self._found.corpus

    @property
    def frame(self) -> "pd.DataFrame":
        """A data frame with a row for each curve and every number."""
        import pandas as pd

        return pd.DataFrame(exponent_rows(self._found))

    def __repr__(self) -> str:
        """Return it in one line."""
        verdicts = [f"{curve.model or 'optimum'}: {curve.verdict}" for curve in self.curves]
        return f"{self._found.task}: {'; '.join(verdicts) or 'correlations of the corpus'}"

    def __str__(self) -> str:
        """Return the report."""
        return exponents_text(self._found, "table")


def exponent(
    task: ModelCurve | Task | str,
    model: str | None = None,
    *,
    k: Contexts = None,
    budget: str | None = None,
    records: str | Path | Sequence[str | Path] = (),
) -> Exponent:
    """Return by which law the loss on a task falls with context.

    Args:
        task: a task or its id; or a curve, whose task and model are meant.
        model: a name on the board, or a file or folder of records; None: the task's optimum.
        k: context lengths to fit; None: all, or those at which theory states a law.
        budget: only models trained with it; None: all.
        records: where a name is looked up; none: the committed records, and ./results.

    Raises:
        InputError: there is no such task or model, or nothing to fit.
    """
    places = [Path(each) for each in ([records] if isinstance(records, str | Path) else records)]
    contexts, log = contexts_of(k), logger(verbose=True)
    if isinstance(task, ModelCurve):
        if model is not None:
            raise InputError(f"model '{model}': a curve is of its own model; leave one of both out")
        return Exponent(exponents(task.task, task.records, contexts=contexts, log=log))
    name = task.id if isinstance(task, Task) else task
    found = exponents(name, model, contexts=contexts, budget=budget, places=places, log=log)
    return Exponent(found)
