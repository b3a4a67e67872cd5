"""Reading the parameters of a task id, with errors that say what would have been right."""

import re
from collections.abc import Collection, Mapping

from seqmem.errors import InputError

__all__ = ["integer", "integer_range", "only"]


def only(parameters: Mapping[str, str], names: Collection[str], example: str) -> None:
    """Check that exactly the named parameters are given.

    Raises:
        InputError: one is missing, or one is not of this family.
    """
    for name in parameters:
        if name not in names:
            takes = f"takes {', '.join(names)}" if names else "takes no parameters"
            raise InputError(f"unknown parameter '{name}'; this family {takes}, as in {example}")
    for name in names:
        if name not in parameters:
            raise InputError(f"parameter {name} is missing, as in {example}")


def integer(name: str, text: str, low: int, high: int) -> int:
    """Read a whole number within [low, high].

    Raises:
        InputError: it is not one.
    """
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise InputError(f"{name}={text} is not a whole number from {low} to {high}")
    value = int(text)
    if not low <= value <= high:
        raise InputError(f"{name}={text} is out of range: {low} to {high}")
    return value


def integer_range(name: str, text: str, low: int, high: int) -> tuple[int, int]:
    """Read ``a`` or ``a-b`` as (a, a) or (a, b), with low <= a <= b <= high.

    Raises:
        InputError: it is neither.
    """
    first, dash, last = text.partition("-")
    a = integer(name, first, low, high)
    b = integer(name, last, low, high) if dash else a
    if b < a:
        raise InputError(f"{name}={text} runs backwards; write {name}={b}-{a}")
    return a, b
