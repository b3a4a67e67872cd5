"""Limits of a model's process, what it uses, and messages about a process that ended."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Limits", "describe_exit", "one_line", "tree_usage"]


@dataclass(frozen=True)
class Limits:
    """Limits of a model's process.

    Attributes:
        memory_bytes: address space of each of its processes, and memory of all of them.
        start_seconds: time until the model is loaded.
        call_seconds: time for each answer.
        cpu_seconds: processor time of each of its processes in total.
        processes: number of processes, those that it starts included.
        open_files: files open at once.
        tail_bytes: how much of its printed output is stored, from the end.
    """

    memory_bytes: int = 8 << 30
    start_seconds: float = 120.0
    call_seconds: float = 300.0
    cpu_seconds: int = 24 * 3600
    processes: int = 32
    open_files: int = 256
    tail_bytes: int = 4096


def one_line(text: str, most: int = 300) -> str:
    """Return untrusted text as one line for a message, shortened, without control characters."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def describe_exit(status: int, limits: Limits) -> str:
    """Return how a process ended, as the end of a sentence.

    Args:
        status: the exit status; −n after signal n, or 128 + n if bubblewrap started the process.
        limits: the limits of the process.
    """
    number = -status if status < 0 else status - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"exited with status {status}"
    hint = {
        "SIGKILL": ", as happens when memory runs out",
        "SIGXCPU": f": it used more than {limits.cpu_seconds:,} s of processor time",
    }
    return f"was killed by {name}{hint.get(name, '')}"


def tree_usage(pid: int, most: int) -> tuple[int, int]:
    """Return the number of a process and its descendants, and the memory that they use, from /proc.

    A limit on one process does not add up the memory of its forks. In a sandbox, no descendant can
    leave the tree: an orphan becomes a child of the sandbox's first process.

    Args:
        pid: the root of the tree.
        most: the number of processes at which counting stops, as a tree may grow while it is
            counted.

    Returns:
        the number of processes, and their resident bytes, where shared memory counts for each
        process. Where /proc is missing, both are too small.
    """
    waiting, count, pages = [pid], 0, 0
    while waiting and count < most:
        folder = Path("/proc") / str(waiting.pop())
        count += 1
        try:
            pages += int((folder / "statm").read_text().split()[1])
            for task in (folder / "task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except (OSError, IndexError, ValueError):  # it ended, or this is not Linux
            continue
    return count, pages * os.sysconf("SC_PAGE_SIZE")
