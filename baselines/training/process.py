"""Settings of a process that only trains and measures."""

import ctypes

from seqmem.baselines.training.denormals import flush_in_threads

__all__ = ["keep_freed_memory", "set_up_process"]

# Parameters of mallopt(3), the largest threshold for mmap, and a trim threshold of "never".
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
LARGEST_THRESHOLD, NEVER = 1 << 25, (1 << 31) - 1


def set_up_process() -> None:
    """Configure torch's threads and the C library's memory for fast training.

    Call it after the number of threads is set and before any computation.
    """
    flush_in_threads()
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let the C library reuse freed memory blocks of up to 32 MiB.

    By default glibc returns them to the system and requests them again at every step of training:
    mapping and clearing their pages takes up to a sixth of a step. Other C libraries are not
    changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc; or CDLL needs a name (Windows)
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
    mallopt(M_TRIM_THRESHOLD, NEVER)
