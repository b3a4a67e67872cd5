"""A model in a process of its own, measured like any other; targets stay in this process."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqmem.errors import CellError
from seqmem.submissions.process.child import Child
from seqmem.submissions.process.launch import (
    hidden_within,
    import_path,
    package_folders,
    worker_command,
)
from seqmem.submissions.process.limits import Limits
from seqmem.submissions.process.sandbox import check_sandbox, sandbox_problem, sandboxed
from seqmem.submissions.process.worker import FORMATS
from seqmem.submissions.python_factory import Factory
from seqmem.tasks.data.sources import cache_directory, data_directory
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import InputSpec

__all__ = ["RemoteModel"]

LARGEST = 1 << 29  # numbers in one answer: 2 GiB, as much as one pass may return


class RemoteModel(SequenceModel):
    """A model that sends its inputs to a process and receives its outputs.

    Its hidden features are the outputs, and its readout is the identity. It is a context manager:
    the process lives from enter to exit. Outputs are on the CPU, and computed for the requested
    positions only. Wherever the process breaks a rule, a CellError is raised.

    Attributes:
        parameters_declared: the number of parameters as the model reports it; None: unknown.
    """

    float32_only = True

    def __init__(
        self,
        source: bytes | Factory,
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
        """Configure the model; `__enter__` starts its process.

        Args:
            source: an ONNX file's bytes, or the function that builds the model.
            inputs: what one input is.
            outputs: the number of outputs for each input.
            context: its receptive field; None: the one that it declares itself, or all inputs.
            seed: seed for a factory.
            threads: number of threads for its arithmetic.
            limits: limits of its process; None: the default ones.
            sandbox: whether it runs in a sandbox; None: if its format runs code, or there is one.
            hidden: folders that code must not see even in its own folder, besides those of data
                and of tools.
        """
        super().__init__()
        self._source, self._inputs, self._outputs = source, inputs, outputs
        self._format = "python" if isinstance(source, Factory) else "onnx"
        self._seed, self._threads, self._hidden = seed, threads, hidden
        self._limits = limits or Limits()
        if sandbox is None:
            sandbox = FORMATS[self._format].runs_code or not sandbox_problem()
        self._sandbox = sandbox
        self._child: Child | None = None
        self._declared = context
        self.receptive_field = context
        self.floats_per_step = outputs
        self.parameters_declared: int | None = None

    def __enter__(self) -> "RemoteModel":
        """Start the process and load the model.

        Raises:
            SubmissionError: there is no sandbox, or the model does not load.
        """
        request = {
            "format": self._format,
            "inputs": asdict(self._inputs),
            "outputs": self._outputs,
            "seed": self._seed,
            "threads": self._threads,
        }
        data = self._source if isinstance(self._source, bytes) else b""
        if isinstance(self._source, Factory):
            request["factory"] = self._source.to_json()
        with ExitStack() as stack:  # ends the process if the model does not load
            child = Child(
                self._command(),
                self._limits,
                threads=self._threads,
                cwd="/" if self._sandbox else None,  # the sandbox has an empty one of its own
            )
            facts = stack.enter_context(child).open(request, [data])
            stack.pop_all()
        if self._declared is None:
            self.receptive_field = _positive_integer(facts.get("receptive_field"))
        self.parameters_declared = _positive_integer(facts.get("parameters"))
        self._child = child
        return self

    def __exit__(self, *error: object) -> None:
        """End the process."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def restart(self) -> None:
        """Start code of its own in a new process, where it remembers nothing; a graph never does.

        What the model declares of itself stays.

        Raises:
            SubmissionError: it does not load again.
        """
        if FORMATS[self._format].runs_code and self._child is not None:
            declared = self.receptive_field
            self.__exit__()
            self.__enter__()
            self.receptive_field = declared

    @property
    def isolation(self) -> str:
        """What separates the model from this machine, for its record."""
        return "bubblewrap, without network" if self._sandbox else "a process with limits"

    @property
    def pid(self) -> int | None:
        """The process id; None while there is no process."""
        return None if self._child is None else self._child.pid

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Return the outputs at all positions: (B, L, outputs)."""
        shape = tuple(inputs.shape[:2])
        rows, columns = torch.ones(shape).nonzero(as_tuple=True)
        return self.features_at(inputs, rows, columns)[0].reshape(*shape, -1), None

    def features_at(
        self, inputs: Tensor, rows: Tensor, columns: Tensor, state: State = None
    ) -> tuple[Tensor, State]:
        """Return the outputs at some positions: (m, outputs).

        Raises:
            ModelMemoryError: the process has too little memory for that many inputs.
            CellError: the model fails, or its process broke a rule, died or did not answer.
        """
        if self._child is None:
            raise CellError("the model's process is not running: use the model in a `with` block")
        if len(rows) * self._outputs > LARGEST:
            raise CellError(
                f"{len(rows):,} positions of {self._outputs:,} outputs are more than one answer "
                f"holds, {LARGEST:,} numbers; choose shorter contexts"
            )
        if len(rows) == 0:
            return torch.zeros(0, self._outputs), None
        given = inputs.cpu().numpy()
        given = given.astype(np.float32 if inputs.is_floating_point() else np.int64, copy=False)
        arrays = [given, *(part.cpu().numpy().astype(np.int64) for part in (rows, columns))]
        header = {"shape": list(given.shape), "dtype": str(given.dtype), "outputs": self._outputs}
        payload = [np.ascontiguousarray(part).data.cast("B") for part in arrays if part.size]
        values = self._child.call(header, payload, (len(rows), self._outputs))
        return torch.from_numpy(values), None

    def readout(self, hidden: Tensor) -> Tensor:
        """Return the features themselves, which are outputs."""
        return hidden

    def _command(self) -> list[str]:
        """Return the command that runs the worker, in a sandbox where it needs one."""
        factory = self._source if isinstance(self._source, Factory) else None
        folder = [] if factory is None else [str(factory.folder)]
        if not self._sandbox:
            return worker_command(self._limits, [*import_path(), *folder])
        check_sandbox(self._format if factory is None else factory.text)
        data = data_directory()
        secrets = [cache_directory(), *([data] if data else [])]
        readable: tuple[Path, ...] = ()
        if factory is not None:
            readable = factory.places()
            for place in readable:
                _check_own_folder(factory, place, secrets)
            if factory.file is None:
                folder = [str(place.parent) for place in readable]
        command = worker_command(self._limits, [*package_folders(), *folder])
        return sandboxed(command, readable, [*secrets, *hidden_within(readable, self._hidden)])


def _check_own_folder(factory: Factory, folder: Path, secrets: Sequence[Path]) -> None:
    """Refuse a model whose folder contains more than a model needs.

    Raises:
        SubmissionError: it does.
    """
    if not folder.is_dir():  # a file: nothing else becomes readable with it
        return
    if folder == Path(folder.anchor) or _contains_home(folder):
        problem = "is, or contains, your home folder"
    elif any(folder.is_relative_to(secret.resolve()) for secret in secrets if secret.is_dir()):
        problem = "is in the data or cache directory"
    else:
        return
    raise factory.refusal(
        f"its folder {folder} {problem}, all of which it could read; move it to its own folder"
    )


def _contains_home(folder: Path) -> bool:
    try:
        return Path.home().resolve().is_relative_to(folder)
    except RuntimeError:  # there is no home folder
        return False


def _positive_integer(value: object) -> int | None:
    """Return a value reported by a process if it is a positive integer, else None."""
    return value if type(value) is int and 0 < value < 1 << 62 else None
