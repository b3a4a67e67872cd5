"""The unit of time of a check: the processor time of a fixed piece of arithmetic.

Seconds describe a machine more than the code. A loop of the operations that models consist of
(matrix products, elementwise functions, small tensors) is slower on a slower machine by about the
same factor as a model, so that their ratio hardly changes. Processor time leaves out what other
processes use.
"""

import time

import torch

__all__ = ["unit_seconds"]

SIZE = 64
ROUNDS = 40
REPEATS = 5


@torch.inference_mode()
def unit_seconds() -> float:
    """Return the processor time of the loop, a few milliseconds: the shortest of REPEATS."""
    weight = torch.linspace(-1, 1, SIZE * SIZE).reshape(SIZE, SIZE) / SIZE
    start = torch.linspace(-1, 1, SIZE * SIZE).reshape(SIZE, SIZE)
    best = float("inf")
    for _ in range(REPEATS):
        began = time.process_time()
        state = start
        for _ in range(ROUNDS):
            state = torch.tanh(state @ weight + start) * torch.sigmoid(state)
        float(state.sum())  # uses the result, so that nothing may be optimised away
        best = min(best, time.process_time() - began)
    return best
