"""From the user's own code, in text or in memory, to a model that is trained like a baseline."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from seqmem.baselines.own.load import is_code, load_class, take_class
from seqmem.baselines.own.own_class import Kind
from seqmem.baselines.spec import ModelSpec, options_of, parse_model, parse_options

__all__ = ["model_spec"]


def model_spec(
    model: str | Callable[..., Any] | ModelSpec,
    kind: Kind | None = None,
    options: Mapping[str, Any] | None = None,
) -> ModelSpec:
    """Return a model to train.

    Args:
        model: a baseline's name or ``my.py:MyLayer``, perhaps with options; or a class.
        kind: what kind of class it is; None: as its parameters say. Baselines ignore it.
        options: further options.

    Raises:
        InputError: there is no such model, or it does not take an option.
    """
    if isinstance(model, ModelSpec):
        spec = model
    elif not isinstance(model, str):
        own = take_class(model, kind)
        spec = ModelSpec(own.label, own=own)
    elif not is_code(model):
        spec = parse_model(model)
    else:
        own, written = load_class(model, kind)
        spec = ModelSpec(own.label, parse_options(model, written, own.defaults, own.label), own)
    if not options:
        return spec
    text = ",".join(f"{key}={value}" for key, value in options.items())
    known = options_of(spec.name) if spec.own is None else spec.own.defaults
    more = parse_options(str(spec), text, known, spec.name)
    return replace(spec, options={**spec.options, **more})
