"""Open a submitted model, whatever its format, for one task.

model.onnx              run by onnxruntime in a process with limits, in a sandbox if there is one
weights.safetensors     a baseline, as `seqmem eval` wrote it
hf:DIRECTORY-OR-ID      a Hugging Face causal language model, likewise
model.py:build          a Python factory (also package.module:build), in a sandbox unless trusted
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import torch

from seqmem.baselines import BASELINES
from seqmem.errors import InputError, SubmissionError
from seqmem.leaderboard.selection import ELSEWHERE
from seqmem.measuring.record import MeasuredCurve, measure_model
from seqmem.measuring.settings import MeasurementSettings
from seqmem.provenance import source_sha256
from seqmem.submissions.file_kinds import HEAD, other_kind
from seqmem.submissions.hugging_face.hub import find_model
from seqmem.submissions.hugging_face.loading import load_model
from seqmem.submissions.hugging_face.measure import measure_hugging_face
from seqmem.submissions.hugging_face.remote import RemoteTokenModel
from seqmem.submissions.hugging_face.token_model import TokenModel
from seqmem.submissions.hugging_face.token_task import TokenTask
from seqmem.submissions.own_files import files_sha256, read_inside
from seqmem.submissions.process.limits import Limits, one_line
from seqmem.submissions.process.process_model import ProcessModel
from seqmem.submissions.process.remote import RemoteModel
from seqmem.submissions.python_factory import Factory, build_module, parse_factory
from seqmem.submissions.safetensors_file import load_baseline
from seqmem.tasks.model import SequenceModel, as_sequence_model, weights_sha256
from seqmem.tasks.task import Context, Task

__all__ = [
    "TRAINED_OUTSIDE",
    "TRUSTED",
    "OpenOptions",
    "OpenedHuggingFace",
    "OpenedModel",
    "check_format",
    "open_model",
]

Remote = TypeVar("Remote", RemoteModel, RemoteTokenModel)

TRUSTED = "none: trusted code"

PICKLE = "it is a pickle, and loading a pickle can run code"
REFUSED: Mapping[str, str] = {
    ".pt2": "loading an exported program can run code",
    ".pt": "it may be a pickle or TorchScript, and loading either can run code",
    **dict.fromkeys((".pth", ".bin", ".ckpt", ".pkl", ".pickle"), PICKLE),
}
NAMED = 5  # files named in what a hash covers
LARGEST_FILE = 1 << 31  # bytes: the limit of ONNX files
# The training facts of a model that was trained outside seqmem, where nothing about it is known.
TRAINED_OUTSIDE: Mapping[str, Any] = {
    "k_train": "unknown",
    "state": None,
    "seed": 0,
    "budget": ELSEWHERE,
    "recipe": None,
}


@dataclass(frozen=True)
class OpenOptions:
    """How a model is opened.

    Attributes:
        trust: whether Python code or a Hugging Face model runs in this process, without a sandbox.
        context: the receptive field of a model that does not declare its own; None: all inputs.
        limits: the limits of its process.
        threads: number of threads for its arithmetic, in a process of its own; None: torch's number
            for a Hugging Face model, one for others.
        hidden: folders that code must not see, such as that of the results.
    """

    trust: bool = False
    context: int | None = None
    limits: Limits = field(default_factory=Limits)
    threads: int | None = None
    hidden: tuple[Path, ...] = ()


@dataclass(frozen=True)
class OpenedModel:
    """A model that is ready to be checked and measured.

    Attributes:
        model: the model, in evaluation mode.
        sha256: the hash of a file; of weights and settings for a folder; for code, of its weights
            and of the files that it reads in its folder.
        facts: facts for its record: format, isolation, and what the format contains.
        training: how it was trained, as far as known.
    """

    model: SequenceModel
    sha256: str
    facts: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=lambda: TRAINED_OUTSIDE)

    def checked_task(
        self, task: Task, settings: MeasurementSettings
    ) -> tuple[Task, Sequence[Context]]:
        """Return the task and the context lengths on which the validity gate checks the model."""
        return task, settings.contexts_for(task)

    @property
    def untrusted(self) -> bool:
        """Whether the model may be made to score better where it is not checked."""
        return isinstance(self.model, ProcessModel)

    def restart(self) -> None:
        """Let a model that runs code of its own forget what it has seen, if it has a process."""
        if isinstance(self.model, RemoteModel):
            self.model.restart()

    def measure(
        self,
        name: str,
        task: Task,
        settings: MeasurementSettings,
        report: Callable[[str], object],
    ) -> MeasuredCurve:
        """Measure the model's curve.

        Args:
            name: the model's name, for the progress bar.
            task: the task.
            settings: context lengths, precision, device.
            report: called with a line for each context length that cannot be measured.

        Raises:
            CellError: the model cannot be measured.
        """
        return measure_model(self.model, name, task, settings)


@dataclass(frozen=True)
class OpenedHuggingFace(OpenedModel):
    """A language model with a tokenizer: it is checked on tokens, and measured in words."""

    model: TokenModel

    def checked_task(
        self, task: Task, settings: MeasurementSettings
    ) -> tuple[Task, Sequence[Context]]:
        """Return the task of predicting the model's tokens, and its context lengths."""
        tokens = TokenTask(task, self.model, settings.contexts_for(task))
        return tokens, tokens.contexts

    def measure(
        self,
        name: str,
        task: Task,
        settings: MeasurementSettings,
        report: Callable[[str], object],
    ) -> MeasuredCurve:
        """Measure the model's curve in words; see `measure_hugging_face`."""
        return measure_hugging_face(self.model, name, task, settings, report)


