"""Changes of a recipe as a user writes them, ``name=value``."""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from seqmem.errors import InputError

__all__ = ["parse_changes"]

# Numbers of a recipe that a user may set, with what they must be at least; and words.
_COUNTS = ("steps", "batch", "warmup", "validate_every", "patience", "validation_targets")
_RATES = ("learning_rate", "clip")
_WORDS_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"optimizer": ("adam", "sgd"), "schedule": ("cosine", "plateau", "constant")}
)


def parse_changes(given: Iterable[str]) -> dict[str, Any]:
    """Return changes of a recipe that are written ``name=value``.

    Raises:
        InputError: a name is none of a recipe, or its value is none that it may have.
    """
    changes: dict[str, Any] = {}
    known = (*_COUNTS, *_RATES, *_WORDS_OF)
    for text in given:
        name, equals, value = text.partition("=")
        if name not in known:
            hint = {"k_train": "--k-train sets it", "dtype": "--train-dtype sets it"}.get(name)
            hint = hint or f"it may be {', '.join(known)}"
            raise InputError(f"--set {text}: '{name}' is not set so; {hint}")
        if not equals or name in changes:
            problem = "is given twice" if equals else "has no value; write name=value"
            raise InputError(f"--set {text}: '{name}' {problem}")
        changes[name] = _value(text, name, value)
    return changes


def _value(text: str, name: str, value: str) -> int | float | str:
    if name in _WORDS_OF:
        if value not in _WORDS_OF[name]:
            raise InputError(f"--set {text}: must be {' or '.join(_WORDS_OF[name])}")
        return value
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    least = 0 if name == "warmup" else 1
    if name in _COUNTS and not (number >= least and number.is_integer() and number < 1e9):
        raise InputError(f"--set {text}: must be a whole number from {least} on")
    if name in _RATES and not 0 < number < math.inf:
        raise InputError(f"--set {text}: must be a positive number")
    return int(number) if name in _COUNTS else number
