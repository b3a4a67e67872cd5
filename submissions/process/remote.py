"""A model in a process of its own, measured as any other; targets stay in this process."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqmem.errors import CellError, SubmissionError
from seqmem.submissions.code_files import hidden_within
from seqmem.submissions.process.child import Child
from seqmem.submissions.process.launch import import_path, worker_command
from seqmem.submissions.process.limits import Limits
from seqmem.submissions.process.sandbox import check_sandbox, shut_in, visible_path
from seqmem.submissions.process.worker import FORMATS
from seqmem.submissions.python_factory import Factory, parse_factory
from seqmem.tasks.data.sources import cache_directory, data_directory
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import InputSpec

__all__ = ["RemoteModel", "Submission"]

# What one answer may hold, in numbers: 2 GiB, as much as one pass may give.
LARGEST = 1 << 29


@dataclass(frozen=True)
class Submission:
    """A model as it was handed in.

    Attributes:
        format: one of the worker's formats.
        data: the file's bytes, where the format is read from bytes.
        factory: ``file.py:build`` or ``package.module:build``, where it is code.
    """

    format: str
    data: bytes = b""
    factory: str = ""


class RemoteModel(SequenceModel):
    """Sends inputs to a process and takes outputs: they are its features, the readout the identity.

    A context manager: the process lives from enter to exit. Outputs come only for the positions
    asked for, and on the CPU. Wherever the process breaks a rule, that is one CellError.

    Attributes:
        parameters_declared: how many parameters the model says it has; None: it does not say.
    """

    float32_only = True

    def __init__(
        self,
        submission: Submission,
        inputs: InputSpec,
        outputs: int,
        *,
        context: int | None = None,
        seed: int = 0,
        threads: int = 1,
        limits: Limits | None = None,
        sandbox: bool | None = None,
        hidden: Sequence[Path] = (),
    ) -> None:
        """Take the model and what it is to do; nothing is started yet.

        Args:
            submission: the model.
            inputs: what one input is.
            outputs: how many numbers it gives for each.
            context: its receptive field; None: what it says itself, or all inputs.
            seed: for a factory.
            threads: for its arithmetic.
            limits: what it may take; None: the usual.
            sandbox: whether it is shut in; None: where its format runs code.
            hidden: folders that code must not see though they are in its own, besides those of
                data and of tools.
        """
        super().__init__()
        self._submission, self._inputs, self._outputs = submission, inputs, outputs
        self._seed, self._threads, self._hidden = seed, threads, hidden
        self._limits = limits or Limits()
        self._sandbox = FORMATS[submission.format].runs_code if sandbox is None else sandbox
        self._resources = ExitStack()
        self._child: Child | None = None
        self._declared = context
        self.receptive_field = context
        self.floats_per_step = outputs
        self.parameters_declared: int | None = None

    def __enter__(self) -> "RemoteModel":
        """Start the process and load the model.

        Raises:
            SubmissionError: it cannot be shut in, or does not load.
        """
        request = {
            "format": self._submission.format,
            "inputs": asdict(self._inputs),
            "outputs": self._outputs,
            "seed": self._seed,
            "threads": self._threads,
        }
        factory = None
        if self._submission.factory:
            factory = parse_factory(self._submission.factory)
            request |= {"factory": factory.text, "folder": str(factory.folder)}
            if factory.file is not None:
                request["file"] = str(factory.file)
        command = self._command(factory)
        with ExitStack() as stack:
            child = stack.enter_context(Child(command, self._limits, threads=self._threads))
            facts = child.open(request, [self._submission.data])
            if self._declared is None:
                self.receptive_field = _count(facts.get("receptive_field"))
            self.parameters_declared = _count(facts.get("parameters"))
            self._child, self._resources = child, stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self._child = None
        self._resources.close()

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return None if self._child is None else self._child.pid

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Give the outputs at all positions: (B, L, outputs)."""
        shape = tuple(inputs.shape[:2])
        rows, columns = torch.ones(shape).nonzero(as_tuple=True)
        return self.features_at(inputs, rows, columns)[0].reshape(*shape, -1), None

    def features_at(
        self, inputs: Tensor, rows: Tensor, columns: Tensor, state: State = None
    ) -> tuple[Tensor, State]:
        """Give the outputs at some positions: (m, outputs).

        Raises:
            ModelMemoryError: the process has not enough memory for that many inputs.
            CellError: the model fails, or its process broke a rule, died or did not answer.
        """
        if self._child is None:
            raise CellError("the model's process is not running: use the model in a `with` block")
        if len(rows) * self._outputs > LARGEST:
            raise CellError(
                f"{len(rows):,} positions of {self._outputs:,} outputs are more than one answer "
                f"holds, {LARGEST:,} numbers; ask for shorter contexts"
            )
        if len(rows) == 0:
            return torch.zeros(0, self._outputs), None
        given = inputs.cpu().numpy()
        given = given.astype(np.float32 if inputs.is_floating_point() else np.int64, copy=False)
        arrays = [given, *(part.cpu().numpy().astype(np.int64) for part in (rows, columns))]
        header = {"shape": list(given.shape), "dtype": str(given.dtype), "outputs": self._outputs}
        values = self._child.call(header, _bytes(arrays), (len(rows), self._outputs))
        return torch.from_numpy(values), None

    def readout(self, hidden: Tensor) -> Tensor:
        """Pass on what is an output already."""
        return hidden

    def _command(self, factory: Factory | None) -> list[str]:
        """Give what runs the worker, shut in where it must be."""
        folder = [] if factory is None else [str(factory.folder)]
        if not self._sandbox:
            return worker_command(self._limits, [*import_path(), *folder])
        check_sandbox(self._submission.factory or self._submission.format)
        data = data_directory()
        secrets = [cache_directory(), *([data] if data else [])]
        readable = () if factory is None else factory.places()
        for place in readable:
            _check_own_folder(self._submission.factory, place, secrets)
        if factory is not None and factory.file is None:
            folder = [str(place.parent) for place in readable]
        command = worker_command(self._limits, [*visible_path(), *folder])
        return shut_in(command, readable, [*secrets, *hidden_within(readable, self._hidden)])


def _check_own_folder(model: str, folder: Path, secrets: Sequence[Path]) -> None:
    """Refuse a model whose folder shows it more than a model needs.

    Raises:
        SubmissionError: it does.
    """
    if not folder.is_dir():  # nothing else is shown with it
        return
    if folder == Path(folder.anchor) or Path.home().resolve().is_relative_to(folder):
        what = "is, or holds, your home folder"
    elif any(folder.is_relative_to(secret.resolve()) for secret in secrets if secret.is_dir()):
        what = "is in the data or cache directory"
    else:
        return
    raise SubmissionError(
        f"model '{model}': its folder {folder} {what}, all of which it could read; put it into a "
        "folder of its own"
    )


def _bytes(arrays: Sequence[npt.NDArray[np.generic]]) -> list[memoryview]:
    """Give arrays as bytes to send; those of nothing are left out."""
    flat = [np.ascontiguousarray(array) for array in arrays]
    return [array.data.cast("B") for array in flat if array.size]


def _count(value: object) -> int | None:
    """Take a number that a process says, if it is one."""
    good = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 62
    return value if good and isinstance(value, int) else None
