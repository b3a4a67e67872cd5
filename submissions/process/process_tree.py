"""Number and memory of a process and all its descendants, from /proc.

A limit on one process does not add up the memory of its forks. In a sandbox, no descendant can
leave the tree: an orphan becomes a child of the sandbox's first process.
"""

import os
from pathlib import Path

__all__ = ["tree_usage"]


def tree_usage(pid: int, most: int) -> tuple[int, int]:
    """Return the number of a process and its descendants, and the memory that they use.

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
