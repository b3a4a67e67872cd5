"""Synthetic records for tests."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from seqmem.leaderboard.record import Context, MeanOf, Point, Record, TaskFacts
from seqmem.leaderboard.statistics.aggregate import Board, boards
from seqmem.leaderboard.stratified import Stratified, StratumMeans

Losses = dict[Context, float]

FAST: Losses = {1: 0.6, 2: 0.5, 4: 0.45, 8: 0.45, "full": 0.45}  # good at small k
SLOW: Losses = {1: 0.9, 2: 0.7, 4: 0.3, 8: 0.1, "full": 0.1}


def board_of(*records: Record) -> Board:
    """Return the only board of these records."""
    (board,) = boards(records)
    return board


def make_point(
    k: Context,
    loss: float,
    half: float | None = 0.01,
    excess: float | None = None,
    excess_half: float = 0.001,
    **fields: Any,
) -> Point:
    """Return a point whose interval is loss ± half."""

    def mean(value: float, width: float | None) -> MeanOf:
        if width is None:
            return MeanOf(value, None, None)
        return MeanOf(value, width / 2, (value - width, value + width))

    return Point(
        k=k,
        n=100,
        method="all",
        half_width=fields.get("half_width", 0.0),
        steps=100,
        loss=mean(loss, half),
        excess=None if excess is None else mean(excess, excess_half),
        optimum=fields.get("optimum"),
        accuracy=fields.get("accuracy"),
        state_floats=None,
        group_sums=(loss * 40, loss * 60),
    )


def make_record(
    losses: Mapping[Context, float],
    *,
    label: str = "lstm",
    task: str = "toy/T=3",
    seed: int = 0,
    k_train: Context = "full",
    budget: str = "small",
    created: str = "2026-01-01T00:00:00+00:00",
    chance: float = 1.0,
    optimum: float | None = 0.0,
    score: str = "loss",
    unit: str = "units",
    half: float | None = 0.01,
    excess_half: float = 0.001,
    version: int = 1,
    data_hash: str = "0" * 64,
) -> Record:
    """Return a record with the given mean loss at each k."""
    full = losses.get("full")
    points = [
        make_point(
            k, loss, half, None if full is None else loss - full, excess_half, optimum=optimum
        )
        for k, loss in losses.items()
    ]
    return Record(
        suite={"version": "0", "commit": None, "dirty": None},
        created=created,
        task=TaskFacts(
            task, version, data_hash, "test", "squared error", unit, score, chance, optimum
        ),
        model={"name": label.partition(":")[0], "label": label, "parameters": 1234},
        training={"k_train": k_train, "seed": seed, "budget": budget},
        measurement={"targets": 100},
        group_counts=(40, 60),
        gain=None if full is None else make_point("full", chance - full, half).loss,
        curve=tuple(points),
        extras={},
        validity={"checks": [{"name": "finite", "passed": True}]},
        environment={},
        trust="self-reported",
    )


def make_trained(
    losses: Mapping[Context, float],
    *,
    stateful: bool = True,
    state: str | None = None,
    usual_k: Context = "full",
    k_train: Context = "full",
    result: Mapping[str, Any] | None = None,
    noise: float = 0.0,
    **fields: Any,
) -> Record:
    """Return a record of a model trained by a recipe, with ten groups of ten dependent targets.

    `noise` is added to the loss of half the groups and taken from the others.
    """
    record = make_record(losses, k_train=k_train, **fields)
    curve = tuple(
        replace(
            point,
            group_sums=tuple(10 * (point.loss.mean + noise * (-1) ** i) for i in range(10)),
            state_floats=None if point.k == "full" else 32,
        )
        for point in record.curve
    )
    training = {
        **record.training,
        "recipe": {"k_train": usual_k},
        "state": state or ("carried" if stateful else None),
        "result": result or {"stopped": "patience", "best_step": 5, "steps": 9},
    }
    return replace(
        record,
        curve=curve,
        group_counts=(10,) * 10,
        model={**record.model, "stateful": stateful},
        training=training,
    )


def lower(data: dict[str, Any], by: float, *points: int) -> None:
    """Lower the loss of some points of a record read as JSON, and all that depends on it."""
    curve = data["curve"]
    for index in points:
        loss = curve[index]["loss"]
        loss["mean"] -= by
        loss["interval"] = loss["interval"] and [end - by for end in loss["interval"]]
        sums = zip(curve[index]["group_sums"], data["group_counts"], strict=True)
        curve[index]["group_sums"] = [total - by * count for total, count in sums]
    full = curve[-1]["loss"]["mean"]
    for point in curve:
        if point["excess"] is not None:
            point["excess"]["mean"] = point["loss"]["mean"] - full


def fixed(record: Record) -> Record:
    """Return the record of a model that is one set of weights, not trained by steps."""
    return replace(record, training={**record.training, "recipe": None})


def recalled(
    loss: float,
    task: str = "r/1",
    *,
    floats: int | None = 50,
    half: float = 0.02,
    **fields: Any,
) -> Record:
    """Return a record of a task that asks back ten of eight symbols, with a loss at full."""
    losses: Losses = {1: 1.0, "full": loss}
    record = make_record(losses, chance=math.log(8), task=task, half=half, **fields)
    curve = tuple(replace(point, state_floats=floats) for point in record.curve)
    facts = replace(record.task, held_symbols=10, loss="cross-entropy", unit="nats per symbol")
    return replace(record, task=facts, curve=curve)


def split_by(record: Record, by: str = "frequency", spread: float = 0.05) -> Record:
    """Return a record of a full context in strata: rare (25 targets of 100) and frequent.

    At every finite k rare ones lose three times `spread` more than all do, at full as much.
    """
    full = record.curve[-1].loss.mean

    def means(point: Point) -> StratumMeans:
        more = 0.0 if point.k == "full" else spread
        loss = (point.loss.mean + 3 * more, point.loss.mean - more)
        half = (0.02, 0.01)
        excess = tuple(each - full for each in loss)
        return StratumMeans(point.k, loss, half, excess, half if more else (0.0, 0.0))

    curve = tuple(map(means, record.curve))
    strata = Stratified(by, "how often it occurs", ("rare", "frequent"), (25, 75), curve)
    return replace(record, strata=(*record.strata, strata))
