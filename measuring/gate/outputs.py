"""Asking a model for outputs at chosen positions, and holding what it gives to its form.

Whatever is asked in the course of an examination must be floats of the right shape, all finite;
the first answer that is not ends it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqmem.errors import CellError
from seqmem.measuring.scoring import for_model, in_batches, is_out_of_memory, pass_steps
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.model import SequenceModel, State, check_features
from seqmem.tasks.task import Task

__all__ = ["Answers", "Asker", "UnusableError", "features_of"]

# Numbers kept of the answers to one batch of windows: of wider ones, fewer positions are compared.
KEPT = 1 << 26
# Windows that are read at once, whatever their length; and, before that, the most numbers at once.
ROWS, READ = 16, 1 << 27
# A loss of so many times chance is out of any range, in training and here.
FAR_OFF = 1e6


class UnusableError(CellError):
    """What a model gives is not finite floats of the right shape; the message says what it gave."""


def features_of(model: SequenceModel, inputs: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Give a model's features at some positions of (B, L, …) inputs: (m,), (m,) -> (m, H)."""
    features: Tensor = model.features_at(inputs, rows, columns)[0]
    return features


@dataclass(frozen=True)
class Answers:
    """What a model gave for a batch of windows.

    Attributes:
        features: (B, C, H) at the positions in `columns`, the same of each window.
        columns: (C,) ascending.
    """

    features: Tensor
    columns: Tensor

    def rows(self, chosen: Sequence[int]) -> "Answers":
        """Keep the answers to some of the windows, in the order asked for."""
        return Answers(self.features[list(chosen)], self.columns)

    @cached_property
    def largest(self) -> Tensor:
        """(H,) the largest size of each feature."""
        features = self.features.flatten(0, 1)
        features = features if features.is_floating_point() else features.float()
        return features.abs().amax(0) if len(features) else features.new_zeros(features.shape[1:])


