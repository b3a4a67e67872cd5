"""From a model's features to losses: the readout in bounded chunks, and batches that fit in memory.

seqmem computes losses from outputs, never the model. A large vocabulary is read out a few targets
at a time; if memory runs out nevertheless, the batch is halved and the work continues.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqmem.errors import CellError
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import Split, Task

__all__ = [
    "Scores",
    "Sink",
    "for_model",
    "in_batches",
    "is_out_of_memory",
    "most_steps",
    "pass_steps",
    "read_at",
]

# Size of one forward pass, in model steps, and of one chunk of the readout, in numbers: on a CPU
# small enough to stay in its caches, on a GPU large enough to keep it busy.
STEPS = {"cpu": 1 << 14, "cuda": 1 << 18}
READOUT = {"cpu": 1 << 22, "cuda": 1 << 28}
# Largest output of one forward pass, in numbers, where features are the outputs: 256 MiB, 2 GiB.
OUTPUTS = {"cpu": 1 << 26, "cuda": 1 << 29}


def pass_steps(device: str, model: SequenceModel) -> int:
    """Return the number of model steps that one forward pass should have."""
    return min(STEPS[torch.device(device).type], most_steps(device, model))


def most_steps(device: str, model: SequenceModel) -> int:
    """Return the number of model steps of one forward pass whose features fit in memory."""
    return max(OUTPUTS[torch.device(device).type] // max(model.floats_per_step, 1), 1)


@dataclass(frozen=True)
class Scores:
    """The scores of some targets at one context length.

    Attributes:
        losses: (n,) float64; not finite where the model's outputs are not.
        correct: (n,) whether the largest output is the target's; None for losses without accuracy.
    """

    losses: npt.NDArray[np.float64]
    correct: npt.NDArray[np.bool_] | None

    def take(self, rows: npt.NDArray[np.int64]) -> "Scores":
        """Return some of the rows, in the order requested."""
        return Scores(self.losses[rows], None if self.correct is None else self.correct[rows])

    @staticmethod
    def join(parts: "list[Scores]") -> "Scores":
        """Return the scores concatenated."""
        correct = [part.correct for part in parts if part.correct is not None]
        return Scores(
            np.concatenate([part.losses for part in parts]),
            np.concatenate(correct) if correct else None,
        )


class Sink:
    """Collects scores at `size` places, in any order; places without a score are NaN.

    Attributes:
        compared: how many targets' features were compared with those of a reference.
        deviation: the largest difference found, relative to the largest reference feature;
            infinite if features are not finite.
    """

    def __init__(
        self,
        model: SequenceModel,
        task: Task,
        split: Split,
        size: int,
        reference: Mapping[int, Tensor] | None = None,
    ) -> None:
        """Take the model, the task and the number of places.

        Args:
            model: computes outputs from features.
            task: the task, which defines outputs and loss.
            split: holds the targets.
            size: the number of places.
            reference: target -> features (H,) with which features are compared; features of other
                targets are not compared.
        """
        self._model, self._task, self._split = model, task, split
        self._losses = np.full(size, np.nan)
        self._correct: npt.NDArray[np.bool_] | None = None
        self._reference = reference or {}
        self.compared, self.deviation = 0, 0.0

    def score(
        self,
        features: Tensor,
        targets: Tensor,
        places: npt.NDArray[np.int64],
        rows: Tensor | None = None,
    ) -> None:
        """Score targets from features, and store the scores at `places`.

        Args:
            features: (m, H).
            targets: (n,) indices of targets.
            places: (n,) where their scores are stored.
            rows: (n,) ascending, the features of each target; None: one each.

        Raises:
            CellError: the model returns outputs of the wrong shape.
        """
        device = features.device
        several = len(features) != len(targets)
        rows = torch.arange(len(targets)) if rows is None else rows
        self._compare(features, targets, rows)

        def chunk(part: Tensor) -> None:
            begin, end = int(part[0]), int(part[-1]) + 1
            first, last = torch.searchsorted(rows, torch.tensor([begin, end])).tolist()
            outputs = self._model.readout(features[begin:end]).float()  # (end − begin, outputs)
            if outputs.shape != (end - begin, self._task.outputs):
                raise CellError(
                    f"the model returned {tuple(outputs.shape[1:])} outputs for each input, "
                    f"the task needs ({self._task.outputs},)"
                )
            wanted = self._split.targets[targets[first:last]].to(device)
            own = (rows[first:last] - begin).to(device)
            losses = self._task.loss(outputs, wanted, own if several else None)
            self.store(places[first:last], losses, self._task.loss.correct(outputs, wanted, own))

        most = max(READOUT[device.type] // self._task.outputs, 1)
        in_batches(torch.arange(len(features)), most, chunk)

    def _compare(self, features: Tensor, targets: Tensor, rows: Tensor) -> None:
        if not self._reference or features.shape[-1] == 0:
            return
        known = [i for i, target in enumerate(targets.tolist()) if target in self._reference]
        if not known:
            return
        others = torch.stack([self._reference[int(targets[i])] for i in known])
        own = features[rows[known].to(features.device)]
        difference = (own.float().cpu() - others.float()).abs().max()
        scale = float(others.abs().max())
        # Features that are not finite agree with nothing.
        relative = float(difference) / scale if scale > 0 else float(difference)
        self.deviation = max(self.deviation, relative if math.isfinite(relative) else math.inf)
        self.compared += len(known)

    def store(
        self, places: npt.NDArray[np.int64], losses: Tensor, correct: Tensor | None = None
    ) -> None:
        """Store losses (n,) at `places` (n,), and whether each target had the largest output."""
        self._losses[places] = losses.double().cpu().numpy()
        if correct is not None:
            if self._correct is None:
                self._correct = np.zeros(len(self._losses), bool)
            self._correct[places] = correct.cpu().numpy()

    def scores(self) -> Scores:
        """Return what was collected."""
        return Scores(self._losses, self._correct)


def for_model(inputs: Tensor, model: SequenceModel, device: str) -> Tensor:
    """Return inputs on the device of the model; floats in the type in which it computes."""
    parameter = next(model.parameters(), None)
    if parameter is None or not inputs.is_floating_point():
        return inputs.to(device)
    return inputs.to(device, parameter.dtype)


def read_at(
    model: SequenceModel, inputs: Tensor, rows: Tensor, columns: Tensor, state: State
) -> tuple[Tensor, State]:
    """Return a model's features at the requested positions, checked for their shape.

    Args:
        model: the model.
        inputs: (B, L) or (B, L, D), on the model's device.
        rows: (m,) which of the B sequences.
        columns: (m,) which of its L inputs.
        state: the state before the inputs; None: the start of the sequences.

    Returns:
        features (m, H), and the state after the inputs.

    Raises:
        CellError: the model returned something else.
    """
    features, state = model.features_at(inputs, rows, columns, state)
    if features.ndim != 2 or len(features) != len(rows):
        raise CellError(
            f"for features at {len(rows)} positions, the model returned shape "
            f"{tuple(features.shape)}; the first dimension must be the same"
        )
    return features, state


def in_batches(items: Tensor, rows: int, work: Callable[[Tensor], None]) -> None:
    """Process items `rows` at a time; if memory runs out, halve that and continue.

    Args:
        items: (m,) the items.
        rows: how many at once.
        work: processes some of them; may be called again for items at which memory ran out.

    Raises:
        RuntimeError: even one item does not fit in memory (torch.OutOfMemoryError on a GPU).
    """
    while len(items) > 0:
        batch = items[:rows]
        try:
            work(batch)
        except (MemoryError, RuntimeError) as error:
            if len(batch) == 1 or not is_out_of_memory(error):
                raise
            rows = len(batch) // 2
        else:
            items = items[rows:]
            continue
        # After the handler, so that the error's frames no longer hold what did not fit.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is a lack of memory: on the CPU torch raises a RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "not enough memory" in text
    )
