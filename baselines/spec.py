"""From the text that the user writes (``lstm:hidden=256``) to a model."""

import importlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_type_hints

import torch

from seqmem.baselines import BASELINES
from seqmem.baselines.options import OneOf, Option, Range
from seqmem.errors import InputError, NotApplicableError, unknown
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, InputSpec, Task

if TYPE_CHECKING:
    from seqmem.baselines.own.own_class import OwnClass

__all__ = [
    "Architecture",
    "ModelSpec",
    "architecture_of",
    "build_model",
    "model_class",
    "modules_of",
    "options_of",
    "parse_model",
    "parse_options",
    "ranges_of",
]

# Set from the task and k_train, not by the user.
_RECEPTIVE_FIELD = {"context", "covers"}


@dataclass(frozen=True)
class ModelSpec:
    """A model to train, and the options that the user set.

    Attributes:
        name: a baseline, or the name of a class of the user's on the board.
        options: those that the user set.
        own: the user's class; None for a baseline.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    own: "OwnClass | None" = None

    def __str__(self) -> str:
        """Return the text that `parse_model` reads, with sorted options."""
        given = sorted(self.options.items())
        options = ",".join(
            f"{key}={str(value).lower() if isinstance(value, bool) else value}"
            for key, value in given
        )
        return f"{self.name}:{options}" if options else self.name


@dataclass(frozen=True)
class Architecture:
    """Everything that defines an untrained model except its weights.

    Attributes:
        name: the baseline.
        options: every option of its class.
        inputs: the type and size of one input.
        outputs: the number of outputs for each position.
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
        """Return a new model.

        Raises:
            ValueError: the options contradict each other or the task.
        """
        known = inspect.signature(model_class(self.name)).parameters
        reach = {"context": self.context, "covers": self.covers}
        arguments: dict[str, Any] = dict(self.options)
        arguments |= {key: value for key, value in reach.items() if key in known}
        return model_class(self.name)(self.inputs, self.outputs, **arguments)


def parse_model(text: str) -> ModelSpec:
    """Return the model that ``name`` or ``name:option=value,…`` describes.

    Raises:
        InputError: the name or an option is unknown, or a value has the wrong type or is out of
            range.
    """
    name, colon, rest = text.partition(":")
    if name not in BASELINES:
        if all(part.partition(":")[0] in BASELINES for part in name.split(",")):
            raise InputError(f"model '{text}': separate models by spaces: {text.replace(',', ' ')}")
        if "." in name or "/" in name or name == "hf":
            raise InputError(
                f"model '{text}' is none of the baselines that `seqmem eval` trains, nor code of "
                "yours as in my.py:MyLayer; score a trained model with "
                f"`seqmem measure {text} --task ID`"
            )
        raise unknown("model", name, BASELINES, "seqmem models")
    return ModelSpec(name, parse_options(text, rest if colon else None, options_of(name), name))


def parse_options(
    text: str, written: str | None, known: Mapping[str, Any], name: str
) -> dict[str, Any]:
    """Return the options that are written ``option=value,…``.

    Args:
        text: the whole model as the user wrote it.
        written: its options; None: it has none.
        known: every option with its default.
        name: the model that takes them.

    Raises:
        InputError: an option is unknown, or a value has the wrong type or is out of range.
    """
    options: dict[str, Any] = {}
    ranges = ranges_of(name) if name in BASELINES else {}
    for item in written.split(",") if written is not None else ():
        key, equals, value = item.partition("=")
        if key not in known:
            takes = ", ".join(known) or "none"
            raise InputError(f"model '{text}': unknown option '{key}'; {name} takes: {takes}")
        if not equals or key in options:
            problem = "is given twice" if equals else "has no value; write option=value"
            raise InputError(f"model '{text}': option '{key}' {problem}")
        try:
            options[key] = _parsed(value, known[key], ranges.get(key))
        except ValueError as error:
            raise InputError(f"model '{text}': {key}={value} is {error}") from None
    return options


