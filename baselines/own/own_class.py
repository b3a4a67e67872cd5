"""A user's class: what kind it is, its options, and the models made of it."""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from inspect import Parameter
from typing import Any, Literal, get_args

from torch import nn

from seqmem.baselines.own.errors import one_line_errors
from seqmem.baselines.own.mixer import MixerModel
from seqmem.baselines.own.recurrent import LAYER_OPTIONS, RecurrentModel
from seqmem.baselines.own.whole import whole_model
from seqmem.errors import InputError
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import InputSpec

__all__ = ["KINDS", "Kind", "OwnClass", "own_class"]

Kind = Literal["model", "recurrent", "mixer"]
KINDS: tuple[Kind, ...] = get_args(Kind)

HOW = (
    "a whole model is Class(inputs, outputs, …), a recurrent layer Class(input_size, hidden_size, "
    "…), a mixer Class(d_model, …)"
)
# Set from the task and k_train, not by the user, for classes that name them.
_REACH = ("context", "covers")
# The first parameters of a class, by its kind.
_FIXED: Mapping[Kind, int] = {"model": 2, "recurrent": 2, "mixer": 1}


@dataclass(frozen=True)
class OwnClass:
    """A user's class, ready to be trained on any task.

    In another process it is made again from what it is, not imported: a notebook's class has no
    file, and the file of another machine may be another one.

    Attributes:
        text: as the user wrote it, for messages.
        label: its name on the board.
        kind: what kind of class it is.
        constructor: the class.
        source_sha256: the hash of what its code computes.
        defaults: the options that it takes, with their defaults.
        modules: the user's modules that it is made of.
    """

    text: str
    label: str
    kind: Kind
    constructor: Callable[..., nn.Module]
    source_sha256: str
    defaults: Mapping[str, Any]
    modules: tuple[str, ...] = field(default=(), compare=False)

    def __reduce__(self) -> tuple[Callable[..., "OwnClass"], tuple[Any, ...]]:
        """Return how it is sent to other processes: with its code."""
        import cloudpickle  # slow to import

        modules = [import_module(name) for name in self.modules]
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
        try:
            code = cloudpickle.dumps(self.constructor)
        except Exception as error:  # anything that the user's code holds
            raise InputError(
                f"model '{self.text}': cannot be sent to other processes ({error}); leave --jobs, "
                "--ray and --devices out"
            ) from None
        finally:
            for module in modules:
                cloudpickle.unregister_pickle_by_value(module)
        facts = (self.text, self.label, self.kind, self.source_sha256, dict(self.defaults))
        return _unpickled, (code, *facts)

    @property
    def next_token_only(self) -> bool:
        """Whether it works only on tasks whose targets are the next inputs."""
        return bool(getattr(self.constructor, "next_token_only", False))

    @property
    def needs_separator(self) -> bool:
        """Whether it works only on tasks whose inputs have a source and a target."""
        return bool(getattr(self.constructor, "needs_separator", False))

    def facts(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a record says about the class with these options."""
        name = getattr(self.constructor, "__qualname__", self.label)  # a file has several classes
        both = json.dumps([name, self.source_sha256, self.kind, dict(options)], sort_keys=True)
        return {
            "own": True,
            "kind": self.kind,
            "own_source_sha256": self.source_sha256,
            # Under one name, another class is another model.
            "sha256": hashlib.sha256(both.encode()).hexdigest(),
        }

    def build(
        self,
        inputs: InputSpec,
        outputs: int,
        options: Mapping[str, Any],
        reach: Mapping[str, Any],
    ) -> SequenceModel:
        """Return an untrained model.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            options: all of `defaults`, perhaps with other values.
            reach: the context that sets the receptive field, for classes that name it.

        Raises:
            InputError: the class cannot be constructed so.
        """
        named = _parameters(self.constructor)
        given = {name: reach[name] for name in _REACH if name in named}
        backbone = _backbone_options(self.kind)
        given |= {name: value for name, value in options.items() if name not in backbone}
        shared = {name: options[name] for name in backbone}
        if self.kind == "recurrent":
            shared["named"] = LAYER_OPTIONS & named.keys()
        with one_line_errors(self.text, "its constructor"):
            if self.kind == "model":
                return whole_model(self._module, inputs, outputs, given)
            surrounds = MixerModel if self.kind == "mixer" else RecurrentModel
            return surrounds(inputs, outputs, self._module, given, **shared)

    def _module(self, *arguments: Any, **options: Any) -> nn.Module:
        module = self.constructor(*arguments, **options)
        if not isinstance(module, nn.Module):
            raise InputError(
                f"model '{self.text}': returned {type(module).__name__}; it must return a "
                "torch.nn.Module"
            )
        return module


def own_class(
    constructor: Any,
    text: str,
    *,
    label: str,
    source_sha256: str,
    kind: Kind | None = None,
    modules: tuple[str, ...] = (),
) -> OwnClass:
    """Return a class of the user, of the kind that its parameters show.

    Args:
        constructor: the class.
        text: as the user wrote it.
        label: its name on the board.
        source_sha256: the hash of its code.
        kind: what kind of class it is; None: as its parameters say.
        modules: the user's modules that it is made of.

    Raises:
        InputError: it is no class of modules, or of no known kind.
    """
    is_class = isinstance(constructor, type)
    if not (inspect.isfunction(constructor) or (is_class and issubclass(constructor, nn.Module))):
        found = "a class, but none of modules" if is_class else f"a {type(constructor).__name__}"
        raise InputError(
            f"model '{text}': is {found}; it must be a subclass of torch.nn.Module, or a function "
            "that returns a module"
        )
    if kind is not None and kind not in KINDS:
        raise InputError(f"--as {kind}: must be one of {', '.join(KINDS)}")
    kind = kind or _kind(constructor, text)
    defaults = _backbone_options(kind) | _own_options(constructor, kind, text)
    return OwnClass(text, label, kind, constructor, source_sha256, defaults, modules)


def _unpickled(code: bytes, text: str, label: str, kind: Kind, *facts: Any) -> OwnClass:
    import cloudpickle

    return OwnClass(text, label, kind, cloudpickle.loads(code), *facts)


def _parameters(constructor: Callable[..., nn.Module]) -> Mapping[str, Parameter]:
    """Return the parameters of a class or function by name; torch's own layers hide theirs."""
    parameters = inspect.signature(constructor).parameters
    hidden = all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters.values())
    if hidden and isinstance(constructor, type) and issubclass(constructor, nn.RNNBase):
        return inspect.signature(_torch_layer).parameters
    return parameters


