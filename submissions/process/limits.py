"""What a model's process may take, and how it is told that it took more."""

import signal
from dataclasses import dataclass

__all__ = ["Limits", "one_line", "tell_ending"]


@dataclass(frozen=True)
class Limits:
    """What a model's process may take.

    Attributes:
        memory_bytes: address space of each of its processes, and what all of them hold.
        start_seconds: until the model is loaded.
        call_seconds: for each answer.
        cpu_seconds: processor time of each of its processes, over its life.
        processes: it and those that it starts.
        open_files: files open at once.
        tail_bytes: how much of what it prints is kept.
    """

    memory_bytes: int = 8 << 30
    start_seconds: float = 120.0
    call_seconds: float = 300.0
    cpu_seconds: int = 24 * 3600
    processes: int = 32
    open_files: int = 256
    tail_bytes: int = 4096


def one_line(text: str, most: int = 300) -> str:
    """Make text from a stranger fit for a message: one line, no control characters, not long."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def tell_ending(status: int, limits: Limits) -> str:
    """Say what a status means: below 0 a signal, as above 128 where bwrap stands between."""
    number = -status if status < 0 else status - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"ended by itself, with status {status}"
    hint = {
        "SIGKILL": ", as happens when memory runs out",
        "SIGXCPU": f": it used more than {limits.cpu_seconds:,} s of processor time",
    }
    return f"was killed by {name}{hint.get(name, '')}"
