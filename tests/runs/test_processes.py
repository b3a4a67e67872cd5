"""Processes that run items."""

import subprocess
import sys

HELD_BACK = """
import signal
from seqmem.runs import processes

def held_back(item):
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())

if __name__ == "__main__":
    processes._begin = int  # what lets signals through, once it is ready for them
    masks = list(processes.in_processes(held_back, [0, 1], 2))
    assert all(mask >= set(processes.ENDING) for mask in masks), masks
"""


def test_a_process_that_is_starting_receives_no_signal() -> None:
    """In an interpreter of its own: what joblib starts once changes what the next process holds."""
    ran = subprocess.run(
        [sys.executable, "-c", HELD_BACK], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
