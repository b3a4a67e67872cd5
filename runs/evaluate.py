"""A whole evaluation: from a request to planned cells, and from cells to records."""

from collections.abc import Callable

from seqmem.leaderboard.record import Record
from seqmem.runs.executor import Executor, executor_of
from seqmem.runs.outcome import Outcome
from seqmem.runs.plan import Plan, plan
from seqmem.runs.progress import Progress
from seqmem.runs.request import Request

__all__ = ["evaluate", "run_cells"]


def evaluate(request: Request, say: Callable[[str], object]) -> tuple[list[Record], list[str]]:
    """Run every cell that a request comes to.

    Args:
        request: what the user asked for.
        say: called with one line for each step that takes time, each cell that fails, and how far
            the run is.

    Returns:
        the records of the cells that were measured, and one line for each that could not be.

    Raises:
        InputError: something requested does not exist or cannot be; no cell was run.
        OSError: results cannot be written any more; finished cells are kept.
    """
    with executor_of(request.workers, say) as executor:
        outcomes = run_cells(plan(request, say, executor.has_gpu()), executor, say)
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    return records, [failure for outcome in outcomes for failure in outcome.failures]


def run_cells(planned: Plan, executor: Executor, say: Callable[[str], object]) -> list[Outcome]:
    """Run cells and return their outcomes in the same order.

    Args:
        planned: the cells and their tasks.
        executor: what runs them.
        say: called with one line at a time: of each step that takes time, each cell that fails,
            and how far the run is. Lines of another process come when its cell ends.

    Raises:
        OSError: results cannot be written any more; finished cells are kept.
    """
    count = len(planned.cells)
    outcomes: dict[int, Outcome] = {}
    with Progress(count, say, executor.running) as progress:

        def say_of(number: int, line: str) -> None:
            progress.say(f"[{number}/{count}] {line}")

        for outcome in executor.run(planned, say_of):
            outcomes[outcome.number] = outcome
            for line in outcome.lines:
                say_of(outcome.number, line)
            for failure in outcome.failures:
                say_of(outcome.number, f"failed: {failure}")
            progress.done(outcome)
    return [outcomes[number] for number in sorted(outcomes)]
