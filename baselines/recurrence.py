"""Recurrences over time: one definition as a step, computed for whole segments at once."""

from abc import abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["GatedSum", "Recurrence", "in_chunks", "sums_between"]

States = tuple[Tensor, ...]  # (B, …) each


class Recurrence(nn.Module):
    """A recurrence without weights, computed step by step or for a segment at once.

    Both are equal up to rounding. They compute in float32 or float64, whatever the inputs are:
    products of many decays need the precision. ONNX files contain `step` in a loop.
    """

    @abstractmethod
    def start(self, inputs: States) -> States:
        """Return the state before the first of inputs (B, L, …)."""

    @abstractmethod
    def step(self, state: States, inputs: States) -> tuple[Tensor, States]:
        """Return the output (B, …) of one step's inputs (B, …), and the state after them."""

    @abstractmethod
    def segment(self, state: States, inputs: States) -> tuple[Tensor, States]:
        """Return the outputs (B, L, …) of inputs (B, L, …), and the state after them."""

    def forward(self, state: States | None, inputs: States) -> tuple[Tensor, States]:
        """Return the outputs (B, L, …) of inputs (B, L, …), and the state after them."""
        given = inputs[0].dtype
        exact = torch.promote_types(given, torch.float32)
        inputs = tuple(part.to(exact) for part in inputs)
        with torch.autocast(inputs[0].device.type, enabled=False):
            state = self.start(inputs) if state is None else state
            if inputs[0].shape[1] == 1:
                output, state = self.step(state, tuple(part[:, 0] for part in inputs))
                output = output[:, None]
            else:
                output, state = self.segment(state, inputs)
        return output.to(given), state


class GatedSum(Recurrence):
    """x_t = a_t x_{t−1} + b_t, elementwise, with outputs x_t.

    Inputs are a, (B, L, …), and b, (B, L, …); sizes of 1 in a are expanded. The state is x.
    """

    def start(self, inputs: States) -> States:
        """Return zeros."""
        return (torch.zeros_like(inputs[1][:, 0]),)

    def step(self, state: States, inputs: States) -> tuple[Tensor, States]:
        """Return the next x, as the output and as the state."""
        after = torch.addcmul(inputs[1], inputs[0], state[0])
        return after, (after.clone(),)

    def segment(self, state: States, inputs: States) -> tuple[Tensor, States]:
        """Return all x, (B, L, …), in about 2 √L steps."""
        every: Tensor = _GatedSum.apply(*inputs, *state)  # type: ignore[no-untyped-call]
        return every, (every[:, -1],)


class _GatedSum(torch.autograd.Function):
    """`GatedSum` with its own gradient: the same recurrence backwards in time.

    g_t = dx_t + a_{t+1} g_{t+1}. Autograd would store a copy of the states for each step of
    `_scan`.
    """

    @staticmethod
    def forward(ctx: Any, decay: Tensor, inputs: Tensor, state: Tensor) -> Tensor:
        states = _scan(decay, inputs, state)
        ctx.save_for_backward(decay, states, state)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, states, state = ctx.saved_tensors
        later = torch.cat([torch.zeros_like(decay[:, :1]), decay[:, 1:].flip(1)], 1)
        passed = _scan(later, gradient.flip(1), torch.zeros_like(state)).flip(1)
        before = torch.cat([state[:, None], states[:, :-1]], 1)
        return (
            (passed * before).sum_to_size(decay.shape),
            passed,
            (decay[:, 0] * passed[:, 0]).sum_to_size(state.shape),
        )


def _scan(decay: Tensor, inputs: Tensor, state: Tensor) -> Tensor:
    """Return all x of `GatedSum` (B, L, …), computed in chunks of √L steps.

    First all chunks advance together from the state zero, then each chunk's last state is carried
    to the next chunk, as in `lru.linear_recurrence`. Products of decays may underflow to zero, as
    they should; nothing is divided by them.
    """
    length = inputs.shape[1]
    chunk = max(int(length**0.5), 1)
    decays = in_chunks(decay, chunk, 1.0)
    states = in_chunks(inputs, chunk).clone()  # (B, chunks, chunk, …)
    for i in range(1, chunk):
        states[:, :, i].addcmul_(states[:, :, i - 1], decays[:, :, i])
    powers = decays.cumprod(2)
    for i in range(states.shape[1]):
        states[:, i].addcmul_(powers[:, i], state[:, None])
        state = states[:, i, -1]
    return states.flatten(1, 2)[:, :length]


def in_chunks(values: Tensor, chunk: int, padding: float = 0.0) -> Tensor:
    """Return values (B, L, …) as (B, chunks, chunk, …), padded at the end."""
    missing = -values.shape[1] % chunk
    if missing:
        values = F.pad(values, (0, 0) * (values.ndim - 2) + (0, missing), value=padding)
    chunks: Tensor = values.unflatten(1, (-1, chunk))
    return chunks


def sums_between(values: Tensor) -> Tensor:
    """Return the sums of values (…, c, d) from after position s to position t: (…, t, s, d).

    They are zero for t = s and −∞ for t < s, so that they are the logarithms of the decay from s
    to t. They are sums, not differences of two sums since the start: those would have the rounding
    error of the larger ones, and a single strong decay would spoil all weak ones after it.
    """
    size = values.shape[-2]
    later = torch.ones(size, size, dtype=torch.bool, device=values.device).tril(-1)[..., None]
    sums = torch.where(later, values[..., :, None, :], 0).cumsum(-3)
    logs: Tensor = sums.masked_fill(later.transpose(0, 1), -torch.inf)
    return logs
