"""Published numbers: scores printed in papers, shown below measured scores and never ranked.

They are no `Record`: a paper prints one score, not a curve with intervals, recipe and hashes, and
nothing is invented to fill the gap. `published.toml` contains them, and the rules for entries.
"""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from seqmem.errors import unknown
from seqmem.leaderboard.record import Context, RecordError
from seqmem.tasks import family_of, listed_tasks

__all__ = ["PUBLISHED", "TRUST", "UNITS", "Citation", "Published", "Unit", "read_published"]

PUBLISHED = Path(__file__).parent / "published.toml"

TRUST = "published"


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


@dataclass(frozen=True)
class Citation:
    """The source of a published number.

    Attributes:
        work: who published it.
        year: of the work.
        where: the paper or repository, and the table.
    """

    work: str
    year: int
    where: str

    def __str__(self) -> str:
        """Return it in one line, as in a table."""
        return f"{self.work} {self.year}, {self.where}"


@dataclass(frozen=True)
class Published:
    """One published score.

    Attributes:
        task: the id of the task.
        model: the model, as in its source.
        printed: the score, digit for digit as printed.
        unit: the unit of the score, one of UNITS.
        context: the context length it was scored with; None if unknown.
        at_most: an upper bound on an unknown context length; else None.
        parameters: how many, as printed; None if not printed.
        source: its source.
        note: what to consider in a comparison; may be empty.
    """

    task: str
    model: str
    printed: str
    unit: str
    context: Context | None
    at_most: int | None
    parameters: str | None
    source: Citation
    note: str

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
    sources = {key: _source(key, facts) for key, facts in data.get("sources", {}).items()}
    found: dict[tuple[str, str, Citation], Published] = {}
    for group in data.get("group", []):
        for facts in group.get("scores", []):
            entry = _entry(group, facts, sources)
            key = entry.task, entry.model, entry.source
            if key in found:
                raise RecordError(
                    f"published {entry.task}, {entry.model}: given twice for {entry.source}; "
                    "remove one, or give the models different names"
                )
            found[key] = entry
    return tuple(found.values())


def _source(key: str, facts: Mapping[str, Any]) -> Citation:
    try:
        source = Citation(**facts)
    except TypeError:
        raise RecordError(
            f"published source '{key}' has fields {', '.join(facts)}; it takes work, year and where"
        ) from None
    if not (source.work and source.where and type(source.year) is int):
        raise RecordError(
            f"published source '{key}': work and where must be text, year a whole number"
        )
    return source


def _entry(
    group: Mapping[str, Any], facts: Mapping[str, Any], sources: Mapping[str, Citation]
) -> Published:
    task, unit = str(group.get("task")), str(group.get("unit"))
    name = f"published {task}, {facts.get('model')}"
    _only(name, group, {"task", "unit", "source", "scores"})
    _only(name, facts, {"model", "score", "context", "at_most", "parameters", "note"})
    if task not in listed_tasks():
        raise RecordError(f"{name}: {unknown('task', task, listed_tasks(), 'seqmem tasks')}")
    if unit not in UNITS or family_of(task) not in UNITS[unit].families:
        fitting = [key for key, value in UNITS.items() if family_of(task) in value.families]
        raise RecordError(f"{name}: unit '{unit}' is not a unit of this task: {'; '.join(fitting)}")
    if group.get("source") not in sources:
        raise RecordError(
            f"{name}: source '{group.get('source')}' is not described; add it under [sources]"
        )
    if not facts.get("model"):
        raise RecordError(f"{name}: model is missing; use the name in the source")
    context, at_most = facts.get("context"), facts.get("at_most")
    for k in (context, at_most):
        if k is not None and (k != "full" or k is at_most) and not (type(k) is int and k > 0):
            raise RecordError(f"{name}: {k!r} is not a context length: from 1 on, or full")
    if context is not None and at_most is not None:
        raise RecordError(f"{name}: context and at_most are both given; remove one")
    parameters = facts.get("parameters")
    if parameters is not None and not re.fullmatch(r"[0-9.]+[KM]", str(parameters)):
        raise RecordError(f"{name}: parameters {parameters!r} are not text like 70K or 33M")
    return Published(
        task=task,
        model=facts["model"],
        printed=_printed(name, facts.get("score")),
        unit=unit,
        context=context,
        at_most=at_most,
        parameters=parameters,
        source=sources[group["source"]],
        note=facts.get("note", ""),
    )


def _printed(name: str, score: object) -> str:
    """Return a score after checking that it is text, so that no digit is lost, and positive."""
    try:
        value = float(score) if isinstance(score, str) else math.nan
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise RecordError(
            f"{name}: score {score!r} is not a positive number in quotes; write it as printed"
        )
    return str(score)


def _only(name: str, given: Mapping[str, Any], takes: set[str]) -> None:
    for key in given:
        if key not in takes:
            raise RecordError(f"{name}: unknown field '{key}'; it takes {', '.join(sorted(takes))}")
