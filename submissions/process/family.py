"""What a process and all that it started hold together, as the system tells it (/proc).

A limit on a process does not add up what its forks hold. Shut in, none of them can leave the
family: whose parent ends becomes a child of the sandbox's first process.
"""

import os
from pathlib import Path

__all__ = ["family_size"]


def family_size(pid: int, most: int) -> tuple[int, int]:
    """Count a process and its descendants, and the memory that they hold.

    Args:
        pid: the eldest.
        most: processes to look at; a family that grows faster than it is counted has an end.

    Returns:
        how many processes, and how many bytes, those counted twice that several hold. Where the
        system does not tell, it is less.
    """
    waiting, count, pages = [pid], 0, 0
    while waiting and count < most:
        folder = Path("/proc") / str(waiting.pop())
        count += 1
        try:
            pages += int((folder / "statm").read_text().split()[1])
            for task in (folder / "task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except (OSError, IndexError, ValueError):  # it ended, or this is no Linux
            continue
    return count, pages * os.sysconf("SC_PAGE_SIZE")
