"""How a process is set up that does nothing but train and measure."""

import ctypes

from seqmem.baselines.denormals import flush_denormals

__all__ = ["keep_freed_memory", "set_up_process"]

# mallopt(3): the parameters' numbers, and the largest size that the first may have.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
MOST_MAPPED, NEVER = 1 << 25, (1 << 31) - 1


def set_up_process() -> None:
    """Take denormal numbers as zero, and keep freed memory. Called before anything is computed."""
    flush_denormals()
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
