"""Open a model that was handed in, whatever its form, for one task.

model.onnx              run by onnxruntime in a process with limits
weights.safetensors     a baseline of this suite, as `seqmem eval` wrote it
hf:DIRECTORY-OR-ID      a Hugging Face causal language model
model.py:build          a Python factory (also package.module:build), shut in unless trusted
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from seqmem.errors import InputError, SubmissionError
from seqmem.provenance import source_sha256
from seqmem.submissions.code_files import sha256_of_files
from seqmem.submissions.hugging_face.model import open_hugging_face
from seqmem.submissions.process.limits import Limits
from seqmem.submissions.process.remote import RemoteModel, Submission
from seqmem.submissions.python_factory import build_module, parse_factory
from seqmem.submissions.safetensors_file import load_baseline
from seqmem.tasks.model import SequenceModel, as_sequence_model, weights_sha256
from seqmem.tasks.task import Task

__all__ = ["TRUSTED", "Handling", "Opened", "open_model"]

TRUSTED = "none: trusted code"

REFUSED: Mapping[str, str] = {
    ".pt2": "to load an exported program is to run what it says",
    ".pt": "it may be a pickle or TorchScript, and to load either is to run what it says",
    ".pth": "it is a pickle, and to load it is to run what it says",
    ".bin": "it is a pickle, and to load it is to run what it says",
    ".ckpt": "it is a pickle, and to load it is to run what it says",
    ".pkl": "it is a pickle, and to load it is to run what it says",
    ".pickle": "it is a pickle, and to load it is to run what it says",
}
WAY_OUT = "export it as ONNX (README, Submit your model), or name the Python code that builds it"
LARGEST_FILE = 1 << 31  # bytes: no ONNX file may be larger
# Of a model that was trained elsewhere nothing is known but its weights.
ELSEWHERE: Mapping[str, Any] = {
    "k_train": "unknown",
    "state": None,
    "seed": 0,
    "budget": "elsewhere",
    "recipe": None,
}


@dataclass(frozen=True)
class Handling:
    """How a model is opened.

    Attributes:
        trust: whether Python code runs in this process, with nothing around it.
        context: how many of the latest inputs its outputs are said to depend on; None: all.
        limits: what its process may take.
        threads: for its arithmetic, in a process of its own.
        hidden: folders that are no part of a model that is code, as that of results.
    """

    trust: bool = False
    context: int | None = None
    limits: Limits = field(default_factory=Limits)
    threads: int = 1
    hidden: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Opened:
    """A model, ready to be measured.

    Attributes:
        model: in evaluation mode.
        sha256: of the file; of weights and settings where there are several; of all its files
            where it is code, which alone can tell its weights, and of its weights too if trusted.
        facts: what its record says of it besides: format, isolation, and what the format knows.
        training: how it was trained, as far as is known.
    """

    model: SequenceModel
    sha256: str
    facts: Mapping[str, Any]
    training: Mapping[str, Any]


@contextmanager
def open_model(text: str, task: Task, how: Handling) -> Iterator[Opened]:
    """Open a model; leaving the context ends its process, where it has one.

    Args:
        text: the model, as in the table above.
        task: what it is to do.
        how: with what around it.

    Raises:
        InputError: there is no such file, or it is of no known form.
        SubmissionError: it cannot be taken.
    """
    suffix = Path(text).suffix.lower()
    if text.startswith("hf:"):
        yield _hugging_face(text.removeprefix("hf:"), how)
    elif suffix == ".safetensors":
        yield _suite_model(Path(text), task, how)
    elif suffix == ".onnx":
        data = _bytes(Path(text))
        with _remote(Submission("onnx", data), task, how) as model:
            facts = {"format": "onnx", "isolation": "a process with limits"}
            yield _opened(model, hashlib.sha256(data).hexdigest(), facts)
    elif suffix in REFUSED:
        raise SubmissionError(
            f"model '{text}': a {suffix} file is not taken: {REFUSED[suffix]}; {WAY_OUT}"
        )
    elif ":" in text:
        yield from _factory(text, task, how)
    else:
        _unknown(text)


def _unknown(text: str) -> NoReturn:
    raise InputError(
        f"model '{text}' is of no known form: give model.onnx, weights.safetensors, "
        "hf:DIRECTORY-OR-ID or model.py:build"
    )


def _bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # a pipe or a device may have no end
            raise InputError(f"model '{path}': is no file; give the ONNX file itself")
        if path.stat().st_size > LARGEST_FILE:
            raise SubmissionError(f"{path}: is larger than an ONNX file can be, 2 GiB")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"model '{path}': cannot be read ({error.strerror})") from None


def _remote(submission: Submission, task: Task, how: Handling) -> RemoteModel:
    return RemoteModel(
        submission,
        task.inputs,
        task.outputs,
        context=how.context,
        threads=how.threads,
        limits=how.limits,
        hidden=how.hidden,
    )


def _opened(model: RemoteModel, sha256: str, facts: Mapping[str, Any]) -> Opened:
    """Add what only its own process can tell."""
    told = {"parameters": model.parameters_declared or 0, "weights_sha256": sha256}
    return Opened(model, sha256, {**facts, **told}, ELSEWHERE)


def _suite_model(path: Path, task: Task, how: Handling) -> Opened:
    model, facts = load_baseline(path)
    made = facts.architecture
    if made.inputs != task.inputs or made.outputs != task.outputs:
        raise SubmissionError(
            f"{path}: was made for {facts.task}: it reads {made.inputs} and gives "
            f"{made.outputs:,} outputs; {task.id} has {task.inputs} and {task.outputs:,}"
        )
    if how.context is not None:
        raise InputError(f"--context {how.context}: {path} says itself how far its model sees")
    training = {
        **facts.training,
        "k_train": facts.k_train,
        "state": facts.state,
        "task": facts.task,
        "suite": dict(facts.suite),
    }
    return Opened(
        model,
        weights_sha256(model),
        {"format": "safetensors", "isolation": "data only", "architecture": facts.label},
        training,
    )


def _hugging_face(place: str, how: Handling) -> Opened:
    if how.context is not None:
        raise InputError(
            f"--context {how.context}: hf:{place} reads tokens of its own, its settings say how "
            "many; leave it out"
        )
    model = open_hugging_face(place)
    facts = {"format": "hugging face", "isolation": "data only, read by transformers"}
    both = hashlib.sha256(f"{weights_sha256(model)} {model.settings_sha256}".encode()).hexdigest()
    return Opened(model, both, facts, ELSEWHERE)


def _factory(text: str, task: Task, how: Handling) -> Iterator[Opened]:
    factory = parse_factory(text)
    places = factory.places()
    files = sha256_of_files(places, how.hidden) if places else source_sha256(factory.module)
    if how.trust:
        module = build_module(factory, task.inputs, task.outputs)
        model = as_sequence_model(module, task.outputs)
        if how.context is not None:
            model.receptive_field = how.context
        facts = {"format": "python", "isolation": TRUSTED}
        # Weights alone do not make the model, nor does code that reads them from elsewhere.
        both = hashlib.sha256(f"{files} {weights_sha256(model)}".encode()).hexdigest()
        yield Opened(model, both, facts, ELSEWHERE)
        return
    with _remote(Submission("python", factory=text), task, how) as model:
        facts = {"format": "python", "isolation": "bubblewrap, without network"}
        yield _opened(model, files, facts)
