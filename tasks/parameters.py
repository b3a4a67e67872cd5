"""Reading the parameters of a task id, with errors that name the valid values."""

import re
from collections.abc import Collection, Mapping

from seqmem.errors import InputError

__all__ = ["check_names", "integer", "integer_range", "number", "read_parameters", "split_options"]

_OPTIONS = re.compile(r"(.*)\?([^?=/&]+=[^?/]*)")


def read_parameters(text: str, separator: str, example: str) -> dict[str, str]:
    """Return the parameters of ``parameter=value``, several of them with a separator.

    Raises:
        InputError: one has another form, or is given twice.
    """
    parameters: dict[str, str] = {}
    for item in text.split(separator) if text else ():
        key, equals, value = item.partition("=")
        if not (key and equals and value):
            raise InputError(f"'{item}' is not parameter=value; an id looks like {example}")
        if key in parameters:
            raise InputError(f"parameter {key} is given twice")
        parameters[key] = value
    return parameters


def split_options(text: str) -> tuple[str, str]:
    """Return the path, or glob, and the options of ``PATH?option=value&…``; "" without options.

    Globs have question marks as well: what looks like options is options.
    """
    match = _OPTIONS.fullmatch(text)
    return (match[1], match[2]) if match else (text, "")


def check_names(
    parameters: Mapping[str, str],
    names: Collection[str],
    example: str,
    optional: Collection[str] = (),
) -> None:
    """Check that exactly these parameters are given, and perhaps optional ones.

    Raises:
        InputError: one is missing, or one is unknown to the family.
    """
    for name in parameters:
        if name not in (*names, *optional):
            known = f"has {', '.join((*names, *optional))}" if names else "has no parameters"
            raise InputError(f"unknown parameter '{name}'; this family {known}, as in {example}")
    for name in names:
        if name not in parameters:
            raise InputError(f"parameter {name} is missing, as in {example}")


def integer(name: str, text: str, low: int, high: int) -> int:
    """Return a whole number within [low, high].

    Raises:
        InputError: it is not one.
    """
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise InputError(f"{name}={text} is not a whole number from {low} to {high}")
    value = int(text)
    if not low <= value <= high:
        raise InputError(f"{name}={text} is out of range: {low} to {high}")
    return value


def number(name: str, text: str, low: float, high: float) -> float:
    """Return a number within [low, high] that is written with at most four decimals.

    So few digits that ``f"{number:g}"``, as which it stands in an id, is the number itself.

    Raises:
        InputError: it is not one.
    """
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,4})?", text):
        allowed = f"from {low:g} to {high:g} with at most four decimals"
        raise InputError(f"{name}={text} is not a number {allowed}")
    value = float(text)
    if not low <= value <= high:
        raise InputError(f"{name}={text} is out of range: {low:g} to {high:g}")
    return value


def integer_range(name: str, text: str, low: int, high: int) -> tuple[int, int]:
    """Return ``a`` or ``a-b`` as (a, a) or (a, b), with low <= a <= b <= high.

    Raises:
        InputError: it is neither.
    """
    first, dash, last = text.partition("-")
    a = integer(name, first, low, high)
    b = integer(name, last, low, high) if dash else a
    if b < a:
        raise InputError(f"{name}={text} is descending; write {name}={b}-{a}")
    return a, b
