"""Sweeps: scores of models over several tasks of a family, or over several sizes of their state."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seqmem.errors import InputError
from seqmem.leaderboard.record import TaskFacts
from seqmem.leaderboard.statistics.aggregate import Board, Row, Score, id_order
from seqmem.leaderboard.statistics.bits_held import bits_of_row, most_bits
from seqmem.leaderboard.statistics.rows import named_rows

__all__ = ["STATE", "Sweep", "SweptPoint", "parameters_of", "sweeps"]

STATE = "state"  # what is swept: the floats of a model's state, instead of a task's parameter
# A parameter that an id may lack, which is then 1: how many times as long as in training.
LENGTH = "longer"


@dataclass(frozen=True)
class SweptPoint:
    """One model on one task, both with the full context.

    Attributes:
        line: the name of the line that it belongs to.
        x: the task's parameter, or the floats of the model's state.
        facts: of the task.
        optimum: the best possible score; None if unknown.
        chance: the score of the best constant prediction.
        score: of the model.
        bits: that the model holds; None if the task does not define them.
        most: the bits that the optimum holds; None as for `bits`.
    """

    line: str
    x: float
    facts: TaskFacts
    optimum: float | None
    chance: float
    score: Score
    bits: Score | None
    most: float | None


@dataclass(frozen=True)
class Sweep:
    """Points that differ in one quantity.

    Attributes:
        name: the tasks, in which the swept parameter is "…".
        against: the quantity.
        points: by line and x.
    """

    name: str
    against: str
    points: tuple[SweptPoint, ...]


def parameters_of(task_id: str) -> dict[str, str]:
    """Return the parameters in a task's id; {} if it has none."""
    _, _, written = task_id.partition("/")
    pairs = [part.partition("=") for part in re.split("[,&?]", written)]
    return {name: value for name, equals, value in pairs if equals}


def sweeps(boards: Sequence[Board], against: str) -> list[Sweep]:
    """Return a sweep for each set of tasks that differ in one parameter, or for each task.

    A line joins the rows of one model with equal options; against the state, those of one model
    whatever its options and its budget are, since they are what changes the state.

    Args:
        boards: of the tasks.
        against: a parameter of the tasks' ids, or STATE.

    Raises:
        InputError: no task has this parameter as a number, or no model has a known state.
    """
    groups: dict[str, list[SweptPoint]] = defaultdict(list)
    for board in sorted(boards, key=lambda board: id_order(board.task_id)):
        task_id, given = board.task_id, parameters_of(board.task_id).get(against)
        if given is None and against == LENGTH:
            task_id, given = f"{task_id},{LENGTH}=1", "1"
        for name, row in named_rows(board).items():
            if "full" not in row.scores:
                continue
            if against == STATE:
                if floats := _floats(row):  # a constant prediction has none
                    line = row.records[0].model["name"]
                    groups[board.task_id].append(_point(board, row, line, floats))
            elif given is not None and (value := _number(given)) is not None:
                group = task_id.replace(f"{against}={given}", f"{against}=…")
                groups[group].append(_point(board, row, name, value))
    if not groups:
        raise InputError(_nothing(boards, against))
    return [
        Sweep(name, against, tuple(sorted(points, key=lambda point: (point.line, point.x))))
        for name, points in groups.items()
    ]


def _point(board: Board, row: Row, line: str, x: float) -> SweptPoint:
    facts = board.records[0].task
    return SweptPoint(
        line=line,
        x=x,
        facts=facts,
        optimum=board.optimum.get("full"),
        chance=board.chance,
        score=row.scores["full"],
        bits=bits_of_row(row),
        most=most_bits(facts),
    )


def _floats(row: Row) -> int | None:
    """Return the size of the state with the full context, or after the largest k where it is."""
    known = [p.state_floats for p in row.records[0].curve if p.state_floats is not None]
    return known[-1] if known else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:  # a name, or a range such as 10-50
        return None
    return value if math.isfinite(value) else None


def _nothing(boards: Iterable[Board], against: str) -> str:
    if against == STATE:
        return "--against state: no record of these tasks has the size of a state"
    known = dict.fromkeys(
        name
        for board in boards
        for name, value in parameters_of(board.task_id).items()
        if _number(value) is not None
    )
    return (
        f"--against {against}: no id of these tasks has this parameter with a number; "
        f"it may be {', '.join([STATE, *known])}"
    )
