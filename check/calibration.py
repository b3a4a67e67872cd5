"""A fixed piece of arithmetic, timed: the unit in which a check tells time.

Seconds say more about a machine than about the code. A loop of what models are made of (products
of matrices, elementwise functions, small tensors) takes longer on a slower machine as they do, so
that their ratio stays about the same. It is processor time, of which others that run beside take
none.
"""

import time

import torch

__all__ = ["unit_seconds"]

SIZE = 64
ROUNDS = 40
REPEATS = 5


@torch.inference_mode()
def unit_seconds() -> float:
    """Give the processor time that the loop takes, the best of a few: a few milliseconds."""
    weight = torch.linspace(-1, 1, SIZE * SIZE).reshape(SIZE, SIZE) / SIZE
    start = torch.linspace(-1, 1, SIZE * SIZE).reshape(SIZE, SIZE)
    best = float("inf")
    for _ in range(REPEATS):
        began = time.process_time()
        state = start
        for _ in range(ROUNDS):
            state = torch.tanh(state @ weight + start) * torch.sigmoid(state)
        float(state.sum())  # a reader, so that nothing may be left out
        best = min(best, time.process_time() - began)
    return best
