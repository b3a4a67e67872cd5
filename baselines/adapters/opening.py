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

from seqmem.baselines.adapters.hugging_face import open_hugging_face
from seqmem.baselines.adapters.limits import Limits
from seqmem.baselines.adapters.python_factory import build_module, parse_factory
from seqmem.baselines.adapters.remote import RemoteModel, Submission
from seqmem.baselines.adapters.safetensors_file import load_suite_model
from seqmem.baselines.checkpoint import weights_sha256
from seqmem.errors import InputError, SubmissionError
from seqmem.tasks.model import SequenceModel, as_sequence_model
from seqmem.tasks.task import Task

__all__ = ["Handling", "Opened", "open_model"]

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
    """

    trust: bool = False
    context: int | None = None
    limits: Limits = field(default_factory=Limits)
    threads: int = 1


@dataclass(frozen=True)
class Opened:
    """A model, ready to be measured.

    Attributes:
        model: in evaluation mode.
        sha256: of the file, or of the weights where there are several files.
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
        yield _hugging_face(text.removeprefix("hf:"))
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
    )


def _opened(model: RemoteModel, sha256: str, facts: Mapping[str, Any]) -> Opened:
    """Add what only its own process can tell."""
    told = {"parameters": model.parameters_declared or 0, "weights_sha256": sha256}
    return Opened(model, sha256, {**facts, **told}, ELSEWHERE)


def _suite_model(path: Path, task: Task, how: Handling) -> Opened:
    model, facts = load_suite_model(path)
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


def _hugging_face(place: str) -> Opened:
    model = open_hugging_face(place)
    facts = {"format": "hugging face", "isolation": "data only, read by transformers"}
    return Opened(model, weights_sha256(model), facts, ELSEWHERE)


def _factory(text: str, task: Task, how: Handling) -> Iterator[Opened]:
    factory = parse_factory(text)
    if how.trust:
        module = build_module(factory, task.inputs, task.outputs)
        model = as_sequence_model(module, task.outputs)
        if how.context is not None:
            model.receptive_field = how.context
        facts = {"format": "python", "isolation": "none: trusted code"}
        yield Opened(model, weights_sha256(model), facts, ELSEWHERE)
        return
    with _remote(Submission("python", factory=text), task, how) as model:
        facts = {"format": "python", "isolation": "bubblewrap, without network"}
        yield _opened(model, _sha256_of_places(factory.places()), facts)


def _sha256_of_places(places: tuple[Path, ...]) -> str:
    """Hash all files that the code can read of its own: nobody else can tell its weights."""
    digest = hashlib.sha256()
    for place in places:
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(place)).encode())
                with file.open("rb") as content:
                    digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
