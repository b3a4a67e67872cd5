"""Running many cells, with word of how far it is."""

from collections.abc import Callable, Sequence

from seqmem.runs.cell import Cell, Settings
from seqmem.runs.executor import Executor
from seqmem.runs.job import Outcome
from seqmem.runs.progress import Progress

__all__ = ["run_cells"]


def run_cells(
    cells: Sequence[Cell], settings: Settings, executor: Executor, say: Callable[[str], object]
) -> list[Outcome]:
    """Run cells and give their outcomes in the same order.

    Args:
        cells: what is to be run.
        settings: how.
        executor: what runs them.
        say: called with one line at a time: of each step that takes time, each cell that fails,
            and how far the run is. What another process says comes with the end of its cell.

    Raises:
        OSError: results cannot be written any more; finished cells are kept.
    """
    outcomes: dict[int, Outcome] = {}
    with Progress(len(cells), say, executor.running) as progress:

        def speak(number: int, line: str) -> None:
            progress.say(f"[{number}/{len(cells)}] {line}")

        for outcome in executor.run(cells, settings, speak):
            outcomes[outcome.number] = outcome
            for line in outcome.lines:
                speak(outcome.number, line)
            for failure in outcome.failures:
                speak(outcome.number, f"failed: {failure}")
            progress.done(outcome)
    return [outcomes[number] for number in sorted(outcomes)]