class Asker:
    """Puts windows before a model.

    Attributes:
        steps: model steps spent so far.
        dtypes: the kinds of floats that the model was seen to use.
        looked_at: how many outputs were looked at and found to be in order.
    """

    def __init__(self, model: SequenceModel, task: Task, device: str) -> None:
        """Take a model in evaluation mode and on the device, and the task that it answers."""
        self.model, self.task, self.device = model, task, device
        self.steps = self.looked_at = 0
        self.dtypes = {p.dtype for p in model.parameters() if p.is_floating_point()}
        self._width = 0  # of features; the largest seen

    def try_out(self, inputs: Tensor) -> None:
        """Read a batch of windows whole, as any model can be read; only its form is looked at.

        Raises:
            UnusableError: it is wrong.
        """
        inputs = for_model(inputs, self.model, self.device)
        features = self._guarded(lambda: self.model.hidden(inputs)[0], inputs)
        try:
            check_features(features, inputs)
        except CellError as error:
            raise UnusableError(str(error)) from None
        self._width = features.shape[-1]
        self.outputs(features.flatten(0, 1))

    def columns(self, rows: int, length: int, first: Sequence[int]) -> Tensor:
        """Choose the positions of windows that are compared: all, where they are not too wide.

        Args:
            rows: how many windows there are.
            length: of a window.
            first: positions to have in any case.
        """
        most = max(KEPT // (rows * max(self._width, 1)), 8)
        if most >= length:
            return torch.arange(length)
        even = np.linspace(0, length - 1, max(most - len(first), 2)).astype(np.int64)
        return torch.from_numpy(np.unique([*even, *first]))

    def ask(self, inputs: Tensor, columns: Tensor) -> Answers:
        """Read windows (B, L, …); give what is found at some positions.

        Raises:
            UnusableError: not finite, or of the wrong form.
        """
        parts: list[Tensor] = []

        def batch(rows: Tensor) -> None:
            some = for_model(inputs[rows], self.model, self.device)
            row = torch.arange(len(rows)).repeat_interleave(len(columns))
            given = self._guarded(
                lambda: features_of(
                    self.model,
                    some,
                    row.to(self.device),
                    columns.repeat(len(rows)).to(self.device),
                ),
                some,
            )
            if given.ndim != 2 or len(given) != len(row):
                raise UnusableError(
                    f"asked for features at {len(row):,} positions, the model gave shape "
                    f"{tuple(given.shape)}"
                )
            self._take(given, columns, length)
            parts.append(given.unflatten(0, (len(rows), len(columns))))
            self.steps += some.shape[0] * some.shape[1]

        length = inputs.shape[1]
        most = max(pass_steps(self.device, self.model) // length, ROWS)
        most = min(most, max(READ // (length * max(self._width, 1)), 1))
        in_batches(torch.arange(len(inputs)), most, batch)
        return Answers(torch.cat(parts), columns)

    def carry(self, inputs: Tensor, pieces: Sequence[int], columns: Tensor) -> Answers:
        """Let a model with state read windows in pieces of these lengths, the state carried."""
        state: State = None
        parts: list[Tensor] = []
        for piece in inputs.split(list(pieces), 1):
            some = for_model(piece, self.model, self.device)
            features, state = self.model.hidden(some, state)
            parts.append(features)
            self.steps += some.shape[0] * some.shape[1]
        whole = torch.cat(parts, 1)[:, columns.to(self.device)]
        self._take(whole.flatten(0, 1), columns, inputs.shape[1])
        return Answers(whole, columns)

    def outputs(self, features: Tensor) -> Tensor:
        """(n, H) features -> (n, outputs) float32, the scores that losses are made of.

        Raises:
            UnusableError: not finite, or of the wrong form.
        """
        outputs = self._guarded(lambda: self.model.readout(features), features)
        if outputs.shape != (len(features), self.task.outputs):
            raise UnusableError(
                f"the model gave outputs of shape {tuple(outputs.shape)} for {len(features)} "
                f"positions, the task asks for {self.task.outputs:,} numbers each"
            )
        if not outputs.is_floating_point():
            raise UnusableError(f"the model gave outputs of type {outputs.dtype}, not floats")
        self.dtypes.add(outputs.dtype)
        outputs = outputs.float()
        usable = outputs.isfinite().all()
        if usable and isinstance(self.task.loss, CrossEntropy):
            if not F.log_softmax(outputs, -1).isfinite().all():
                raise UnusableError("scores are so large that their log-softmax is not finite")
        elif not usable:
            raise UnusableError("an output is not finite (NaN or infinity)")
        self.looked_at += len(outputs)
        return outputs

    def check_losses(self, features: Tensor, targets: Tensor) -> None:
        """Hold the losses (n,) of features (n, H) to being finite, and in some range.

        Raises:
            UnusableError: they are not.
        """
        losses = self.task.loss(self.outputs(features), targets.to(features.device))
        largest = float(losses.max())
        if not losses.isfinite().all() or largest > FAR_OFF * self.task.chance():
            raise UnusableError(
                f"a loss is {largest:.3g}, out of any range: chance is {self.task.chance():.4g}"
            )

    def _take(self, features: Tensor, columns: Tensor, length: int) -> None:
        """Take note of the kind of features (B × C, H), and refuse what is not finite."""
        self._width = max(self._width, features.shape[-1])
        if not features.is_floating_point():
            return
        self.dtypes.add(features.dtype)
        fine = features.isfinite().all(-1)
        if not fine.all():
            place = int(columns[int((~fine).nonzero()[0]) % len(columns)])
            raise UnusableError(
                f"output {place} of a window of {length:,} inputs is not finite (NaN or infinity)"
            )
        self.looked_at += len(features)

    def _guarded(self, work: Callable[[], object], inputs: Tensor) -> Tensor:
        """Let the model work; what it raises becomes one line."""
        try:
            given = work()
        except UnusableError:
            raise
        except CellError as error:
            raise UnusableError(str(error)) from None
        except Exception as error:
            if is_out_of_memory(error):
                raise
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise UnusableError(
                f"for inputs of shape {tuple(inputs.shape)} the model raised {said}"
            ) from None
        if isinstance(given, Tensor):
            return given
        raise UnusableError(f"the model gave {type(given).__name__}, not a tensor")