@contextmanager
def open_model(text: str, task: Task, options: OpenOptions) -> Iterator[OpenedModel]:
    """Open a model; leaving the context ends its process, if it has one.

    Args:
        text: the model, in one of the formats above.
        task: the task, which determines inputs and outputs.
        options: how it is opened.

    Raises:
        InputError: there is no such file, or its format is unknown.
        SubmissionError: it is refused.
    """
    check_format(text)
    suffix = Path(text).suffix.lower()
    if text.startswith("hf:"):
        yield from _hugging_face(text.removeprefix("hf:"), options)
    elif suffix == ".safetensors":
        yield _baseline(Path(text), task, options)
    elif suffix == ".onnx":
        yield from _onnx(Path(text), task, options)
    else:
        yield from _factory(text, task, options)


def check_format(text: str) -> None:
    """Check that a model is written in one of the formats above; no file is opened.

    Raises:
        InputError: it is in none.
        SubmissionError: it is a file of a kind that is never accepted.
    """
    suffix = Path(text).suffix.lower()
    if text.startswith("hf:") or suffix in (".safetensors", ".onnx"):
        return
    if suffix in REFUSED:
        raise SubmissionError(
            f"model '{text}': a {suffix} file is not accepted: {REFUSED[suffix]}; export it as "
            "ONNX (docs/submit.md shows how), or name the Python code that builds it"
        )
    if ":" not in text:
        if text in BASELINES:
            raise InputError(f"model '{text}' is not trained: `seqmem eval {text}` trains it")
        raise InputError(
            f"model '{text}' has no known format: {_similar(text)}name model.onnx, "
            "weights.safetensors, hf:DIRECTORY-OR-ID or model.py:build"
        )


def _similar(text: str) -> str:
    """Return what a model without a known format may be meant to be, as a question."""
    if text.endswith(".py"):
        return f"did you mean a function in it, {text}:build? "
    if close := get_close_matches(text.lower(), BASELINES, n=1):
        return f"did you mean {close[0]}? "
    return f"did you mean hf:{text}? " if re.fullmatch(r"[A-Za-z0-9][\w./-]*", text) else ""


def _bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # a pipe or a device may have no end
            raise InputError(f"model '{path}': is not a file; name the ONNX file itself")
        if path.stat().st_size > LARGEST_FILE:
            raise SubmissionError(f"{path}: is larger than an ONNX file can be, 2 GiB")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"model '{path}': cannot be read ({error.strerror})") from None
    if data and (kind := other_kind(data[:HEAD])):
        raise SubmissionError(f"model '{path}': is {kind}")
    return data


@contextmanager
def _started(name: str, model: Remote) -> Iterator[Remote]:
    """Start a model's process; the reason why it is refused begins with the model's name."""
    with ExitStack() as stack:
        try:
            stack.enter_context(model)
        except SubmissionError as error:
            reason = str(error).removeprefix(f"{name}: ").removeprefix("the model ")
            raise SubmissionError(f"{name}: {reason}") from None
        yield model


def _remote(source: bytes | Factory, task: Task, options: OpenOptions) -> RemoteModel:
    return RemoteModel(
        source,
        task.inputs,
        task.outputs,
        context=options.context,
        threads=options.threads or 1,
        limits=options.limits,
        hidden=options.hidden,
    )


