"""What becomes of one cell: its record, or why there is none."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from seqmem.errors import CellError
from seqmem.leaderboard.record import Record
from seqmem.measuring.scoring import is_out_of_memory
from seqmem.runs.cell import Cell
from seqmem.runs.run_cell import run_cell
from seqmem.tasks.task import Task

__all__ = ["OUT_OF_MEMORY", "Outcome", "attempt"]

OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True)
class Outcome:
    """What became of one cell.

    Attributes:
        number: its position among all cells, from 1 on.
        record: what was measured; None where nothing was.
        failures: one line for each thing that could not be measured.
        lines: progress lines that were not yet printed.
        seconds: time it took.
        out_of_memory: whether nothing was measured for lack of memory, which another machine may
            have.
    """

    number: int
    record: Record | None
    failures: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    seconds: float = 0.0
    out_of_memory: bool = False


def attempt(number: int, cell: Cell, task: Task, say: Callable[[str], object]) -> Outcome:
    """Run one cell; a failure of the cell alone is an outcome as well.

    Raises:
        OSError: results cannot be written.
    """
    began = time.monotonic()
    try:
        with cell.synchronised():
            record = run_cell(cell, task, say)
    except (CellError, MemoryError, RuntimeError) as error:
        lacks_memory = is_out_of_memory(error)
        if not isinstance(error, CellError) and not lacks_memory:
            raise
        reason = str(error) if isinstance(error, CellError) else OUT_OF_MEMORY
        seconds = time.monotonic() - began
        return Outcome(number, None, (f"{cell}: {reason}",), (), seconds, lacks_memory)
    failed = record.measurement.get("failed", {})
    failures = tuple(f"{cell}: k={k}: {reason}" for k, reason in failed.items())
    return Outcome(number, record, failures, seconds=time.monotonic() - began)
