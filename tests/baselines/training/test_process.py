"""Settings of a training process: it reuses freed memory."""

import ctypes
import os
import subprocess
import sys

import pytest

from seqmem.baselines.training.process import keep_freed_memory, set_up_process

# Sixteen blocks of 8 MiB are allocated, written and freed, as in a step of training.
STEPS = f"""
import resource
import torch
from {set_up_process.__module__} import keep_freed_memory, set_up_process
torch.set_num_threads(1)
{{set_up}}
def step():
    kept = [torch.full((1 << 21,), 1.0) for _ in range(16)]
for _ in range(4):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(set_up: str) -> int:
    """Return the number of page faults of the last twenty steps."""
    command = [sys.executable, "-c", STEPS.format(set_up=set_up)]
    # Without it, whether freed memory is returned depends on where the heap begins.
    mapped = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=mapped)
    return int(done.stdout)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallopt"),
    reason="another C library",
)
@pytest.mark.parametrize("set_up", ["keep_freed_memory()", "set_up_process()"])
def test_a_step_reuses_the_memory_that_the_previous_one_freed(set_up: str) -> None:
    usual = page_faults("")
    if usual < 1000:
        pytest.skip("this C library reuses freed memory by default")
    # Sometimes the heap grows by one more block, depending on where it begins.
    assert page_faults(set_up) < usual / 20


def test_another_c_library_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    for missing in (AttributeError, OSError, TypeError):

        def without(name: object, missing: type[Exception] = missing) -> object:
            raise missing

        monkeypatch.setattr(ctypes, "CDLL", without)
        keep_freed_memory()
