"""Long memory: predict the next value of a process whose correlations fall by a power law.

The process is ARFIMA(0, d, 0), (1 − B)^d x_t = ε_t, where B is the shift by one step, ε_t standard
normal and 0 < d < ½ (Hosking 1981, Biometrika 68(1), section 2). Its autocovariances are

    γ(0) = Γ(1 − 2d)/Γ(1 − d)²,      γ(h) = γ(h − 1) (h − 1 + d)/(h − d),

which fall as h^(2d−1): no finite context holds all that the past says. One sequence has 512 inputs,
one value each, the start of a stationary stretch. The target at every input is the next value, the
loss its squared error. Values are rounded to multiples of 2^−12, so that data do not depend on how
a machine rounds; that changes a loss by 5e-9.

The best prediction from the a latest values is linear, with the partial autocorrelations d/(j − d)
(Hosking 1981, theorem 1) and the squared error

    v(a) = γ(0) Π_{j = 1 … a} (1 − (d/(j − d))²),

which falls from γ(0), chance, towards 1: as v(a) = Γ(a+1) Γ(a+1−2d)/Γ(a+1−d)² it is
1 + d²/a + O(1/a²), a power law with the exponent 1 for every d. A target near the start has fewer
than k values before it: L*(k) is the mean of v(min(k, n)) over n = 1 … 512.

Sequences are drawn exactly, by circulant embedding (Davies & Harte 1987, Biometrika 74(1)).
"""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.tasks.generated import GeneratedTask, longer_of
from seqmem.tasks.losses import SquaredError
from seqmem.tasks.parameters import check_names, number
from seqmem.tasks.task import Features, Split

__all__ = ["LongMemory"]

LENGTH = 512
SEQUENCES = {"train": 512, "valid": 32, "test": 128}
STEP = 2.0**-12  # values are multiples of this


class LongMemory(GeneratedTask):
    """``long-memory/d=0.4``; ``…,longer=4`` is tested on 2,048 inputs."""

    version: ClassVar[int] = 1

    def __init__(self, d: float, longer: int = 1) -> None:
        """Take the order of differencing d, 0 < d < ½."""
        super().__init__(f"long-memory/d={d:g}", longer)
        self.sequences = SEQUENCES
        self.inputs = Features(1, bounded=False)
        self.outputs = 1
        self.loss = SquaredError()
        self.d = d
        self.length = self.longest_context = LENGTH * longer

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "LongMemory":
        """Return the task of an id's parameters.

        Raises:
            InputError: d is missing, not a number, or not within 0.05 … 0.49.
        """
        check_names(parameters, ("d",), "long-memory/d=0.4", ("longer",))
        return cls(number("d", parameters["d"], 0.05, 0.49), longer_of(parameters))

    def autocovariances(self, largest: int) -> np.ndarray:
        """Return γ(0) … γ(largest)."""
        lags = np.arange(1, largest + 1)
        ratios = (lags - 1 + self.d) / (lags - self.d)
        return self.chance() * np.concatenate([[1.0], np.cumprod(ratios)])

    def constant(self) -> Tensor:
        """Return zero, the mean."""
        return torch.zeros(1)

    def chance(self) -> float:
        """Return the variance γ(0)."""
        return math.gamma(1 - 2 * self.d) / math.gamma(1 - self.d) ** 2

    def optimum(self, k: int | Literal["full"]) -> float:
        """Return the mean over all targets of the error of the best linear prediction."""
        places = np.arange(1, self.length + 1)
        errors = self.chance() * np.cumprod(1 - (self.d / (places - self.d)) ** 2)
        longest = self.length if k == "full" else min(k, self.length)
        return float(errors[np.minimum(places, longest) - 1].mean())

    def _draw(self, rng: np.random.Generator, sequences: int) -> Split:
        length = self.length
        gamma = self.autocovariances(length)
        # One period of a periodic process with the same covariances up to lag `length`. Its
        # spectrum is not negative, as γ is positive, decreasing and convex.
        spectrum = np.fft.fft(np.concatenate([gamma, gamma[-2:0:-1]])).real.clip(0)
        # Of complex noise, the real and the imaginary parts are independent sequences.
        parts = rng.standard_normal((2, -(-sequences // 2), 2 * length))
        noise = (parts[0] + 1j * parts[1]) * np.sqrt(spectrum / (2 * length))
        drawn = np.fft.fft(noise)[:, : length + 1]
        values = np.concatenate([drawn.real, drawn.imag])[:sequences]
        values = (np.rint(values / STEP) * STEP).astype(np.float32)
        total = sequences * length
        return Split(
            torch.from_numpy(values[:, :-1].reshape(-1, 1)),
            torch.arange(sequences + 1) * length,
            torch.arange(total),
            torch.from_numpy(values[:, 1:].reshape(-1)),
            torch.arange(total) // length,
        )
