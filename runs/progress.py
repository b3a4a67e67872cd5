"""Progress of a run: bars in a terminal, otherwise one line after each cell."""

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tqdm import tqdm

from seqmem.measuring.progress_bar import are_hidden
from seqmem.runs.worker import Outcome

__all__ = ["Progress"]

# A cell that takes less was on disk already: the time left is estimated from the others.
WORK = 1.0  # seconds
TICK = 1.0  # seconds between two queries of what the workers run


class Progress:
    """Shows the progress of a run.

    In a terminal: a bar of all cells, and below it a line for each worker with the cell that it
    runs. Otherwise: one line after each cell.
    """

    def __init__(
        self,
        costs: Sequence[float],
        log: Callable[[str], object],
        running: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """Create the bars.

        Args:
            costs: the time that each cell takes relative to the others.
            log: called with each line.
            running: returns the cell that each worker runs.
        """
        cells = len(costs)
        self._cells, self._print, self._running = cells, log, running
        self._costs, self._left, self._worked = costs, sum(costs), 0.0
        self._done = self._failed = 0
        self._began = time.monotonic()
        # None: no bar unless stderr is a terminal. For a single cell its own bars show everything.
        silent = True if cells == 1 or are_hidden() else None
        self._bar = tqdm(total=cells, unit="cell", desc="cells", disable=silent, leave=False)
        self._workers: list[tqdm[Any]] = []
        self._lock, self._over = threading.Lock(), threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> "Progress":
        """Show the bars."""
        if not self._bar.disable:
            self._ticker.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Remove the bars."""
        self._over.set()
        if self._ticker.is_alive():
            self._ticker.join()
        for bar in reversed(self._workers):
            bar.close()
        self._bar.close()

    def log(self, line: str) -> None:
        """Print a line above the bars."""
        with tqdm.external_write_mode(file=sys.stderr):
            self._print(line)

    def done(self, outcome: Outcome) -> None:
        """Count a cell, and show the progress."""
        self._done += 1
        self._failed += outcome.record is None or bool(outcome.failures)
        cost = self._costs[outcome.number - 1]
        self._left -= cost
        if outcome.seconds >= WORK:
            self._worked += cost
        else:
            self._began += outcome.seconds
        self._show()
        self._bar.update()
        self._bar.refresh()
        if self._bar.disable and self._done < self._cells:
            self._print(self._line())

    def _line(self) -> str:
        """Return the progress in words."""
        text = f"{self._done} of {self._cells} cells done"
        if running := len(self._running()):
            text += f", {running} running"
        if self._failed:
            text += f", {self._failed} failed"
        if self._worked:
            left = (time.monotonic() - self._began) / self._worked * self._left
            text += f", about {_duration(left)} left"
        return text

    def _tick(self) -> None:
        while not self._over.wait(TICK):
            self._show()

    def _show(self) -> None:
        """Write what each worker runs, and how many are running, where there are bars."""
        if self._bar.disable:
            return
        running = sorted(self._running().items())
        with self._lock:
            while len(self._workers) < len(running):
                bar: tqdm[Any] = tqdm(
                    bar_format="{desc}", leave=False, position=len(self._workers) + 1
                )
                self._workers.append(bar)
            for place, bar in enumerate(self._workers):
                text = ": ".join(running[place]) if place < len(running) else ""
                bar.set_description_str(text)
            self._bar.set_postfix(running=len(running), failed=self._failed)


def _duration(seconds: float) -> str:
    """Return a duration in words: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
