"""Running a model on windows, with every output checked for shape, type and finiteness.

The first output that is not a finite float of the right shape ends the examination.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqmem.errors import CellError
from seqmem.measuring.arrays import Indices
from seqmem.measuring.gate.probabilities import check_scores
from seqmem.measuring.scoring import for_model, in_batches, is_out_of_memory, pass_steps, read_at
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.model import SequenceModel, State, check_features
from seqmem.tasks.task import Task

__all__ = ["OutputReader", "WindowFeatures"]

# Numbers stored of the features of one batch of windows: of wider features, fewer positions.
STORED = 1 << 26
# Windows read at once, whatever their length; and the most numbers at once, which has priority.
ROWS, READ = 16, 1 << 27
# A loss larger than this many times chance is out of range, in training and here.
FAR_OFF = 1e6


@dataclass(frozen=True)
class WindowFeatures:
    """A model's features for a batch of windows.

    Attributes:
        features: (B, C, H) at the positions `columns`, the same in each window.
        columns: (C,) ascending.
    """

    features: Tensor
    columns: Tensor

    def at(self, flat: Indices) -> Tensor:
        """Return the features (n, H) at indices (n,) into those of all windows, B × C."""
        return self.features.flatten(0, 1)[torch.from_numpy(flat)]

    @cached_property
    def largest(self) -> Tensor:
        """(H,) the largest absolute value of each feature."""
        features = self.features.flatten(0, 1)
        features = features if features.is_floating_point() else features.float()
        return features.abs().amax(0)


class OutputReader:
    """Runs a model on windows.

    Attributes:
        dtypes: the floating-point types that the model uses, as far as seen.
        checked: how many outputs were checked and found valid.
    """

    def __init__(self, model: SequenceModel, task: Task, device: str) -> None:
        """Take a model in evaluation mode and on the device, and its task."""
        self.model, self.task, self.device = model, task, device
        self.checked = 0
        self.dtypes = {p.dtype for p in model.parameters() if p.is_floating_point()}
        self._width = 0  # of features; the largest seen

    def check_form(self, inputs: Tensor) -> None:
        """Read a batch of whole windows through `hidden`, and check the outputs' form only.

        Raises:
            CellError: it is wrong.
        """
        inputs = for_model(inputs, self.model, self.device)
        features = self._guarded(lambda: self.model.hidden(inputs)[0], inputs)
        check_features(features, inputs)
        self._width = features.shape[-1]
        check_scores(self.outputs(features.flatten(0, 1)), self.task.loss)

    def columns(self, rows: int, length: int, first: Sequence[int]) -> Tensor:
        """Choose the positions of windows that are compared: all, if features are narrow enough.

        Args:
            rows: how many windows there are.
            length: length of a window.
            first: positions that are always included.
        """
        most = max(STORED // (rows * max(self._width, 1)), 8)
        if most >= length:
            return torch.arange(length)
        even = np.linspace(0, length - 1, max(most - len(first), 2)).astype(np.int64)
        return torch.from_numpy(np.unique([*even, *first]))

    def read(self, inputs: Tensor, columns: Tensor) -> Tensor:
        """Read windows (B, L, …); return their features at the positions `columns`, (B, C, H).

        Raises:
            CellError: they are not finite, or of the wrong form.
        """
        parts: list[Tensor] = []

        def batch(rows: Tensor) -> None:
            some = for_model(inputs[rows], self.model, self.device)
            given = self._read_at(some, columns, None)[0]
            self._check_features(given.flatten(0, 1), columns, inputs.shape[1])
            parts.append(given)

        in_batches(torch.arange(len(inputs)), self._rows(inputs.shape[1]), batch)
        return torch.cat(parts)

    def read_in_pieces(self, inputs: Tensor, pieces: Sequence[int], columns: Tensor) -> Tensor:
        """Read windows in pieces of these lengths with a model with state, the state carried."""
        parts: list[Tensor] = []

        def batch(rows: Tensor) -> None:
            state: State = None
            begin = 0
            read = []
            for piece in inputs[rows].split(list(pieces), 1):
                own = columns[(columns >= begin) & (columns < begin + piece.shape[1])] - begin
                some = for_model(piece, self.model, self.device)
                features, state = self._read_at(some, own, state)
                read.append(features)
                begin += piece.shape[1]
            whole = torch.cat(read, 1)
            self._check_features(whole.flatten(0, 1), columns, inputs.shape[1])
            parts.append(whole)

        in_batches(torch.arange(len(inputs)), self._rows(inputs.shape[1]), batch)
        return torch.cat(parts)

    def _rows(self, length: int) -> int:
        """Return how many windows of this length to read at once."""
        most = max(pass_steps(self.device, self.model) // length, ROWS)
        return min(most, max(READ // (length * max(self._width, 1)), 1))

    def _read_at(self, inputs: Tensor, columns: Tensor, state: State) -> tuple[Tensor, State]:
        """Read inputs (B, L, …); return features (B, C, H) at columns (C,), and the state."""
        row = torch.arange(len(inputs)).repeat_interleave(len(columns)).to(self.device)
        column = columns.repeat(len(inputs)).to(self.device)
        after: State = None

        def read() -> Tensor:
            nonlocal after
            features, after = read_at(self.model, inputs, row, column, state)
            return features

        given = self._guarded(read, inputs)
        return given.unflatten(0, (len(inputs), len(columns))), after

    def outputs(self, features: Tensor) -> Tensor:
        """(n, H) features -> (n, outputs) float32, the scores from which losses are computed.

        Raises:
            CellError: they are not finite, or of the wrong form.
        """
        outputs = self._guarded(lambda: self.model.readout(features), features)
        if outputs.shape != (len(features), self.task.outputs):
            raise CellError(
                f"the model returned outputs of shape {tuple(outputs.shape)} for {len(features)} "
                f"positions, the task needs {self.task.outputs:,} numbers each"
            )
        if not outputs.is_floating_point():
            raise CellError(f"the model returned outputs of type {outputs.dtype}, not floats")
        self.dtypes.add(outputs.dtype)
        outputs = outputs.float()
        if not outputs.isfinite().all():
            raise CellError("an output is not finite (NaN or infinity)")
        is_scores = isinstance(self.task.loss, CrossEntropy)
        if is_scores and not F.log_softmax(outputs, -1).isfinite().all():
            raise CellError("scores are so large that their log-softmax is not finite")
        self.checked += len(outputs)
        return outputs

    def check_losses(self, features: Tensor, targets: Tensor) -> None:
        """Check that the losses (n,) of features (n, H) are finite and within range.

        Raises:
            CellError: they are not.
        """
        losses = self.task.loss(self.outputs(features), targets.to(features.device))
        largest = float(losses.max())
        if not losses.isfinite().all() or largest > FAR_OFF * self.task.chance():
            raise CellError(
                f"a loss is {largest:.3g}, out of any range: chance is {self.task.chance():.4g}"
            )

    def _check_features(self, features: Tensor, columns: Tensor, length: int) -> None:
        """Record the type of features (B × C, H), and reject features that are not finite."""
        self._width = max(self._width, features.shape[-1])
        if not features.is_floating_point():
            return
        self.dtypes.add(features.dtype)
        finite = features.isfinite().all(-1)
        if not finite.all():
            position = int(columns[int((~finite).nonzero()[0]) % len(columns)])
            raise CellError(
                f"output {position} of a window of {length:,} inputs is not finite "
                "(NaN or infinity)"
            )
        self.checked += len(features)

    def _guarded(self, work: Callable[[], object], inputs: Tensor) -> Tensor:
        """Run the model; turn what it raises into an error of one line."""
        try:
            given = work()
        except Exception as error:
            if isinstance(error, CellError) or is_out_of_memory(error):
                raise
            text = " ".join(f"{type(error).__name__}: {error}".split())
            raise CellError(
                f"for inputs of shape {tuple(inputs.shape)} the model raised {text}"
            ) from None
        if isinstance(given, Tensor):
            return given
        raise CellError(f"the model returned {type(given).__name__}, not a tensor")
