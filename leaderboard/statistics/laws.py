"""Laws of loss against context: L∞ + A·u^−γ, L∞ + A·exp(−u/τ), and their sum.

u counts what a window holds, usually its inputs. The loss at k is a mean over targets, of which
those near the start of a sequence have less in view (`seqmem.tasks.law`), so a law's value at k is

    L(k) = L∞ + A · mean over targets of f(u at k),      f(u) = u^−γ or exp(−u/τ).

It is linear in L∞ and A. What is left to search is one parameter, γ or τ, on a logarithmic scale;
the means of f are computed on a grid, and interpolated by a cubic spline between its points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from seqmem.tasks.law import InView, Shape

__all__ = ["SHAPES", "Decay", "decay_means"]

Floats = npt.NDArray[np.float64]

SHAPES: tuple[Shape, Shape] = ("power law", "exponential")
GRID = 257
SLOWEST, FASTEST = 0.01, 10.0  # γ: from nearly a logarithm to nearly a step
# τ: of the smallest and of the largest number of units; slower decays are straight lines.
SHORTEST, LONGEST = 0.1, 30.0
# Beyond these, a law is as good as a straight line in u or ln u, or a step after the first k.
TELLING: Mapping[Shape, tuple[float, float]] = MappingProxyType(
    {"power law": (0.03, 5.0), "exponential": (0.2, 3.0)}
)


def decay_means(shape: Shape, parameters: Floats, views: Sequence[InView]) -> Floats:
    """Return the means of f over targets: (g, p), for each parameter at each context length.

    No unit in view counts as one in a power law, which has no value there.

    Args:
        shape: of the law.
        parameters: (g,) γ or τ.
        views: what the windows of each context length hold.
    """
    columns = []
    for view in views:
        if shape == "power law":
            values = np.maximum(view.units, 1.0) ** -parameters[:, None]
        else:
            values = np.exp(-view.units / parameters[:, None])
        columns.append(values @ view.shares)
    return np.stack(columns, axis=1)


@dataclass(frozen=True, eq=False)
class Decay:
    """The decaying part of a law at some context lengths, at every parameter.

    Attributes:
        shape: of the law.
        logs: (g,) logarithms of γ or τ, ascending, equally spaced.
        table: (g, p) the means of f there, divided by that of the first context length.
        scale: (g,) that divisor.
        telling: the ends between which a parameter is that of a curve with this shape.
    """

    shape: Shape
    logs: Floats
    table: Floats
    scale: Floats
    telling: tuple[float, float]

    @classmethod
    @lru_cache(maxsize=16)
    def of(cls, shape: Shape, views: tuple[InView, ...]) -> "Decay":
        """Compute it for what the windows of ascending context lengths hold."""
        least = most = 1.0
        if shape == "exponential":
            finite = [view.units[np.isfinite(view.units)] for view in views]
            sizes = [float(units.max()) for units in finite if len(units) and units.max() > 0]
            least, most = min(sizes), max(sizes)
        first, last = (SLOWEST, FASTEST) if shape == "power law" else (SHORTEST, LONGEST)
        logs = np.linspace(np.log(first * least), np.log(last * most), GRID)
        means = decay_means(shape, np.exp(logs), views)
        low, high = TELLING[shape]
        return cls(shape, logs, means / means[:, :1], means[:, 0], (low * least, high * most))

    def spline(self, whiten: Floats) -> CubicSpline:
        """Return a function from logarithms (n,) to the table's rows times a matrix: (n, p).

        Args:
            whiten: (p, p), which is multiplied from the left.
        """
        return CubicSpline(self.logs, self.table @ whiten.T)
