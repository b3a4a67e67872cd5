"""How a process is set up that does nothing but train and measure."""

import ctypes

from seqmem.baselines.training.denormals import flush_in_threads

__all__ = ["keep_freed_memory", "set_up_process"]

# mallopt(3): the parameters' numbers, and the largest size that the first may have.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
MOST_MAPPED, NEVER = 1 << 25, (1 << 31) - 1


def set_up_process() -> None:
    """Make training faster: torch's threads, and memory.

    Called once their number is set and before anything is computed.
    """
    flush_in_threads()
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let this process keep what it frees for what it asks for next, up to 32 MiB a piece.

    The C library of most Linuxes returns it to the system and asks for it again at every step of
    training: pages are mapped and cleared again, up to a sixth of a step. Other C libraries are
    left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not there, or no library without a name
        return
    mallopt(M_MMAP_THRESHOLD, MOST_MAPPED)
    mallopt(M_TRIM_THRESHOLD, NEVER)
