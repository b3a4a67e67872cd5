"""Take up a trained baseline from its ``weights.safetensors`` alone, as `seqmem eval` writes it.

The file says what the model is made from. Nothing that it says is believed before it is checked:
sizes are compared on a device without storage, and what is then made is no larger than the file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model

from seqmem.baselines import BASELINES
from seqmem.baselines.ngram import KneserNey
from seqmem.baselines.spec import Architecture, ModelSpec, options_of, parse_model
from seqmem.baselines.training.loop import seeded
from seqmem.errors import InputError, SubmissionError
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Features, InputSpec, Tokens

__all__ = ["Facts", "load_suite_model"]

# Names of types as safetensors writes them.
_TYPES = {torch.float32: "F32", torch.int32: "I32", torch.int64: "I64"}
# Far above what the suite makes, far below what takes long to make.
MOST_LAYERS = 10_000
MOST_OUTPUTS = 10_000_000
LONGEST_CONTEXT = 1 << 20

_Sizes = dict[str, tuple[list[int], str]]  # name -> shape, type


@dataclass(frozen=True)
class Facts:
    """What a file of weights says of its model.

    Attributes:
        label: the model as the user wrote it, as in ``lstm:hidden=256``.
        architecture: everything that it is made from.
        task: the id of the task that it was trained on.
        task_version: that task's version.
        k_train: the context that it was trained with.
        state: whether the state was carried in training, or reset; None for models without.
        suite: version, commit, and whether the checkout had changes.
        training: seed, budget, recipe, result, data hash and environment of the training.
    """

    label: str
    architecture: Architecture
    task: str
    task_version: int
    k_train: Context
    state: str | None
    suite: Mapping[str, Any]
    training: Mapping[str, Any]


def load_suite_model(path: Path) -> tuple[SequenceModel, Facts]:
    """Make a baseline again from its trained weights.

    Args:
        path: a ``weights.safetensors`` that `seqmem eval` wrote.

    Returns:
        the model, ready to be measured, and what its file says of it.

    Raises:
        InputError: there is no such file.
        SubmissionError: it is damaged, not one of this suite's, or its weights do not fit the
            model that it names.
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
        _refuse(path, f"is no safetensors file, or is cut short ({error})")
    try:
        facts = _facts(_content(metadata))
        _check_work(facts.architecture, len(sizes))
        with torch.device("meta"):  # sizes only
            expected = facts.architecture.build()
        _compare(expected, sizes)
        with seeded(0):  # what is drawn is overwritten
            model = facts.architecture.build()
        load_model(model, path)
    except (_WrongError, ValueError, RuntimeError, SafetensorError) as error:
        _refuse(path, str(error))
    return model.eval(), facts


class _WrongError(Exception):
    """What is wrong with a file."""


def _refuse(path: Path, why: str) -> NoReturn:
    raise SubmissionError(f"{path}: {why}")


def _content(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Read the suite's part of the metadata."""
    try:
        content = json.loads(metadata["seqmem"])
    except (KeyError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise _WrongError("was not written by `seqmem eval`: nothing in it says what model it is")
    if "made" not in content:
        raise _WrongError(
            "was written by a version of seqmem that did not yet store what the model is made "
            "from; train it again with --fresh"
        )
    return content


def _facts(content: dict[str, Any]) -> Facts:
    """Read what the suite wrote; the architecture is checked, the rest only handed on."""
    try:
        made = content.pop("made")
        architecture = _architecture(made["architecture"])
        label = parse_model(made["model"])
        if label.name != architecture.name or not label.options.items() <= (
            architecture.options.items()
        ):
            raise _WrongError(f"calls {str(label)!r} what is another model")
        task, k_train = made["task"], made["k_train"]
        if not task["id"].isprintable():
            raise _WrongError(f"holds the task {task['id']!r}, which no task is called")
        return Facts(
            label=str(label),
            architecture=architecture,
            task=task["id"],
            task_version=_count(task["version"], 1000),
            k_train="full" if k_train == "full" else _count(k_train, LONGEST_CONTEXT),
            state=None if made["state"] is None else str(made["state"]),
            suite=dict(made["suite"]),
            training=content,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise _WrongError(f"says in an unknown form what the model is ({error!r})") from None


def _architecture(given: Mapping[str, Any]) -> Architecture:
    """Read an architecture, within the bounds that the command line keeps to as well."""
    name, options = given["name"], given["options"]
    if name not in BASELINES:
        raise _WrongError(f"holds the unknown model {name!r}; `seqmem models` lists those known")
    if parse_model(str(ModelSpec(name, options))).options != options:
        raise _WrongError(f"holds options of {name} that are not known: {options!r}")
    (kind, size), *others = given["inputs"].items()
    makers: Mapping[str, type[Tokens] | type[Features]]
    makers = {"vocabulary": Tokens, "dimension": Features}
    inputs: InputSpec = makers[kind](_count(size, MOST_OUTPUTS))
    if others:
        raise _WrongError(f"holds inputs of two kinds: {given['inputs']!r}")
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
        raise _WrongError(f"holds {number!r} where a whole number from 1 to {most:,} belongs")
    return number


def _check_work(architecture: Architecture, tensors: int) -> None:
    """Refuse what has more layers than the file can hold, before any are made."""
    options, most = architecture.options, min(tensors, MOST_LAYERS)
    layers = max(options.get("layers", 0), options.get("levels", 0))
    if options.get("dilation") == 1 and not options.get("levels"):  # one for every few inputs
        layers = max(layers, (architecture.context - 1) // options["kernel"])
    if layers > most:
        raise _WrongError(f"holds {tensors:,} tensors, too few for {layers:,} layers")


def _compare(model: SequenceModel, sizes: _Sizes) -> None:
    """Compare names, shapes and types with those of the model; tied weights are stored once."""
    tensors = model.state_dict(keep_vars=True)
    stored = {id(tensors[name]) for name in sizes.keys() & tensors.keys()}
    missing = [name for name, tensor in tensors.items() if id(tensor) not in stored]
    strange = sorted(sizes.keys() - tensors.keys())
    for names, what in ((missing, "lacks"), (strange, "does not belong to the model, but holds")):
        if names:
            raise _WrongError(f"{what} {len(names)} tensors, '{names[0]}' among them")
    counted = isinstance(model, KneserNey)  # its tables are as long as the text has n-grams
    for name, (shape, dtype) in sizes.items():
        wanted = list(tensors[name].shape)
        fits = len(shape) == 1 if counted and name != "unigram" else shape == wanted
        if not fits or dtype != _TYPES.get(tensors[name].dtype):
            raise _WrongError(
                f"holds '{name}' as {dtype} {shape}, the model has "
                f"{_TYPES.get(tensors[name].dtype)} {wanted}"
            )
    if counted:
        length = {name: shape[0] for name, (shape, _) in sizes.items()}
        if not (
            length["keys"] == length["log_backoff"] == length["begins"] - 1
            and length["words"] == length["log_probs"]
        ):
            raise _WrongError("holds n-gram tables whose lengths do not fit")
