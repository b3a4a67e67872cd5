"""Data read from files, checked against dataclasses whose annotations are the schema."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    GetPydanticSchema,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
)
from pydantic_core import ErrorDetails

__all__ = [
    "Bounded",
    "Context",
    "Count",
    "Moment",
    "NonNegative",
    "Number",
    "Positive",
    "Printable",
    "Share",
    "Text",
    "Whole",
    "check_texts",
    "having",
    "is_printable",
    "validated",
]

T = TypeVar("T")

# Strict: neither a text nor a truth value is a number.
MOST = (1 << 63) - 1  # columns of tables hold integers of 64 bits
Whole = Annotated[int, Field(strict=True, ge=-MOST, le=MOST)]
Count = Annotated[int, Field(strict=True, ge=0, le=MOST)]
Positive = Annotated[int, Field(strict=True, ge=1, le=MOST)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
NonNegative = Annotated[Number, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Context = Positive | Literal["full"]
# Sums and squares of these are finite.
LARGEST = 1e15
Bounded = Annotated[float, Field(strict=True, ge=-LARGEST, le=LARGEST)]
Share = Annotated[Number, Field(ge=0, le=1)]

# A clock that shows an earlier time is wrong.
EARLIEST_NOW = datetime(2026, 11, 30, tzinfo=UTC)
CLOCK_ERROR = timedelta(minutes=10)
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(\+00:00|Z)?)?$"


def is_printable(text: str) -> bool:
    """Return whether a text has no control characters; wide and fixed spaces count as spaces."""
    return text.isprintable() or text.replace("\u00a0", " ").replace("\u3000", " ").isprintable()


def _printable(text: str) -> str:
    if not is_printable(text):
        raise ValueError("has characters that cannot be printed")
    return text


def _moment(text: str) -> str:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    if moment > EARLIEST_NOW and moment > datetime.now(UTC) + CLOCK_ERROR:
        raise ValueError("is in the future")
    return text


# One line without control characters or marks that change the direction of text.
Printable = Annotated[str, Field(min_length=1, max_length=10_000), AfterValidator(_printable)]
# Text is compared, so that later moments are later in the alphabet.
Moment = Annotated[str, Field(pattern=_MOMENT), AfterValidator(_moment)]


def check_texts(data: object) -> None:
    """Raise ValueError if JSON data contain a text or a name that cannot be printed."""
    if isinstance(data, str):
        if not is_printable(data):
            raise ValueError(f"{data!r:.60} has characters that cannot be printed")
    elif isinstance(data, Mapping):
        check_texts([*data, *data.values()])
    elif isinstance(data, list | tuple):
        for each in data:
            check_texts(each)


def having(**types: Any) -> GetPydanticSchema:
    """Return the annotation of a mapping that have these fields, perhaps among others.

    Args:
        types: the type of each field, or its type and default.
    """
    facts: Any = Annotated[create_model("Facts", **types), WrapValidator(_unchanged)]
    return GetPydanticSchema(lambda _, handler: handler.generate_schema(facts))


def validated(kind: type[T], data: Any) -> T:
    """Return what was read from JSON or TOML as a dataclass.

    Raises:
        ValueError: it breaks the schema; one line names a field, its value and the rule.
    """
    adapter = _adapter(kind)  # type: ignore[arg-type]  # classes are hashable
    try:
        found: T = adapter.validate_python(data)
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        place = _place(first)
        if first["type"] == "missing":
            raise ValueError(f"{place} is missing") from None
        if first["type"] == "unexpected_keyword_argument":
            known = f"; the fields are {', '.join(adapter.json_schema()['properties'])}"
            raise ValueError(f"unknown field '{place}'{'' if '.' in place else known}") from None
        # Of a field that has several forms, the rules of each.
        rules = [_rule(each) for each in (first, *others) if _place(each) == place]
        raise ValueError(f"{place} = {first['input']!r:.60} {' or '.join(rules)}") from None
    return found


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _unchanged(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    check(value)
    return value


def _place(error: ErrorDetails) -> str:
    """Return the path to a value, without pydantic's names of the forms of a field."""
    parts = [str(part) for part in error["loc"]]
    return ".".join(part for part in parts if part.isidentifier() or part.isdecimal())


def _rule(error: ErrorDetails) -> str:
    """Return a rule in the words of JSON and TOML, to follow the value."""
    rule = re.sub("^(Input|String|Value error,) ", "", error["msg"])
    return re.sub("(?<=dictionary) or .*", "", rule).replace("valid tuple", "valid list")
