"""States that an ONNX model carries, so that it reads a sequence in pieces.

Besides ids or vectors, a graph may read states: inputs whose names begin with "state". The state
after the inputs is the output of the same name with "_out" after it: ``state_h`` and
``state_h_out``. Both are float32, of the same shape, in which the batch is the only axis without a
declared size, wherever it is. At the start of a sequence all states are zero.

Between two calls the states are one array (B, S): S floats of each sequence, all its states one
after the other.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from seqmem.errors import SubmissionError
from seqmem.submissions.extras import imported
from seqmem.submissions.onnx.structure import named, refuse, type_name

if TYPE_CHECKING:
    from onnx import ValueInfoProto

__all__ = [
    "AFTER",
    "BEFORE",
    "CarriedState",
    "StateError",
    "packed",
    "read_states",
    "unpacked",
]

BEFORE, AFTER = "state", "_out"  # how the inputs' names begin; what the outputs' names add
MOST_FLOATS = 1 << 26  # of the states of one sequence: 256 MiB

Floats = npt.NDArray[np.float32]


class StateError(SubmissionError):
    """A graph returned something else than a state."""


@dataclass(frozen=True)
class CarriedState:
    """One state.

    Attributes:
        input: the name of the state before the inputs.
        axis: the place of the batch among the axes.
        sizes: the sizes of the other axes.
    """

    input: str
    axis: int
    sizes: tuple[int, ...]

    @property
    def output(self) -> str:
        """The name of the state after the inputs."""
        return self.input + AFTER

    @property
    def floats(self) -> int:
        """The number of floats for each sequence."""
        return math.prod(self.sizes)

    def shape(self, batch: int) -> tuple[int, ...]:
        """Return the shape for a batch of this size."""
        return (*self.sizes[: self.axis], batch, *self.sizes[self.axis :])


def read_states(
    inputs: "Sequence[ValueInfoProto]",
    outputs: "Sequence[ValueInfoProto]",
    batch: str,
    used: Collection[str],
) -> tuple[CarriedState, ...]:
    """Return the states that a graph declares.

    Args:
        inputs: its inputs that are states.
        outputs: its outputs, without the scores.
        batch: the name of the batch's size in the main input; empty if it has none.
        used: the names that its operators read.

    Raises:
        SubmissionError: one has no counterpart, another type than float32, or no batch axis, or is
            not used.
    """
    states = tuple(_read_state(value, batch) for value in inputs)
    after = {value.name: value for value in outputs}
    for state in states:
        if state.output not in after:
            refuse(
                f"reads the state {named(state.input)} and has no output {named(state.output)}, "
                "the state after the inputs; the first output, the scores, does not count"
            )
        _check_float32(after[state.output])
        if state.input not in used:
            refuse(
                f"never uses the state {named(state.input)}; torch.onnx.export takes two states "
                "for one if it is given one tensor for both"
            )
    for name in after:
        if name.startswith(BEFORE) and name not in {state.output for state in states}:
            refuse(
                f"returns {named(name)}, which is the state of no input: an input 'state_h' "
                "carries its state if the output 'state_h_out' returns it"
            )
    if sum(state.floats for state in states) > MOST_FLOATS:
        refuse(f"carries states of more than {MOST_FLOATS:,} floats for each sequence")
    return states


def _read_state(value: "ValueInfoProto", batch: str) -> CarriedState:
    _check_float32(value)
    dims = value.type.tensor_type.shape.dim
    free = [place for place, dim in enumerate(dims) if dim.dim_value <= 0]
    if len(free) > 1 and batch:
        free = [place for place in free if dims[place].dim_param == batch]
    if len(free) != 1 or sum(dim.dim_value > 0 for dim in dims) != len(dims) - 1:
        shape = ", ".join(
            str(dim.dim_value or (named(dim.dim_param) if dim.dim_param else "?"))
            for dim in dims[:8]
        )
        refuse(
            f"reads the state {named(value.name)} of shape ({shape}); one axis must be without a "
            "fixed size, the batch (torch.onnx.export: dynamic_shapes), and no other"
        )
    sizes = tuple(dim.dim_value for place, dim in enumerate(dims) if place != free[0])
    return CarriedState(value.name, free[0], sizes)


def _check_float32(value: "ValueInfoProto") -> None:
    if value.type.tensor_type.elem_type != imported("onnx", "onnx").TensorProto.FLOAT:
        refuse(
            f"carries the state {named(value.name)} of the type {type_name(value)}; states must be "
            "float32"
        )


def unpacked(states: Sequence[CarriedState], carried: Floats | None, batch: int) -> list[Floats]:
    """Return the value of each state before a call.

    Args:
        states: the states.
        carried: (B, S) what the last call returned; None: the start of the sequences.
        batch: the number of sequences.
    """
    if carried is None:
        return [np.zeros(state.shape(batch), np.float32) for state in states]
    ends = np.cumsum([state.floats for state in states])[:-1]
    return [
        np.ascontiguousarray(np.moveaxis(part.reshape(batch, *state.sizes), 0, state.axis))
        for state, part in zip(states, np.split(carried, ends, axis=1), strict=True)
    ]


def packed(states: Sequence[CarriedState], values: Sequence[object], batch: int) -> Floats:
    """Return the states after a call as one array (B, S).

    Raises:
        StateError: a value has another shape or type than the state before it.
    """
    parts = [np.zeros((batch, 0), np.float32)]
    for state, value in zip(states, values, strict=True):
        if not isinstance(value, np.ndarray) or value.dtype != np.float32:
            raise StateError(f"the model returns {named(state.output)}, which is not float32")
        if value.shape != state.shape(batch):
            raise StateError(
                f"the model returns {named(state.output)} of shape {value.shape} for "
                f"{named(state.input)} of shape {state.shape(batch)}; a state keeps its shape"
            )
        parts.append(np.moveaxis(value, state.axis, 0).reshape(batch, -1))
    return np.concatenate(parts, axis=1)
