"""The record: one measured cell (model, task, k_train, seed) as plain data.

A record contains what was measured and how; everything that can be derived from it is derived when
it is read. Files are versioned by `SCHEMA`; every later version reads the older ones.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, Field, with_config

from seqmem.leaderboard.schemas import upgrade
from seqmem.leaderboard.stratified import Stratified, check_strata
from seqmem.leaderboard.validation import (
    Bounded,
    Context,
    Count,
    Moment,
    NonNegative,
    Number,
    Positive,
    Printable,
    Share,
    Whole,
    check_texts,
    having,
    validated,
)

__all__ = [
    "SCHEMA",
    "Context",
    "MeanOf",
    "Point",
    "Record",
    "RecordError",
    "TaskFacts",
    "check_training",
    "from_json",
    "is_name",
    "to_json",
]

SCHEMA = 3

ROUNDING = 1e-5
# Bytes of JSON of all facts, without the curve; those of the committed records take 3 thousand.
MOST_FACTS = 1 << 18
MOST_TRAINING = 1 << 16  # of these, of facts about a training

# A submitted model's name. Single spaces, and none at the ends: names must not look alike.
_NAME = r"(?=.{1,64}$)[A-Za-z0-9][A-Za-z0-9._+-]*( [A-Za-z0-9._+-]+)*"
# A trained model's label: its name and options, as in "lstm:hidden=64,layers=2".
_LABEL = re.compile(rf"({_NAME})|(?=.{{1,500}}$)[A-Za-z0-9][\w.-]*:[\w=.,+-]+", re.ASCII)
_RESERVED = ("chance", "optimum")  # rows of the table that are no models


def is_name(text: str) -> bool:
    """Return whether a text may be a submitted model's name."""
    return re.fullmatch(_NAME, text) is not None and text.lower() not in _RESERVED


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text) or text.lower() in _RESERVED:
        raise ValueError("is not a model's name")
    return text


def _precision(text: str) -> str:
    number, percent, _ = text.partition("%")
    value = float(number)
    if not 0 < value < math.inf or (percent and value > 100):
        raise ValueError("is not a precision")
    return text


_Training = Annotated[
    Mapping[str, Any],
    having(
        k_train=Context | Literal["unknown"],
        budget=Annotated[Printable, Field(max_length=64)],
        seed=Whole,
        state=(Annotated[Printable, Field(max_length=64)] | None, None),
        recipe=(Mapping[str, Any] | None, None),
        result=(Mapping[str, Any] | None, None),
    ),
]
_Model = having(
    label=Annotated[str, AfterValidator(_label)],
    parameters=Count,
    sha256=(Printable | None, None),
    weights_sha256=(Printable | None, None),
    receptive_field=(Mapping[str, Any] | None, None),
    certificate=(Mapping[str, NonNegative | None] | None, None),
    options=(Mapping[str, Any] | None, None),
)
_Measurement = having(
    targets=Count,
    precision=(
        Annotated[
            str, Field(pattern=r"^[0-9.]{1,20}(e[+-]?[0-9]{1,3})?%?$"), AfterValidator(_precision)
        ]
        | None,
        None,
    ),
    plain_passes=(NonNegative | None, None),
    failed=(Mapping[str, str], {}),
)
_Check = having(name=str, passed=bool, example=(str | None, None))
_Validity = having(checks=(list[Annotated[Mapping[str, Any], _Check]], []))


class RecordError(ValueError):
    """A file is not a record that this version can read; the message contains the reason."""


@dataclass(frozen=True)
class MeanOf:
    """A mean in the loss's unit, with its standard error and 95 % interval if known."""

    mean: Bounded
    standard_error: NonNegative | None
    interval: tuple[Bounded, Bounded] | None


