"""A model whose outputs are computed in another process; targets stay in this one."""

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqmem.errors import CellError, ModelMemoryError
from seqmem.submissions.process.child import Child
from seqmem.submissions.process.limits import Limits
from seqmem.submissions.process.protocol import Header
from seqmem.submissions.process.sandbox import sandbox_problem
from seqmem.submissions.process.worker import FORMATS
from seqmem.tasks.data.sources import cache_directory, data_directory
from seqmem.tasks.model import SequenceModel, State

__all__ = ["ProcessModel", "private_folders"]

LARGEST = 1 << 29  # numbers in one answer: 2 GiB, as much as one pass may return


class ProcessModel(SequenceModel):
    """A model that sends its inputs to a process and receives its outputs.

    Its hidden features are the outputs, and its readout is the identity, unless the process tells
    them apart. It is a context manager: the process lives from enter to exit. Outputs are on the
    CPU, and returned for the requested positions only. Wherever the process breaks a rule, a
    CellError is raised.
    """

    float32_only = True

    def __init__(
        self, form: str, *, threads: int, limits: Limits | None, sandbox: bool | None
    ) -> None:
        """Configure the model.

        Args:
            form: its format, one of FORMATS.
            threads: number of threads for its arithmetic.
            limits: limits of its process; None: the default ones.
            sandbox: whether it runs in a sandbox; None: if its format runs code, or there is one.
        """
        super().__init__()
        self._format, self._threads, self._limits = form, threads, limits or Limits()
        if sandbox is None:
            sandbox = FORMATS[form].runs_code or not sandbox_problem()
        self._sandbox = sandbox
        self._child: Child | None = None
        self._outputs = 0
        self._features = 0  # for each position; 0 where features are the outputs
        self._carried = 0  # floats of one sequence's states; 0 for a model without state

    def _start(
        self, command: Sequence[str], request: Mapping[str, Any], data: bytes = b""
    ) -> Header:
        """Start the process and load the model; return what it reports.

        Args:
            command: the command that runs the worker.
            request: what the format's opener is called with, besides format and threads.
            data: the file's bytes.

        Raises:
            SubmissionError: the model does not load.
        """
        opening = {"format": self._format, "threads": self._threads, **request}
        with ExitStack() as stack:  # ends the process if the model does not load
            child = Child(
                command,
                self._limits,
                threads=self._threads,
                cwd="/" if self._sandbox else None,  # the sandbox has an empty one of its own
            )
            facts = stack.enter_context(child).open(opening, [data])
            stack.pop_all()
        self._child = child
        return facts

    def __exit__(self, *error: object) -> None:
        """End the process."""
        if self._child is not None:
            self._child.close()
            self._child = None

    @property
    def isolation(self) -> str:
        """What separates the model from this machine, for its record."""
        return "bubblewrap, without network" if self._sandbox else "a process with limits"

    @property
    def pid(self) -> int | None:
        """The process id; None while there is no process."""
        return None if self._child is None else self._child.pid

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Return the features at all positions (B, L, H), and the states after them."""
        shape = tuple(inputs.shape[:2])
        rows, columns = torch.ones(shape).nonzero(as_tuple=True)
        outputs, state = self.features_at(inputs, rows, columns, state)
        return outputs.reshape(*shape, -1), state

    def features_at(
        self, inputs: Tensor, rows: Tensor, columns: Tensor, state: State = None
    ) -> tuple[Tensor, State]:
        """Return the features at some positions (m, H), and the states after all inputs.

        The states are one tensor (B, S), which the process gets back with the next inputs; None
        for a model without state.

        Raises:
            ModelMemoryError: the process has too little memory for that many inputs, or an answer
                could not hold what is requested.
            CellError: the model fails, or its process broke a rule, died or did not answer.
        """
        child, carried = self._running(), (len(inputs), self._carried)
        width = self._features or self._outputs
        size = len(rows) * width
        if size + math.prod(carried) > LARGEST:
            states = f" and {len(inputs):,} states of {self._carried:,} floats"
            raise ModelMemoryError(  # with fewer sequences at once it may fit
                f"{len(rows):,} positions of {width:,} outputs{states * self.stateful} are "
                f"more than one answer holds, {LARGEST:,} numbers; choose shorter contexts"
            )
        if len(rows) == 0 and not self.stateful:
            return torch.zeros(0, width), None
        given = inputs.cpu().numpy()
        given = given.astype(np.float32 if inputs.is_floating_point() else np.int64, copy=False)
        arrays = [given, *(part.cpu().numpy().astype(np.int64) for part in (rows, columns))]
        header = {"shape": list(given.shape), "dtype": str(given.dtype), "outputs": width}
        shape: tuple[int, ...] = (len(rows), width)
        if self.stateful:
            before = np.zeros((0, self._carried), np.float32) if state is None else state.numpy()
            header["carried"], shape = list(before.shape), (size + math.prod(carried),)
            arrays.insert(1, before)
        payload = [np.ascontiguousarray(part).data.cast("B") for part in arrays if part.size]
        values = torch.from_numpy(child.call(header, payload, shape))
        if not self.stateful:
            return values, None
        # A copy, so that a state that is stored does not keep the outputs.
        after = values[size:].reshape(carried).clone()
        return values[:size].reshape(len(rows), width), after

    def state_size(self, context: int) -> int | None:
        """Return the number of floats of the states, the same after any number of inputs."""
        return self._carried or None

    def readout(self, hidden: Tensor) -> Tensor:
        """(…, H) -> (…, outputs): by the process, unless features are the outputs.

        Raises:
            ModelMemoryError: as for `features_at`.
            CellError: as for `features_at`.
        """
        if not self._features:
            return hidden
        if hidden.numel() == 0:
            return hidden.new_zeros(*hidden.shape[:-1], self._outputs)
        features = np.ascontiguousarray(hidden.flatten(0, -2).cpu().numpy(), np.float32)
        shape = (len(features), self._outputs)
        if math.prod(shape) > LARGEST:
            raise ModelMemoryError(
                f"{shape[0]:,} positions of {shape[1]:,} outputs are more than one answer holds"
            )
        header = {"shape": list(features.shape), "dtype": "float32", "readout": True}
        values = self._running().call(header, [features.data.cast("B")], shape)
        return torch.from_numpy(values).reshape(*hidden.shape[:-1], -1)

    def _running(self) -> Child:
        if self._child is None:
            raise CellError("the model's process is not running: use the model in a `with` block")
        return self._child


def private_folders() -> list[Path]:
    """Return the folders of data, which no model may read."""
    data = data_directory()
    return [cache_directory(), *([data] if data else [])]
