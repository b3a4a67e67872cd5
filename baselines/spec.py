"""From what the user wrote (``lstm:hidden=256``) to a model."""

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from seqmem.baselines import BASELINES
from seqmem.errors import InputError, NotApplicableError, unknown
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, InputSpec, Task

__all__ = [
    "Architecture",
    "ModelSpec",
    "Option",
    "architecture_of",
    "build_model",
    "model_class",
    "options_of",
    "parse_model",
]

Option = int | float | bool

# Set by the suite from the task and k_train.
_SET_BY_SUITE = {"context", "covers"}

# Options that are below 1; all others count something.
_SHARES = {"dropout", "lambda_max", "forget_max"}


@dataclass(frozen=True)
class ModelSpec:
    """A baseline and the options that the user set."""

    name: str
    options: Mapping[str, Option] = field(default_factory=dict)

    def __str__(self) -> str:
        """Give the text it was parsed from, options in order."""
        options = ",".join(f"{key}={_write(value)}" for key, value in sorted(self.options.items()))
        return f"{self.name}:{options}" if options else self.name


@dataclass(frozen=True)
class Architecture:
    """Everything that an untrained model is made from, weights apart.

    Attributes:
        name: the baseline.
        options: every option of its class.
        inputs: what one input is.
        outputs: how many numbers it gives for each position.
        context: the context length that sets the receptive field of models that have one.
        covers: whether the field must reach `context` or must not exceed it.
    """

    name: str
    options: Mapping[str, Option]
    inputs: InputSpec
    outputs: int
    context: int
    covers: bool

    def build(self) -> SequenceModel:
        """Make the model.

        Raises:
            ValueError: the options do not make one.
        """
        known = inspect.signature(model_class(self.name)).parameters
        reach = {"context": self.context, "covers": self.covers}
        arguments: dict[str, Any] = dict(self.options)
        arguments |= {key: value for key, value in reach.items() if key in known}
        return model_class(self.name)(self.inputs, self.outputs, **arguments)


def parse_model(text: str) -> ModelSpec:
    """Read ``name`` or ``name:option=value,…``.

    Raises:
        InputError: the name or an option is unknown, or a value is not of the option's kind.
    """
    name, colon, rest = text.partition(":")
    if name not in BASELINES:
        if "." in name or "/" in name or name == "hf":
            raise InputError(
                f"model '{text}' is none of the baselines that are trained here; a file, a Hugging "
                f"Face model or code of your own is scored by `seqmem submit {text} --name NAME "
                "--task ID`"
            )
        raise unknown("model", name, BASELINES, "seqmem models")
    known = options_of(name)
    options: dict[str, Option] = {}
    for item in rest.split(",") if colon else ():
        key, equals, value = item.partition("=")
        if key not in known:
            takes = ", ".join(known) or "none"
            raise InputError(f"model '{text}': unknown option '{key}'; {name} takes: {takes}")
        if not equals or key in options:
            problem = "is given twice" if equals else "has no value; write option=value"
            raise InputError(f"model '{text}': option '{key}' {problem}")
        options[key] = _read(text, key, value, known[key])
    return ModelSpec(name, options)


def options_of(name: str) -> dict[str, Option]:
    """Give the options of a baseline with their defaults."""
    parameters = inspect.signature(model_class(name)).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.name not in _SET_BY_SUITE
    }


def model_class(name: str) -> type[SequenceModel]:
    """Import the class of a baseline."""
    module, _, attribute = BASELINES[name].factory.partition(":")
    found: type[SequenceModel] = getattr(importlib.import_module(module), attribute)
    return found


def architecture_of(
    spec: ModelSpec, task: Task, k_train: Context, defaults: Mapping[str, Option]
) -> Architecture:
    """Tell what a model for a task is made from.

    A model with a receptive field gets one that reaches the task's longest useful context, or,
    where `k_train` is a number, one that does not exceed it.

    Args:
        spec: name and the user's options.
        task: says what comes in and goes out.
        k_train: the context to train with.
        defaults: the recipe's options; the model takes those it knows, the user's go before.

    Raises:
        NotApplicableError: the model is not made for this kind of task.
    """
    if model_class(spec.name).next_token_only and not task.next_token:
        raise NotApplicableError(
            f"{spec.name} predicts the next of the tokens that it reads, which {task.id} does not "
            "ask for; take a language task or hidden-markov, or another model"
        )
    options = options_of(spec.name)
    options |= {key: value for key, value in defaults.items() if key in options}
    options |= spec.options
    return Architecture(
        name=spec.name,
        options=options,
        inputs=task.inputs,
        outputs=task.outputs,
        context=task.longest_context if k_train == "full" else k_train,
        covers=k_train == "full",
    )


def build_model(
    spec: ModelSpec,
    task: Task,
    k_train: Context,
    defaults: Mapping[str, Option],
    device: str = "cpu",
) -> tuple[SequenceModel, dict[str, Option]]:
    """Make an untrained model for a task; see `architecture_of`.

    Args:
        spec: as there.
        task: as there.
        k_train: as there.
        defaults: as there.
        device: where its weights are; on "meta" there are none, and it can tell its sizes alone.

    Returns:
        the model, and every option it was made with.

    Raises:
        InputError: the options do not make a model.
        NotApplicableError: the model is not made for this kind of task.
    """
    # First, and not on the device: the task may read its data for it.
    architecture = architecture_of(spec, task, k_train, defaults)
    try:
        with torch.device(device):
            return architecture.build(), dict(architecture.options)
    except ValueError as error:
        raise InputError(f"model '{spec}': {error}") from None


def _read(text: str, key: str, value: str, default: Option) -> Option:
    """Read an option's value as what its default is."""
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[value.lower()]
        number = type(default)(value)
    except (KeyError, ValueError):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
        raise InputError(f"model '{text}': {key}={value} is not {kind}") from None
    least = 0 if key == "levels" else 1
    most = 20 if key == "levels" else 100_000
    if not (0 <= number < 1 if key in _SHARES else least <= number <= most):
        rule = "from 0 up to, but not, 1" if key in _SHARES else f"from {least} to {most:,}"
        raise InputError(f"model '{text}': {key}={value} is out of range: {rule}")
    return number


def _write(value: Option) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
