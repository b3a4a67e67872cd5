"""Signals that ask a command to end: SIGTERM and SIGHUP do what Ctrl-C does."""

import signal
import threading
import time
from types import FrameType
from typing import Any

from seqmem.lifetime import ENDING

__all__ = ["Interrupts"]

# Seconds in which more signals are the same request: `timeout` sends two, a terminal and a shell
# one each. They must not interrupt the orderly end.
SAME = 2.0
USUAL = (signal.SIG_DFL, signal.default_int_handler)  # others are the caller's own


class _EndError(KeyboardInterrupt):
    """As Ctrl-C; but for KeyboardInterrupt itself Python may replace the exit status at the end."""


class Interrupts:
    """A context in which these signals raise a KeyboardInterrupt; ignored ones stay ignored."""

    def __init__(self) -> None:
        """Start without a signal."""
        self._received: int | None = None
        self._at = 0.0
        self._before: dict[int, Any] = {}

    @property
    def reason(self) -> str:
        """What ended the command, for a message."""
        if self._received in (None, signal.SIGINT):
            return "interrupted"
        return f"ended by {signal.Signals(self._received).name}"

    @property
    def status(self) -> int:
        """The exit status: 128 and the number of the signal."""
        return 128 + (self._received or signal.SIGINT)

    def __enter__(self) -> "Interrupts":
        """Handle the signals, in the main thread; others receive none."""
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                if signal.getsignal(number) in USUAL:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        """Handle them as before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None and time.monotonic() - self._at < SAME:
            return
        self._received, self._at = number, time.monotonic()
        raise _EndError