def _torch_layer(
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    bias: bool = True,
    batch_first: bool = False,
    dropout: float = 0.0,
) -> None:
    """Have the parameters of torch's recurrent layers."""


def _kind(constructor: Any, text: str) -> Kind:
    """Return the kind of a class by its first parameters."""
    if isinstance(constructor, type) and issubclass(constructor, SequenceModel):
        return "model"
    places = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    parameters = _parameters(constructor)
    needed = [
        p.name
        for p in parameters.values()
        if p.kind in places and p.default is p.empty and p.name not in _REACH
    ]
    if needed[:2] == ["inputs", "outputs"]:
        return "model"
    if len(needed) == 2 and "hidden" in needed[1]:
        return "recurrent"
    if len(needed) == 1 and needed[0] not in ("inputs", "outputs"):
        return "mixer"
    name = getattr(constructor, "__name__", text)
    raise InputError(
        f"model '{text}': {name}({', '.join(parameters)}) is of no known kind: {HOW}; "
        f"--as {'|'.join(KINDS)} says which it is"
    )


def _backbone_options(kind: Kind) -> dict[str, Any]:
    """Return the options of what surrounds a layer, with their defaults."""
    surrounds = {"mixer": MixerModel, "recurrent": RecurrentModel}.get(kind)
    if surrounds is None:
        return {}
    parameters = inspect.signature(surrounds).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _own_options(constructor: Callable[..., nn.Module], kind: Kind, text: str) -> dict[str, Any]:
    """Return the options that a class itself takes, with their defaults."""
    taken = {*_REACH, *LAYER_OPTIONS, *_backbone_options(kind)}
    if kind == "model":
        taken = {*_REACH}
    options: dict[str, Any] = {}
    for p in list(_parameters(constructor).values())[_FIXED[kind] :]:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or p.name in taken:
            continue
        if p.default is p.empty:
            raise InputError(
                f"model '{text}': it requires '{p.name}' as well, and {HOW}; give '{p.name}' a "
                "default"
            )
        if p.default is None or isinstance(p.default, int | float | str):
            options[p.name] = p.default
    return options
