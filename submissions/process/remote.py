"""An ONNX file or Python code in a process of its own, measured like any other model."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from seqmem.errors import SubmissionError
from seqmem.submissions.own_files import inside
from seqmem.submissions.process.launch import (
    hidden_within,
    import_path,
    package_folders,
    worker_command,
)
from seqmem.submissions.process.limits import Limits
from seqmem.submissions.process.process_model import ProcessModel, private_folders
from seqmem.submissions.process.sandbox import check_sandbox, sandboxed
from seqmem.submissions.process.worker import FORMATS
from seqmem.submissions.python_factory import Factory
from seqmem.tasks.task import InputSpec

__all__ = ["RemoteModel"]

MOST_NAMES = 1 << 22  # bytes of all names of the files that code has read


class RemoteModel(ProcessModel):
    """An ONNX file or Python code in a process of its own; see ProcessModel.

    Attributes:
        parameters_declared: the number of parameters as the model reports it; None: unknown.
        weights_declared: the hash of its weights as it reports it; empty: unknown.
    """

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
        form = "python" if isinstance(source, Factory) else "onnx"
        super().__init__(form, threads=threads, limits=limits, sandbox=sandbox)
        self._source, self._inputs, self._outputs = source, inputs, outputs
        self._seed, self._hidden = seed, hidden
        self._declared = context
        self.receptive_field = context
        self.floats_per_step = outputs
        self.parameters_declared: int | None = None
        self.weights_declared = ""

    def __enter__(self) -> "RemoteModel":
        """Start the process and load the model.

        Raises:
            SubmissionError: there is no sandbox, or the model does not load.
        """
        request = {
            "inputs": asdict(self._inputs),
            "outputs": self._outputs,
            "seed": self._seed,
        }
        data = self._source if isinstance(self._source, bytes) else b""
        if isinstance(self._source, Factory):
            request["factory"] = self._source.to_json()
        facts = self._start(self._command(), request, data)
        if self._declared is None:
            self.receptive_field = _positive_integer(facts.get("receptive_field"))
        self.parameters_declared = _positive_integer(facts.get("parameters"))
        if not FORMATS[self._format].runs_code:  # code remembers as it likes
            self._carried = _positive_integer(facts.get("state_floats")) or 0
            self.stateful = self._carried > 0
            self._features = _positive_integer(facts.get("features")) or 0
            self.floats_per_step = self._features or self._outputs
        weights = facts.get("weights_sha256")
        if isinstance(weights, str) and re.fullmatch("[0-9a-f]{64}", weights):
            self.weights_declared = weights
        return self

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

    def files_read(self, places: Sequence[Path]) -> list[Path]:
        """Return the files in some places that code has read, as its process reports them.

        Raises:
            SubmissionError: it reports something else.
        """
        data = self._running().fetch({"ask": "files"}, [], MOST_NAMES)
        try:
            names = [str(name) for name in json.loads(data)]
        except (ValueError, TypeError, RecursionError):
            raise SubmissionError("the model's process reports no names of files") from None
        return inside(names, places)

    def _command(self) -> list[str]:
        """Return the command that runs the worker, in a sandbox where it needs one."""
        factory = self._source if isinstance(self._source, Factory) else None
        folder = [] if factory is None else [str(factory.folder)]
        if not self._sandbox:
            return worker_command(self._limits, [*import_path(), *folder])
        check_sandbox(self._format if factory is None else factory.text)
        secrets = private_folders()
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
