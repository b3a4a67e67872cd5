"""Load a trained baseline from its ``weights.safetensors`` alone, as `seqmem eval` writes it.

The file's metadata hold the model's architecture. Nothing in them is trusted before it is checked:
sizes are compared on a device without storage, and the model that is then built is no larger than
the file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model

from seqmem.baselines import BASELINES
from seqmem.baselines.ngram import KneserNey
from seqmem.baselines.spec import Architecture, ModelSpec, options_of, parse_model
from seqmem.baselines.training.checkpoint import check_unchanged
from seqmem.baselines.training.loop import seeded
from seqmem.errors import InputError, SubmissionError
from seqmem.leaderboard.record import check_training
from seqmem.submissions.file_kinds import HEAD, other_kind, wrapper
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Features, InputSpec, Tokens

__all__ = ["WeightsMetadata", "load_baseline"]

# The names of types in safetensors files.
_TYPES = {torch.float32: "F32", torch.int32: "I32", torch.int64: "I64"}
# Far above the sizes of baselines, far below those that take long to build.
MOST_LAYERS = 10_000
MOST_OUTPUTS = 10_000_000
LONGEST_CONTEXT = 1 << 20

_Sizes = dict[str, tuple[list[int], str]]  # name -> shape, type


@dataclass(frozen=True)
class WeightsMetadata:
    """The metadata of a file of weights.

    Attributes:
        label: the model as the user wrote it, such as ``lstm:hidden=256``.
        architecture: everything that the model is built from.
        task: the id of the task that it was trained on.
        task_version: that task's version.
        training: how it was trained, as stored in a record: context length, treatment of the state,
            seed, budget, recipe, result, data hash, environment, and version of seqmem.
    """

    label: str
    architecture: Architecture
    task: str
    task_version: int
    training: Mapping[str, Any]


def load_baseline(path: Path) -> tuple[SequenceModel, WeightsMetadata]:
    """Load a baseline with its trained weights.

    Args:
        path: a ``weights.safetensors`` that `seqmem eval` wrote.

    Returns:
        the model in evaluation mode, and the metadata of its file.

    Raises:
        InputError: there is no such file.
        SubmissionError: the file is damaged, was not written by seqmem, or its weights do not fit
            the architecture in its metadata.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such file; `seqmem eval` writes "
            "results/checkpoints/…/weights.safetensors"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            sizes = {name: (s.get_shape(), s.get_dtype()) for name, s in slices.items()}
    except (SafetensorError, OSError) as error:
        with path.open("rb") as file:
            head = file.read(HEAD)
        if head and (kind := other_kind(head)):
            _refuse(path, f"is {kind}")
        _refuse(path, f"is not a safetensors file, or is cut short ({error})")
    try:
        facts = _metadata(_content(metadata))
        _check_work(facts.architecture, len(sizes))
        with torch.device("meta"):  # sizes only
            expected = facts.architecture.build()
        _compare(expected, sizes)
        check_unchanged(path)
        with seeded(0):  # the initial weights are overwritten
            model = facts.architecture.build()
        load_model(model, path)
    except (_InvalidFileError, ValueError, RuntimeError, SafetensorError) as error:
        _refuse(path, str(error))
    return model.eval(), facts


class _InvalidFileError(Exception):
    """What is wrong with a file, as the end of a sentence about it."""


def _refuse(path: Path, why: str) -> NoReturn:
    raise SubmissionError(f"{path}: {why}")