@dataclass(frozen=True)
class Point:
    """The curve at one context length.

    Attributes:
        k: the context length.
        n: targets whose loss at k is known; the others are estimated.
        method: "all" targets, a "sample", or none because the loss is that of a larger context
            ("agrees with full", "receptive field", "no longer sequence").
        loss: the mean loss over all targets of the split; its interval is over data of the same
            kind, and takes dependent targets into account.
        half_width: half the 95 % interval of the mean over exactly these targets, the sampling
            error; 0 if all are known.
        excess: loss at k minus loss at full, paired target by target; None without full.
        optimum: the smallest loss any predictor can reach at k; None if unknown.
        accuracy: share of correct targets and its interval; None for losses without one.
        state_floats: floats of the model's state after k inputs; at full, after the longest
            sequence of a task with `held_symbols`; None if unknown, and at full of other tasks.
        steps: model steps for windows of this length; None if unknown.
        group_sums: total loss in each group of dependent targets, in the order of the record's
            `group_counts`; paired comparisons are computed from them.
    """

    k: Context
    n: Count
    method: Annotated[str, Field(pattern="^[a-z ]{1,40}$")]
    loss: MeanOf
    half_width: NonNegative
    excess: MeanOf | None
    optimum: Bounded | None
    accuracy: tuple[Share, Bounded, Bounded] | None
    state_floats: Count | None
    steps: Count | None
    group_sums: tuple[Number, ...]


@dataclass(frozen=True)
class TaskFacts:
    """The facts about a task that a record contains.

    Attributes:
        id: its id.
        version: its version; scores of different versions are not comparable.
        data_hash: content hash of the scored split.
        split: the name of the scored split.
        loss: the loss's name.
        unit: its unit.
        score: "loss" or "perplexity": the quantity in tables.
        chance: the loss of the best predictor without memory.
        optimum: the smallest loss any predictor can reach; None if unknown.
        held_symbols: how many independent, uniform symbols, each worth `chance`, the targets of a
            sequence ask back (`seqmem.leaderboard.statistics.bits_held`); None if they do not, and
            in older records.
    """

    id: Printable
    version: Whole
    data_hash: Printable
    split: Printable
    loss: Printable
    unit: Printable
    score: Annotated[str, Field(pattern="^(loss|perplexity)$")]
    chance: Bounded
    optimum: Bounded | None
    held_symbols: Positive | None = None


@with_config(extra="forbid")
@dataclass(frozen=True)
class Record:
    """One measured cell.

    Attributes:
        suite: version, git commit and whether files were changed since.
        created: when, ISO 8601, UTC.
        task: facts about the task.
        model: name, options, source hash, weights hash, parameters, receptive field.
        training: k_train, state ("carried" or "reset" for models with state; older records without
            it were carried), seed, budget, recipe, data hash, result of training, seconds.
        measurement: method, precision, window rule, targets, sampling seed, seconds, steps, and
            reasons why context lengths could not be measured.
        group_counts: targets in each group of dependent targets.
        gain: chance minus the full-context loss, paired target by target; None without full.
        curve: points, k ascending, full last.
        extras: further scores by name.
        validity: results of the validity gate; None if it was not run.
        environment: packages, device, dtype, threads, peak memory.
        trust: "self-reported", "rescored" or "published": what the file says. Boards believe
            "rescored" with a signature (`seqmem.leaderboard.signature`).
        strata: the curve split by kinds of targets; empty in older records, and where a task has
            no such kinds.
        supersedes: None; some files of schema 3 may name a record that they correct. Not used.
        schema: the version of the schema.
    """

    suite: Mapping[str, Any]
    created: Moment
    task: TaskFacts
    model: Annotated[Mapping[str, Any], _Model]
    training: _Training
    measurement: Annotated[Mapping[str, Any], _Measurement]
    group_counts: Annotated[tuple[Count, ...], Field(min_length=1)]
    gain: MeanOf | None
    curve: tuple[Point, ...]
    extras: Mapping[str, Bounded]
    validity: Annotated[Mapping[str, Any], _Validity] | None
    environment: Annotated[Mapping[str, Any], having(dtype=(str | None, None))]
    trust: Annotated[str, Field(pattern="^(self-reported|rescored|published)$")]
    strata: tuple[Stratified, ...] = ()
    supersedes: Printable | None = None
    schema: int = SCHEMA

    def point(self, k: Context) -> Point | None:
        """Return the curve at one context length; None if it was not measured."""
        for point in self.curve:  # a generator would take twice as long
            if point.k == k:
                return point
        return None


