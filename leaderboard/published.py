"""Published numbers: scores printed in papers, shown below measured scores and never ranked.

They are no `Record`: a paper prints one score, not a curve with intervals, recipe and hashes, and
nothing is invented to fill the gap. `published.toml` contains them, and the rules for entries.
"""

import math
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, with_config

from seqmem.errors import unknown
from seqmem.leaderboard.record import RecordError
from seqmem.leaderboard.validation import Context, Positive, Text, Whole, validated
from seqmem.tasks import family_of, listed_tasks

__all__ = ["PUBLISHED", "TRUST", "UNITS", "Citation", "Published", "Unit", "read_published"]

PUBLISHED = Path(__file__).parent / "published.toml"

TRUST = "published"

T = TypeVar("T")


@dataclass(frozen=True)
class Unit:
    """A unit of published scores.

    Attributes:
        families: the families of tasks whose scores may have it.
        score: "loss" or "perplexity" if it is the suite's own score of these tasks; None if it is
            another quantity, which must not share a column with theirs.
        differs: the difference between the quantities; empty if there is none.
    """

    families: tuple[str, ...]
    score: Literal["loss", "perplexity"] | None
    differs: str = ""


UNITS: Mapping[str, Unit] = MappingProxyType(
    {
        "perplexity per word": Unit(("wikitext-2", "wikitext-103"), "perplexity"),
        "nats per frame": Unit(("music",), "loss"),
        "nats per frame, a mean over windows": Unit(
            ("music",),
            None,
            "a window of up to 200 frames counts once, however short; measured scores count every "
            "frame alike",
        ),
        "mean squared error": Unit(("adding-problem",), "loss"),
        "percent of images named right": Unit(
            ("sequential-image", "permuted-image"),
            None,
            "measured scores are cross-entropies; records hold the share of images named right as "
            "accuracy",
        ),
        "nats per position, over all positions": Unit(
            ("copy-memory",),
            None,
            "measured scores are of the ten recalled symbols alone; records hold this one as "
            '"loss over all positions, full context"',
        ),
    }
)

# Suffixes of printed numbers of parameters.
_SIZES = {"K": 1_000, "M": 1_000_000}


@with_config(extra="forbid")
@dataclass(frozen=True)
class Citation:
    """The source of a published number.

    Attributes:
        work: who published it.
        year: of the work.
        where: the paper or repository, and the table.
    """

    work: Text
    year: Whole
    where: Text

    def __str__(self) -> str:
        """Return it in one line, as in a table."""
        return f"{self.work} {self.year}, {self.where}"


def _positive(score: object) -> object:
    """Return a score after checking that it is text, so that no digit is lost, and positive."""
    with suppress(ValueError):
        if isinstance(score, str) and 0 < float(score) < math.inf:
            return score
    raise ValueError("is not a positive number in quotes; write it as printed")


@with_config(extra="forbid")
@dataclass(frozen=True)
class Published:
    """One published score.

    Attributes:
        task: the id of the task.
        model: the model, as in its source.
        printed: the score, digit for digit as printed.
        unit: the unit of the score, one of UNITS.
        source: its source.
        context: the context length it was scored with; None if unknown.
        at_most: an upper bound on an unknown context length; else None.
        parameters: how many, as printed, like 70K or 33M; None if not printed.
        note: what to consider in a comparison; may be empty.
    """

    task: str
    model: Text
    printed: Annotated[str, BeforeValidator(_positive), Field(validation_alias="score")]
    unit: str
    source: Citation
    context: Context | None = None
    at_most: Positive | None = None
    parameters: Annotated[str, Field(pattern=r"^[0-9.]+[KM]$")] | None = None
    note: str = ""

    @property
    def score(self) -> float:
        """The printed number."""
        return float(self.printed)

    @property
    def parameter_count(self) -> int | None:
        """The number of parameters, as exact as printed; None if not printed."""
        if self.parameters is None:
            return None
        return round(float(self.parameters[:-1]) * _SIZES[self.parameters[-1]])


def read_published(path: Path = PUBLISHED) -> tuple[Published, ...]:
    """Return published numbers in the order of the file, and check them.

    Raises:
        RecordError: the file is not TOML, or an entry breaks a rule; the message names the entry.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise RecordError(f"{path.name} is not TOML: {error}") from None
    sources = {
        key: _checked(f"published source '{key}'", Citation, facts)
        for key, facts in data.get("sources", {}).items()
    }
    found: dict[tuple[str, str, Citation], Published] = {}
    for group in data.get("group", []):
        for facts in group.pop("scores", []):
            entry = _entry({**group, **facts}, sources)
            key = entry.task, entry.model, entry.source
            if key in found:
                raise RecordError(
                    f"published {entry.task}, {entry.model}: given twice for {entry.source}; "
                    "remove one, or give the models different names"
                )
            found[key] = entry
    return tuple(found.values())


def _entry(facts: Mapping[str, Any], sources: Mapping[str, Citation]) -> Published:
    name, source = f"published {facts.get('task')}, {facts.get('model')}", str(facts.get("source"))
    if source not in sources:
        raise RecordError(f"{name}: source '{source}' is not described; add it under [sources]")
    entry = _checked(name, Published, {**facts, "source": sources[source]})
    if entry.task not in listed_tasks():
        raise RecordError(f"{name}: {unknown('task', entry.task, listed_tasks(), 'seqmem tasks')}")
    fitting = [key for key, value in UNITS.items() if family_of(entry.task) in value.families]
    if entry.unit not in fitting:
        raise RecordError(
            f"{name}: unit '{entry.unit}' is not a unit of this task: {'; '.join(fitting)}"
        )
    if entry.context is not None and entry.at_most is not None:
        raise RecordError(f"{name}: context and at_most are both given; remove one")
    return entry


def _checked(name: str, kind: type[T], facts: Mapping[str, Any]) -> T:
    try:
        return validated(kind, facts)
    except ValueError as error:
        raise RecordError(f"{name}: {error}") from None
