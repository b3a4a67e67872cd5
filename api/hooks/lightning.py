"""The callback of Lightning, under either of its names: lightning.pytorch or pytorch_lightning."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or "pytorch_lightning" not in sys.modules:
    from lightning.pytorch import Callback
else:
    from pytorch_lightning import Callback

if TYPE_CHECKING:
    from seqmem.api.training_curve import TrainingCurve

__all__ = ["LightningCallback"]


class LightningCallback(Callback):  # type: ignore[misc]  # its types are not read
    """Logs a curve at the end of every validation; a `ModelCheckpoint` may monitor its numbers."""

    def __init__(self, curve: "TrainingCurve") -> None:
        """Take what is measured."""
        self._curve = curve

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Check that the model can be measured, before it is trained."""
        self._curve.check(pl_module)

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Measure and log, but not in the trial run before training."""
        if not trainer.sanity_checking:
            pl_module.log_dict(self._curve(pl_module))
