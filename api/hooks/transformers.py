"""The callback of the Trainer of Hugging Face's transformers."""

from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

if TYPE_CHECKING:
    from seqmem.api.training_curve import TrainingCurve

__all__ = ["TransformersCallback"]


class TransformersCallback(TrainerCallback):  # type: ignore[misc]  # its types are not read
    """Logs a curve at every evaluation.

    The names begin with ``eval_``, as those of all numbers of an evaluation: with it,
    `metric_for_best_model` finds them, and trackers do not show them among those of training.
    """

    def __init__(self, curve: "TrainingCurve", trainer: Any) -> None:
        """Take what is measured, and the trainer that logs it: callbacks are not told of it."""
        self._curve, self._trainer, self._trains = curve, trainer, False
        self._step: int | None = None  # of training, at which these numbers were measured
        self._numbers = dict[str, float]()

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Check that the model can be measured, before it is trained."""
        self._step = None
        self._trains = True
        self._curve.check(others["model"])

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Measure at every evaluation from here on: the model may be the best one, not the last."""
        self._trains = False

    def on_evaluate(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Measure and log once at a step, even if several sets are evaluated there."""
        if not self._trains or state.global_step != self._step:
            found = self._curve(others["model"])
            before = self._step, self._numbers
            self._step = state.global_step
            self._numbers = {f"eval_{name}": value for name, value in found.items()}
            if (self._step, self._numbers) != before:
                self._trainer.log(dict(self._numbers))
        others["metrics"].update(self._numbers)
