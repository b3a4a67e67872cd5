"""How long a run will take, from what its cells took before."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from seqmem.baselines.spec import parse_model
from seqmem.leaderboard.record import Record
from seqmem.runs.cell import Cell, plan_cell
from seqmem.runs.costs import relative_costs
from seqmem.runs.progress import Progress
from seqmem.runs.worker import Outcome
from seqmem.tasks import load_task
from seqmem.tests.records import make_trained


def record_of(model: str, task: str, training: float, measuring: float) -> Record:
    result = {"stopped": "budget", "best_step": 5, "steps": 9, "seconds": training}
    record = make_trained({"full": 0.1}, label=model, task=task, result=result)
    return replace(record, measurement={"seconds": measuring})


def cell_of(model: str, task: str, folder: Path) -> Cell:
    return plan_cell(parse_model(model), load_task(task), folder)


def test_costs_are_those_of_the_same_cell_or_of_its_task_or_usual(tmp_path: Path) -> None:
    copying, adding = "copy-memory/T=5", "adding-problem/T=5"
    records = [
        record_of("lstm", copying, 8, 2),
        record_of("lstm", copying, 18, 2),
        record_of("tcn", copying, 55, 8),
        make_trained({"full": 0.1}, label="gru", task=copying),  # without a duration
    ]
    cells = [
        cell_of("lstm", copying, tmp_path),
        cell_of("lstm:hidden=8", copying, tmp_path),
        cell_of("gru", copying, tmp_path),
        cell_of("lstm", adding, tmp_path),
    ]
    others = (15 + 15 + 31) / 3
    assert relative_costs(cells, records) == pytest.approx([15, 15, 31, others])
    assert relative_costs(cells[3:], records) == [1.0]


def test_the_time_left_is_that_of_the_cells_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of their number: a cell of a second may be followed by one of a minute."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    lines: list[str] = []
    with Progress([1.0, 12.0, 3.0], lines.append) as progress:
        for number, seconds in ((1, 5.0), (2, 60.0), (3, 15.0)):
            now[0] += seconds
            progress.done(Outcome(number, record=..., seconds=seconds))  # type: ignore[arg-type]
    assert lines == [
        "1 of 3 cells done, about 75 s left",
        "2 of 3 cells done, about 15 s left",
    ]