def to_json(record: Record) -> str:
    """Return a record as JSON, a line for each field; equal records have equal texts."""
    data = asdict(record)
    if record.task.held_symbols is None:  # as in older records, whose signatures stay valid
        del data["task"]["held_symbols"]
    if not record.strata:
        del data["strata"]
    fields = sorted(data.items())
    lines = [f'"{k}": {json.dumps(v, sort_keys=True, allow_nan=False)}' for k, v in fields]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def from_json(text: str | bytes) -> Record:
    """Return the record of a file.

    Args:
        text: of the file; bytes are UTF-8.

    Raises:
        RecordError: the text is not JSON, not a record, or of a later version.
    """
    try:
        data = orjson.loads(text)
    except ValueError as error:
        raise RecordError(f"not JSON: {error}") from None
    schema = data.get("schema") if isinstance(data, dict) else None
    if type(schema) is not int or schema < 1:
        raise RecordError("not a seqmem record: it has no schema version")
    if schema > SCHEMA:
        raise RecordError(
            f"schema {schema} is newer than this version of seqmem reads ({SCHEMA}); update seqmem"
        )
    try:
        record = validated(Record, upgrade(data))
        _check(record)
        _check_facts(data, text)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        of = "" if schema == SCHEMA else f" of schema {schema}"
        raise RecordError(f"a field{of} is missing or wrong: {error}") from None
    return record


def _check(record: Record) -> None:
    """Raise ValueError if parts of a record do not fit together."""
    total = sum(record.group_counts)
    if total == 0:
        raise ValueError("group_counts contain no targets")
    targets = max(total, record.measurement["targets"])
    precision = record.measurement.get("precision") or "%"
    if not precision.endswith("%") and float(precision) > abs(record.task.chance):
        raise ValueError(f"precision {precision} is more than chance, {record.task.chance}")
    full = record.point("full")
    for point in record.curve:
        if point.n > targets:
            raise ValueError(f"n = {point.n} at k = {point.k} of {targets} targets")
        if point.half_width == 0 and point.n < total:
            raise ValueError(f"half_width = 0 at k = {point.k}, and n = {point.n} of {total}")
        interval = point.loss.interval or (point.loss.mean, point.loss.mean)
        if not interval[0] <= point.loss.mean <= interval[1]:
            raise ValueError(f"the interval at k = {point.k} is not around the mean")
        if (sums := len(point.group_sums)) != len(record.group_counts):
            raise ValueError(f"{sums} group_sums at k = {point.k} of {len(record.group_counts)}")
        mean = sum(point.group_sums) / total
        if not _equal(mean, point.loss.mean):
            raise ValueError(
                f"the mean at k = {point.k} is {point.loss.mean}, the sums give {mean}"
            )
        if point.excess is not None and full is not None:
            excess = point.loss.mean - full.loss.mean
            if not _equal(excess, point.excess.mean, abs(full.loss.mean)):
                raise ValueError(
                    f"the excess at k = {point.k} is {point.excess.mean}, the means give {excess}"
                )
    means = {p.k: (p.loss.mean, p.excess.mean if p.excess else None) for p in record.curve}
    check_strata(record.strata, total, means, ROUNDING)
    order = [math.inf if point.k == "full" else point.k for point in record.curve]
    if not order or order != sorted(set(order)):
        raise ValueError("the curve's k are not ascending")


def _equal(one: float, other: float, scale: float = 0.0) -> bool:
    """Return whether two numbers are equal up to the order of sums."""
    return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=ROUNDING * max(scale, 1.0))


def check_training(training: Mapping[str, Any]) -> None:
    """Raise ValueError or TypeError if facts of a file about a training fit no record."""
    schema: Any = _Training
    validated(schema, training)
    _check_size("the facts about the training", training, MOST_TRAINING)
    json.dumps(training, allow_nan=False)
    check_texts(training)


def _check_size(what: str, facts: Mapping[str, Any], most: int) -> None:
    """Raise ValueError or TypeError if facts are too many, or too deeply nested for readers."""
    size = len(orjson.dumps(facts))  # fails if they are nested too deeply
    if size > most:
        raise ValueError(f"{what} take {size:,} bytes, more than {most:,}")


def _check_facts(data: Mapping[str, Any], text: str | bytes) -> None:
    """Raise ValueError or TypeError if facts cannot be shown.

    Args:
        data: a record.
        text: its JSON. One without escapes and other characters than ASCII has nothing to find.
    """
    facts = {**data, "curve": None, "group_counts": None, "strata": None}
    _check_size("the facts", facts, MOST_FACTS)
    signs: Any = ("\\", "\x7f") if isinstance(text, str) else (b"\\", b"\x7f")
    if signs[0] in text or signs[1] in text or not text.isascii():
        check_texts(facts)
