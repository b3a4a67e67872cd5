"""The sum of a power law and an exponential, fitted to a paired curve."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, nnls

from seqmem.leaderboard.statistics.law_fit import PairedCurve, Scaled, misfit_p
from seqmem.leaderboard.statistics.laws import SHAPES, Decay

__all__ = ["SumFit", "fit_sum"]

Floats = npt.NDArray[np.float64]

PARAMETERS, STARTS = 5, 24  # of the sum; a grid of so many γ and τ


@dataclass(frozen=True)
class SumFit:
    """The sum of both laws fitted to a curve: L∞ + A·u^−γ + B·exp(−u/τ), A and B at least 0.

    Attributes:
        floor: L∞.
        amplitudes: A and B.
        exponent: γ.
        time: τ.
        p: the probability of such a misfit if it holds; None for exact curves, and of five k.
        largest: the largest deviation from the curve, as a share of the curve's fall.
    """

    floor: float
    amplitudes: tuple[float, float]
    exponent: float
    time: float
    p: float | None
    largest: float


def fit_sum(curve: PairedCurve) -> SumFit:
    """Return the sum of both laws that fits best: on a grid of γ and τ, then between its points.

    Raises:
        LinAlgError: two context lengths have the same losses, or there are too few groups.
    """
    scaled = Scaled.of(curve)
    power, exponential = (Decay.of(shape, curve.views) for shape in SHAPES)
    splines = power.spline(scaled.whiten), exponential.spline(scaled.whiten)
    norm = scaled.ones @ scaled.ones

    def centred(values: Floats) -> Floats:
        return np.asarray(values - np.outer(values @ scaled.ones / norm, scaled.ones))

    target = centred(scaled.losses[None])[0]

    def solved(logs: Floats) -> tuple[Floats, float]:
        rows = centred(np.array([spline(log) for spline, log in zip(splines, logs, strict=True)]))
        sizes = np.linalg.norm(rows, axis=1) + 1e-300
        found, left = nnls((rows / sizes[:, None]).T, target)
        return found / sizes, left

    ends = [(float(spline.x[0]), float(spline.x[-1])) for spline in splines]
    grid = product(*(np.linspace(*end, STARTS).tolist() for end in ends))
    best = min((solved(np.array(logs))[1], logs) for logs in grid)[1]

    def squares(logs: Floats) -> float:
        return float(solved(logs)[1]) ** 2

    refined = minimize(squares, np.array(best), method="Nelder-Mead", bounds=ends, tol=1e-9)
    logs = np.asarray(refined.x)
    (a, b), left = solved(logs)
    shift = a * splines[0](logs[0]) + b * splines[1](logs[1])
    floor = float(scaled.ones @ (scaled.losses - shift) / norm)
    deviations = curve.losses - floor - np.linalg.solve(scaled.whiten, shift)
    scales = [
        np.exp(np.interp(log, each.logs, np.log(each.scale)))
        for each, log in zip((power, exponential), logs, strict=True)
    ]
    points = len(curve.losses)
    p = None
    if curve.covariance is not None and points > PARAMETERS:
        p = misfit_p(left**2, points, curve.freedom, PARAMETERS)
    return SumFit(
        floor,
        (float(a / scales[0]), float(b / scales[1])),
        float(np.exp(logs[0])),
        float(np.exp(logs[1])),
        p,
        float(np.abs(deviations).max() / (abs(curve.fall) or 1.0)),
    )
