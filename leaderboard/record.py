"""The record: one measured cell (model, task, k_train, seed) as plain data.

A record contains what was measured and how; everything that can be derived from it is derived when
it is read. Files are versioned by `SCHEMA`; every later version reads the older ones.
"""

import json
import math
from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import NoneType
from typing import Any, Literal

import orjson

from seqmem.leaderboard.schemas import upgrade

__all__ = [
    "SCHEMA",
    "MeanOf",
    "Point",
    "Record",
    "RecordError",
    "TaskFacts",
    "from_json",
    "to_json",
]

SCHEMA = 3

Context = int | Literal["full"]


class RecordError(ValueError):
    """A file is not a record that this version can read; the message contains the reason."""


@dataclass(frozen=True)
class MeanOf:
    """A mean in the loss's unit, with its standard error and 95 % interval if known."""

    mean: float
    standard_error: float | None
    interval: tuple[float, float] | None


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
        state_floats: floats of the model's state after k inputs; None if unknown or at full.
        steps: model steps for windows of this length; None if unknown.
        group_sums: total loss in each group of dependent targets, in the order of the record's
            `group_counts`; paired comparisons are computed from them.
    """

    k: Context
    n: int
    method: str
    loss: MeanOf
    half_width: float
    excess: MeanOf | None
    optimum: float | None
    accuracy: tuple[float, float, float] | None
    state_floats: int | None
    steps: int | None
    group_sums: tuple[float, ...]


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
    """

    id: str
    version: int
    data_hash: str
    split: str
    loss: str
    unit: str
    score: str
    chance: float
    optimum: float | None


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
        trust: "self-reported", "rescored" or "published".
        supersedes: None; some files of schema 3 may name a record that they correct. Not used.
        schema: the version of the schema.
    """

    suite: Mapping[str, Any]
    created: str
    task: TaskFacts
    model: Mapping[str, Any]
    training: Mapping[str, Any]
    measurement: Mapping[str, Any]
    group_counts: tuple[int, ...]
    gain: MeanOf | None
    curve: tuple[Point, ...]
    extras: Mapping[str, float]
    validity: Mapping[str, Any] | None
    environment: Mapping[str, Any]
    trust: str
    supersedes: str | None = None
    schema: int = SCHEMA

    def point(self, k: Context) -> Point | None:
        """Return the curve at one context length; None if it was not measured."""
        for point in self.curve:  # a generator would take twice as long
            if point.k == k:
                return point
        return None


def to_json(record: Record) -> str:
    """Return a record as JSON, a line for each field; equal records have equal texts."""
    fields = sorted(asdict(record).items())
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
    if not isinstance(data, dict) or not isinstance(data.get("schema"), int):
        raise RecordError("not a seqmem record: it has no schema version")
    if data["schema"] > SCHEMA:
        raise RecordError(
            f"schema {data['schema']} is newer than this version of seqmem reads ({SCHEMA}); "
            "update seqmem"
        )
    try:
        if data["schema"] < SCHEMA:
            data = upgrade(data)
        data["task"] = TaskFacts(**data["task"])
        data["curve"] = tuple(map(_point, data["curve"]))
        data["gain"] = _mean_of(data["gain"])
        data["group_counts"] = tuple(data["group_counts"])
        record = Record(**data)
        _check(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"a field is missing or wrong: {error}") from None
    return record


def _check(record: Record) -> None:
    """Raise ValueError if a record breaks an assumption of its readers."""
    for value, kind in (
        (record.created, str),
        (record.task.id, str),
        (record.task.version, int),
        (record.task.data_hash, str),
        (record.task.score, str),
        (record.task.chance, (int, float)),
        (record.model["label"], str),
        (record.model["parameters"], int),
        (record.training["k_train"], (int, str)),
        (record.training["budget"], str),
        (record.training["seed"], int),
        (record.training.get("state"), (str, NoneType)),
        (record.measurement["targets"], int),
        (record.supersedes, (str, NoneType)),
    ):
        if not isinstance(value, kind):
            raise ValueError(f"{value!r} has the wrong type")
    for point in record.curve:
        if (sums := len(point.group_sums)) != len(record.group_counts):
            raise ValueError(f"{sums} group_sums at k = {point.k} of {len(record.group_counts)}")
    order = [math.inf if point.k == "full" else point.k for point in record.curve]
    if not order or order != sorted(set(order)):
        raise ValueError("the curve's k are not ascending")


def _point(data: dict[str, Any]) -> Point:
    k = data["k"]
    if k != "full" and (isinstance(k, bool) or not isinstance(k, int) or k < 1):
        raise ValueError(f"k is {k!r}")
    loss = _mean_of(data["loss"])
    if loss is None:
        raise ValueError("a point has no loss")
    data["loss"], data["excess"] = loss, _mean_of(data["excess"])
    if data["accuracy"] is not None:
        data["accuracy"] = tuple(map(float, data["accuracy"]))
    if isinstance(data["half_width"], bool) or not isinstance(data["half_width"], int | float):
        raise ValueError(f"half_width is {data['half_width']!r}")
    data["group_sums"] = tuple(array("d", data["group_sums"]))
    return Point(**data)


def _mean_of(data: dict[str, Any] | None) -> MeanOf | None:
    if data is None:
        return None
    low_high = data["interval"]
    interval = None if low_high is None else (float(low_high[0]), float(low_high[1]))
    return MeanOf(float(data["mean"]), data["standard_error"], interval)