def _content(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return seqmem's part of the metadata."""
    try:
        content = json.loads(metadata["seqmem"])
    except (KeyError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise _InvalidFileError("was not written by `seqmem eval`: its metadata lack the model")
    if "made" not in content:
        raise _InvalidFileError(
            "was written by a version of seqmem that did not yet store the model's architecture; "
            "train it again with --fresh"
        )
    return content


def _metadata(content: dict[str, Any]) -> WeightsMetadata:
    """Return the metadata, after a check of the architecture and of what a record stores."""
    try:
        made = content.pop("made")
        architecture = _architecture(made["architecture"])
        label = parse_model(made["model"])
        if label.name != architecture.name or not label.options.items() <= (
            architecture.options.items()
        ):
            raise _InvalidFileError(
                f"names its model {str(label)!r}, but holds another architecture"
            )
        task, k_train = made["task"], made["k_train"]
        if not task["id"].isprintable():
            raise _InvalidFileError(f"holds {task['id']!r}, which is not a task id")
        training = {
            **content,
            "k_train": k_train if k_train == "full" else _count(k_train, LONGEST_CONTEXT),
            "state": None if made["state"] is None else str(made["state"]),
            "task": task["id"],
            "suite": dict(made["suite"]),
        }
        check_training(training)
        return WeightsMetadata(
            label=str(label),
            architecture=architecture,
            task=task["id"],
            task_version=_count(task["version"], 1000),
            training=training,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise _InvalidFileError(f"holds metadata of an unknown form ({error!r})") from None


def _architecture(given: Mapping[str, Any]) -> Architecture:
    """Return an architecture, within the bounds that hold on the command line as well."""
    name, options = given["name"], given["options"]
    if name not in BASELINES:
        raise _InvalidFileError(
            f"holds the weights of {name!r}, which is no baseline; those of a class of your own "
            "are measured by `seqmem eval FILE.py:CLASS` with the task and settings of its training"
        )
    if parse_model(str(ModelSpec(name, options))).options != options:
        raise _InvalidFileError(f"holds unknown options of {name}: {options!r}")
    (kind, size), *others = given["inputs"].items()
    makers: Mapping[str, type[Tokens] | type[Features]]
    makers = {"vocabulary": Tokens, "dimension": Features}
    inputs: InputSpec = makers[kind](_count(size, MOST_OUTPUTS))
    if isinstance(inputs, Tokens) and dict(others).keys() == {"separator"}:
        inputs = replace(inputs, separator=_count(others[0][1] + 1, inputs.vocabulary) - 1)
    elif isinstance(inputs, Features) and dict(others).keys() == {"bounded"}:
        inputs = replace(inputs, bounded=bool(others[0][1]))
    elif others:
        raise _InvalidFileError(f"holds inputs of two kinds: {given['inputs']!r}")
    return Architecture(
        name=name,
        options=options_of(name) | options,
        inputs=inputs,
        outputs=_count(given["outputs"], MOST_OUTPUTS),
        context=_count(given["context"], LONGEST_CONTEXT),
        covers=bool(given["covers"]),
    )


def _count(number: object, most: int) -> int:
    if type(number) is not int or not 1 <= number <= most:
        raise _InvalidFileError(f"holds {number!r} instead of a whole number from 1 to {most:,}")
    return number


def _check_work(architecture: Architecture, tensors: int) -> None:
    """Refuse more layers than the file can hold, before any layer is built."""
    options: Mapping[str, Any] = architecture.options
    most = min(tensors, MOST_LAYERS)
    layers = max(options.get("layers", 0), options.get("levels", 0))
    if options.get("dilation") == 1 and not options.get("levels"):  # one layer for every few inputs
        layers = max(layers, (architecture.context - 1) // options["kernel"])
    if layers > most:
        raise _InvalidFileError(f"holds {tensors:,} tensors, too few for {layers:,} layers")


def _compare(model: SequenceModel, sizes: _Sizes) -> None:
    """Compare names, shapes and types with the model's; tied weights are stored once."""
    tensors = model.state_dict(keep_vars=True)
    stored = {id(tensors[name]) for name in sizes.keys() & tensors.keys()}
    missing = [name for name, tensor in tensors.items() if id(tensor) not in stored]
    unexpected = sorted(sizes.keys() - tensors.keys())
    if problem := wrapper(sizes):
        raise _InvalidFileError(f"does not fit: {problem}")
    for names, what in (
        (missing, "lacks"),
        (unexpected, "does not fit: besides the model's tensors it holds"),
    ):
        if names:
            raise _InvalidFileError(f"{what} {len(names)} tensors, '{names[0]}' among them")
    counted = isinstance(model, KneserNey)  # its tables are as long as the text has n-grams
    for name, (shape, dtype) in sizes.items():
        wanted = list(tensors[name].shape)
        fits = len(shape) == 1 if counted and name != "unigram" else shape == wanted
        if not fits or dtype != _TYPES.get(tensors[name].dtype):
            raise _InvalidFileError(
                f"holds '{name}' as {dtype} {shape}, the model has "
                f"{_TYPES.get(tensors[name].dtype)} {wanted}"
            )
    if counted:
        length = {name: shape[0] for name, (shape, _) in sizes.items()}
        if not (
            length["keys"] == length["log_backoff"] == length["begins"] - 1
            and length["words"] == length["log_probs"]
        ):
            raise _InvalidFileError("holds n-gram tables whose lengths do not fit")
