"""Boards to draw, and the data of charts."""

import re
from collections.abc import Iterator
from typing import Any

from seqmem.baselines import BASELINES
from seqmem.leaderboard.charts.picture import picture
from seqmem.leaderboard.charts.theme import Spec
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.aggregate import Board, boards
from seqmem.tests.records import make_trained

LOSSES: dict[Context, float] = {1: 0.9, 2: 0.5, 16: 0.2, "full": 0.2}


def everything(task: str = "toy/T=3") -> Board:
    """Return a board of every baseline, with two seeds each."""
    records = [
        make_trained(
            {k: loss + i / 100 + seed / 500 for k, loss in LOSSES.items()},
            label=label,
            seed=seed,
            task=task,
        )
        for i, label in enumerate(BASELINES)
        for seed in range(2)
    ]
    (board,) = boards(records)
    return board


def points(chart: Spec) -> list[dict[str, str]]:
    """Return the label of every point of a drawn chart: titles of channels, and values."""
    svg = picture(chart, "svg").decode()
    labels = re.findall(r'aria-label="([^"]*)"[^>]* aria-roledescription="point"', svg)
    return [dict(part.split(": ", 1) for part in label.split("; ")) for label in labels]


def values(chart: Spec, *keys: str) -> list[dict[str, Any]]:
    """Return every row of a chart's data that has all the keys, without duplicates."""

    def found(part: Any) -> Iterator[dict[str, Any]]:
        if isinstance(part, dict):
            for row in part.get("values", ()) if isinstance(part.get("values"), list) else ():
                if isinstance(row, dict) and set(keys) <= row.keys():
                    yield row
            for value in part.values():
                yield from found(value)
        elif isinstance(part, list):
            for value in part:
                yield from found(value)

    unique = {repr(row): row for row in found(chart)}
    return list(unique.values())
