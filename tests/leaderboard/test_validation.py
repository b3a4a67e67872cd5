"""A schema is a dataclass; what breaks it is named in one line: field, value and rule."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import Field, with_config

from seqmem.leaderboard.validation import (
    Context,
    Count,
    NonNegative,
    Number,
    Text,
    having,
    validated,
)


@dataclass(frozen=True)
class Inner:
    k: Context
    width: NonNegative | None = None


@with_config(extra="forbid")
@dataclass(frozen=True)
class Outer:
    points: tuple[Inner, ...]
    facts: Annotated[Mapping[str, Any], having(label=str, seed=(Count, 0))]
    pair: tuple[Number, Number] = (0.0, 1.0)
    name: Annotated[Text, Field(validation_alias="title")] = "none"


GOOD: dict[str, Any] = {"points": [{"k": 1}, {"k": "full", "width": 2}], "facts": {"label": "a"}}


def test_lists_and_objects_become_tuples_and_dataclasses() -> None:
    found = validated(Outer, {**GOOD, "title": "b"})
    assert found == Outer((Inner(1), Inner("full", 2.0)), {"label": "a"}, name="b")


def test_other_facts_and_their_order_are_kept() -> None:
    facts = {"z": [1], "label": "a", "b": None}
    assert list(validated(Outer, {**GOOD, "facts": facts}).facts.items()) == list(facts.items())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"points": 3}, "points = 3 should be a valid list"),
        ({"points": [3]}, "points.0 = 3 should be a dictionary"),
        ({"points": [{}]}, "points.0.k is missing"),
        (
            {"points": [{"k": 0}]},
            "points.0.k = 0 should be greater than or equal to 1 or should be 'full'",
        ),
        (
            {"points": [{"k": 1, "width": -1}]},
            "points.0.width = -1 should be greater than or equal to 0",
        ),
        ({"points": [{"k": 1, "w": 1}]}, "unknown field 'points.0.w'"),
        (
            {"name": "a"},
            "unknown field 'name'; the fields are points, facts, pair, title",
        ),
        ({"title": ""}, "title = '' should have at least 1 character"),
        ({"title": 7}, "title = 7 should be a valid string"),
        ({"pair": [1, "2"]}, "pair.1 = '2' should be a valid number"),
        ({"pair": [True, 2]}, "pair.0 = True should be a valid number"),
        ({"pair": [1, float("nan")]}, "pair.1 = nan should be a finite number"),
        ({"pair": [1]}, "pair.1 is missing"),
        ({"facts": {}}, "facts.label is missing"),
        ({"facts": {"label": "a", "seed": "1"}}, "facts.seed = '1' should be a valid integer"),
        ({"facts": []}, "facts = [] should be a valid dictionary"),
    ],
)
def test_the_message_is_one_line(change: Mapping[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        validated(Outer, {**GOOD, **change})