def options_of(name: str) -> dict[str, Option]:
    """Return the options of a baseline with their defaults."""
    parameters = inspect.signature(model_class(name)).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.name not in _RECEPTIVE_FIELD
    }


def ranges_of(name: str) -> dict[str, Range | OneOf]:
    """Return what the class of a baseline declares that its options may be."""
    hints = get_type_hints(model_class(name).__init__, include_extras=True)
    return {
        option: annotation
        for option in options_of(name)
        for annotation in getattr(hints[option], "__metadata__", ())
    }


def model_class(name: str) -> type[SequenceModel]:
    """Return the class of a baseline; import it if necessary."""
    module, _, attribute = BASELINES[name].factory.partition(":")
    found: type[SequenceModel] = getattr(importlib.import_module(module), attribute)
    return found


def modules_of(spec: ModelSpec) -> tuple[str, ...]:
    """Return the modules of this package that a model is made with."""
    if spec.own is not None:
        return ("seqmem.baselines.own.own_class",)
    return (model_class(spec.name).__module__,)


def architecture_of(
    spec: ModelSpec, task: Task, k_train: Context, defaults: Mapping[str, Option]
) -> Architecture:
    """Return the architecture of a model for a task.

    A model with a receptive field gets one that reaches the task's longest useful context, or,
    where `k_train` is a number, one that does not exceed it.

    Args:
        spec: the name, and the user's options.
        task: defines inputs and outputs.
        k_train: the context to train with.
        defaults: the recipe's options; each is used if the model has it and the user did not set
            it.

    Raises:
        NotApplicableError: the model does not apply to this kind of task.
    """
    own = spec.own
    kind = own or model_class(spec.name)
    if kind.next_token_only and not task.next_token:
        raise NotApplicableError(
            f"{spec.name} predicts the next token of its input, which {task.id} does not ask for; "
            "use a language task or hidden-markov, or another model"
        )
    if kind.needs_separator and getattr(task.inputs, "separator", None) is None:
        raise NotApplicableError(
            f"{spec.name} translates a source, and {task.id} has none; use translation/bible-es-en "
            "or translation:FILE.tsv, or another model"
        )
    options: dict[str, Any] = options_of(spec.name) if own is None else dict(own.defaults)
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
    """Return an untrained model for a task, and all its options; see `architecture_of`.

    Args:
        spec: as for `architecture_of`.
        task: as for `architecture_of`.
        k_train: as for `architecture_of`.
        defaults: as for `architecture_of`.
        device: where its weights are; "meta" for a model without weights, to read off its sizes.
            The user's own classes always get weights: they may not work without.

    Raises:
        InputError: the options contradict each other or the task.
        NotApplicableError: the model does not apply to this kind of task.
    """
    # Before the device is set: the task may read its data to find its sizes.
    architecture = architecture_of(spec, task, k_train, defaults)
    if spec.own is not None:
        reach = {"context": architecture.context, "covers": architecture.covers}
        options = dict(architecture.options)
        return spec.own.build(task.inputs, task.outputs, options, reach), options
    try:
        with torch.device(device):
            return architecture.build(), dict(architecture.options)
    except ValueError as error:
        raise InputError(f"model '{spec}': {error}") from None


def _parsed(text: str, default: Any, allowed: Range | OneOf | None) -> Any:
    """Return the value of an option, of the type of its default.

    Raises:
        ValueError: it has another type or is out of range; the message completes "it is …".
    """
    if default is None or isinstance(default, str):
        if not re.fullmatch("[A-Za-z0-9_.+-]+", text):
            raise ValueError("not a word of letters, digits and _ . + -")
        if isinstance(allowed, OneOf) and text not in allowed:
            raise ValueError(f"unknown: it may be {allowed}")
        return text
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        number = type(default)(text)
    except (KeyError, ValueError):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
        raise ValueError(f"not {kind}") from None
    if isinstance(allowed, Range) and number not in allowed:
        raise ValueError(f"out of range: {allowed}")
    return number
