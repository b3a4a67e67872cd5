"""Data read from files, checked against dataclasses whose annotations are the schema."""

import re
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
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
    "Context",
    "Count",
    "NonNegative",
    "Number",
    "Positive",
    "Text",
    "Whole",
    "having",
    "validated",
]

T = TypeVar("T")

# Strict: neither a text nor a truth value is a number.
Whole = Annotated[int, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, ge=1)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
NonNegative = Annotated[Number, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Context = Positive | Literal["full"]


def having(**types: Any) -> GetPydanticSchema:
    """Return the annotation of a mapping that has these fields, perhaps among others.

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