def _remote_facts(model: RemoteModel, form: str, sha256: str) -> dict[str, Any]:
    """Return the facts of a model whose weights are in its process only."""
    return {
        "format": form,
        "isolation": model.isolation,
        "parameters": model.parameters_declared or 0,
        "weights_sha256": sha256,
    }


def _onnx(path: Path, task: Task, options: OpenOptions) -> Iterator[OpenedModel]:
    data = _bytes(path)
    sha256 = hashlib.sha256(data).hexdigest()
    with _started(f"model '{path}'", _remote(data, task, options)) as model:
        yield OpenedModel(model, sha256, _remote_facts(model, "onnx", sha256))


def _baseline(path: Path, task: Task, options: OpenOptions) -> OpenedModel:
    model, stored = load_baseline(path)
    architecture = stored.architecture
    if architecture.inputs != task.inputs or architecture.outputs != task.outputs:
        raise SubmissionError(
            f"{path}: was trained on {stored.task}: it reads {architecture.inputs} and has "
            f"{architecture.outputs:,} outputs; {task.id} has {task.inputs} and {task.outputs:,}"
        )
    if options.context is not None:
        raise InputError(f"--context {options.context}: {path} contains its receptive field")
    facts = {"format": "safetensors", "isolation": "data only", "architecture": stored.label}
    return OpenedModel(model, weights_sha256(model), facts, stored.training)


def _hugging_face(place: str, options: OpenOptions) -> Iterator[OpenedModel]:
    if options.context is not None:
        raise InputError(
            f"--context {options.context}: hf:{place} reads tokens, as many as its settings allow; "
            "leave it out"
        )
    folder = find_model(place)
    facts = {
        "format": "hugging face",
        "revision": folder.revision,
        "settings_sha256": folder.settings_sha256,
        "weights_sha256": folder.weights_sha256,
        "sha256_covers": "its weights, settings and tokenizer",
    }
    both = f"{folder.weights_sha256} {folder.settings_sha256}"
    sha256 = hashlib.sha256(both.encode()).hexdigest()
    if options.trust:
        try:
            trusted = load_model(folder.path, folder.given)
        except MemoryError as error:
            raise SubmissionError(f"{folder.given}: there is too little memory: {error}") from None
        yield OpenedHuggingFace(trusted, sha256, {**facts, **trusted.facts(), "isolation": TRUSTED})
        return
    threads = options.threads or torch.get_num_threads()
    limits = replace(options.limits, cpu_seconds=options.limits.cpu_seconds * threads)
    remote = RemoteTokenModel(folder, threads=threads, limits=limits)
    with _started(folder.given, remote) as model:
        facts |= {**model.facts(), "isolation": model.isolation}
        yield OpenedHuggingFace(model, sha256, facts)


def _factory(text: str, task: Task, options: OpenOptions) -> Iterator[OpenedModel]:
    factory = parse_factory(text)
    places = factory.places()
    if not options.trust:
        with _started(f"model '{text}'", _remote(factory, task, options)) as remote:
            files = remote.files_read(places)
            sha256, hashed = _code_sha256(factory, files, places, remote.weights_declared)
            yield OpenedModel(remote, sha256, {**_remote_facts(remote, "python", sha256), **hashed})
        return
    with read_inside(places) as files:
        module = build_module(factory, task.inputs, task.outputs)
    model = as_sequence_model(module, task.outputs)
    if options.context is not None:
        model.receptive_field = options.context
    sha256, hashed = _code_sha256(factory, files, places, weights_sha256(model))
    yield OpenedModel(model, sha256, {"format": "python", "isolation": TRUSTED, **hashed})


def _code_sha256(
    factory: Factory, files: Sequence[Path], places: Sequence[Path], weights: str
) -> tuple[str, dict[str, str]]:
    """Return the hash of code and its weights, and what it covers, as a fact for the record.

    Neither code nor weights alone are the model: code may read its weights from other places.
    """
    code = ""
    if places:
        code = files_sha256(files, places)
    else:
        with suppress(ValueError):  # a module that is not there, or has no file
            code = source_sha256(factory.module)
    names = [one_line(os.fsencode(file.name).decode(errors="replace")) for file in files[:NAMED]]
    more = [f"{len(files) - NAMED:,} more files"] if len(files) > NAMED else []
    covers = ", ".join([*names, *more] or [factory.module])
    both = hashlib.sha256(f"{code} {weights}".encode()).hexdigest()
    return both, {"sha256_covers": f"{covers} and the weights"}
