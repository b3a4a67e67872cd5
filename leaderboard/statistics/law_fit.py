"""Fits of laws to a paired curve by generalised least squares, with exact small-sample tests.

The losses of p context lengths are means over the same G groups of dependent targets. With the
covariance S of such means, which has ν degrees of freedom, a law θ misfits by

    Q(θ) = (L − L_θ)ᵀ S⁻¹ (L − L_θ),

which is Hotelling's T². Its smallest value over a law's q parameters tests whether the law fits,

    Q / ν · (ν − p + q + 1) / (p − q)  ~  F(p − q, ν − p + q + 1),

and its growth where one parameter is fixed gives that parameter's interval,

    (Q₁ − Q) / (1 + Q/ν) · (ν − p + q) / ν  ~  F(1, ν − p + q).

Both are exact for normal groups of equal size and linear laws (Rao 1965, Biometrika 52, for growth
curves; Hotelling 1931): that S is estimated is taken into account, which plain least squares with a
known covariance does not do. Groups of unequal sizes count as (Σ n)²/Σ n² equal ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.linalg import solve_triangular
from scipy.optimize import brentq
from scipy.special import fdtrc, fdtri

from seqmem.leaderboard.statistics.intervals import LEVEL
from seqmem.leaderboard.statistics.laws import Decay
from seqmem.tasks.law import InView, Shape

__all__ = ["Fit", "PairedCurve", "Problems", "Scaled", "fit_law", "minimised", "misfit_p"]

Floats = npt.NDArray[np.float64]

PARAMETERS = 3  # of one law
STEPS = 32  # of the golden section, whose bracket shrinks to 2e-7 of two steps of the grid
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, eq=False)
class PairedCurve:
    """Mean losses at ascending context lengths on the same targets.

    Attributes:
        contexts: (p,) the context lengths.
        losses: (p,) in the loss's unit.
        views: what the windows of each context length hold.
        covariance: (p, p) of the means; None where they are exact.
        freedom: its degrees of freedom.
    """

    contexts: tuple[int, ...]
    losses: Floats
    views: tuple[InView, ...]
    covariance: Floats | None = None
    freedom: float = np.inf

    @property
    def fall(self) -> float:
        """How much lower the last loss is than the first."""
        return float(self.losses[0] - self.losses[-1])


@dataclass(frozen=True, eq=False)
class Scaled:
    """A curve whose losses are independent with variance 1, after a linear map.

    Attributes:
        whiten: (p, p) the map; without a covariance it divides by the fall of the curve.
        losses: (p,) mapped.
        ones: (p,) a constant curve, mapped.
        freedom: degrees of freedom of the covariance.
    """

    whiten: Floats
    losses: Floats
    ones: Floats
    freedom: float

    @classmethod
    def of(cls, curve: PairedCurve) -> "Scaled":
        """Map a curve.

        Raises:
            LinAlgError: two context lengths have the same losses, or there are too few groups.
        """
        p = len(curve.losses)
        if curve.covariance is None:
            whiten = np.eye(p) / (abs(curve.fall) or 1.0)
        else:
            # Losses at neighbouring k differ little: their differences are far more precise.
            steps = np.eye(p) - np.eye(p, k=1)
            spread = steps @ curve.covariance @ steps.T
            size = np.sqrt(spread.diagonal())
            if not (size > 0).all():
                raise np.linalg.LinAlgError("equal losses")
            root = np.linalg.cholesky(spread / np.outer(size, size))
            whiten = solve_triangular(root, steps / size[:, None], lower=True)
        return cls(whiten, whiten @ curve.losses, whiten.sum(axis=1), curve.freedom)


@dataclass(frozen=True)
class Fit:
    """A law fitted to a curve.

    Attributes:
        shape: of the law.
        floor: L∞.
        amplitude: A, at least 0.
        value: γ or τ.
        interval: of γ or τ, 95 %; an end is None where no value on the grid is excluded. None for
            exact curves.
        misfit: Q, the smallest; of exact curves relative to the square of the curve's fall.
        p: the probability of such a misfit if the law holds; None for exact curves.
        largest: the largest deviation from the curve, as a share of the curve's fall.
    """

    shape: Shape
    floor: float
    amplitude: float
    value: float
    interval: tuple[float | None, float | None] | None
    misfit: float
    p: float | None
    largest: float


def fit_law(curve: PairedCurve, shape: Shape, scaled: Scaled | None = None) -> Fit:
    """Return the law of a shape that fits a curve best.

    Args:
        curve: at least four context lengths.
        shape: of the law.
        scaled: the curve, mapped; None: it is mapped here.

    Raises:
        LinAlgError: as for `Scaled.of`.
    """
    scaled = Scaled.of(curve) if scaled is None else scaled
    decay = Decay.of(shape, curve.views)
    spline = decay.spline(scaled.whiten)
    problem = Problems.of(scaled.losses[None], scaled.ones[None], np.eye(len(curve.losses))[None])
    logs = minimised(spline, problem)
    decays = spline(logs)
    log, slope = float(logs[0]), float(problem.slopes(decays)[0])
    floor = scaled.ones @ (scaled.losses - slope * decays[0]) / (scaled.ones @ scaled.ones)
    left = scaled.losses - slope * decays[0] - floor * scaled.ones
    misfit = float(left @ left)
    by_scale = float(np.exp(CubicSpline(decay.logs, np.log(decay.scale))(log)))
    interval = None if curve.covariance is None else _interval(spline, problem, log, misfit, curve)
    return Fit(
        shape,
        float(floor),
        slope / by_scale,
        float(np.exp(log)),
        interval,
        misfit,
        None if curve.covariance is None else misfit_p(misfit, len(curve.losses), curve.freedom),
        float(np.abs(np.linalg.solve(scaled.whiten, left)).max() / (abs(curve.fall) or 1.0)),
    )


def misfit_p(misfit: float, points: int, freedom: float, parameters: int = PARAMETERS) -> float:
    """Return the probability of at least this misfit of a law that holds."""
    beyond = points - parameters
    rest = freedom - beyond + 1
    return float(fdtrc(beyond, rest, misfit / freedom * rest / beyond))


@dataclass(frozen=True, eq=False)
class Problems:
    """Least squares of n mapped curves on a decay b beside a free constant, as quadratic forms.

    The smallest sum of squares is total − max(v·b, 0)²/(bᵀ M b), at the slope (v·b)/(bᵀ M b).

    Attributes:
        forms: (n, p, p) M.
        sides: (n, p) v.
        totals: (n,) squares of the losses beside a constant.
    """

    forms: Floats
    sides: Floats
    totals: Floats

    @classmethod
    def of(cls, losses: Floats, ones: Floats, roots: Floats) -> "Problems":
        """Return those of losses (n, p), a constant (n, p), and maps of decays (n, p, p)."""
        norm = np.square(ones).sum(axis=1)
        share = np.einsum("ni,nij->nj", ones, roots) / norm[:, None]
        centred = roots - ones[:, :, None] * share[:, None, :]
        left = losses - ((losses * ones).sum(axis=1) / norm)[:, None] * ones
        turned = centred.transpose(0, 2, 1)
        return cls(turned @ centred, (turned @ left[:, :, None])[:, :, 0], (left**2).sum(axis=1))

    def slopes(self, decays: Floats) -> Floats:
        """Return the slope, at least 0, of one decay for each curve: (n, p) to (n,)."""
        over: Floats = ((decays[:, None, :] @ self.forms)[:, 0] * decays).sum(axis=1)
        return _ratio((self.sides * decays).sum(axis=1), over)

    def misfits(self, decays: Floats) -> Floats:
        """Return the smallest sum of squares with one decay for each curve: (n, p) to (n,)."""
        along: Floats = (self.sides * decays).sum(axis=1)
        return np.asarray(self.totals - self.slopes(decays) * along)

    def best_of(self, decays: Floats) -> npt.NDArray[np.intp]:
        """Return which of the same decays (g, p) fits each curve best: (n,)."""
        squares = (decays[:, :, None] * decays[:, None, :]).reshape(len(decays), -1)
        over = self.forms.reshape(len(self.forms), -1) @ squares.T  # (n, g)
        along = self.sides @ decays.T
        return np.asarray((_ratio(along, over) * along).argmax(axis=1))


def _ratio(along: Floats, over: Floats) -> Floats:
    """Return along/over where both are positive, else 0."""
    there = (along > 0) & (over > 0)
    return np.asarray(np.where(there, along, 0.0) / np.where(there, over, 1.0))


def minimised(spline: CubicSpline, problems: Problems) -> Floats:
    """Return the logarithm of the parameter at which each curve fits best: (n,).

    Args:
        spline: the decay by the logarithm of its parameter, as of `Decay.spline`.
        problems: of n curves.
    """
    grid = spline.x
    best = problems.best_of(spline(grid))
    low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, len(grid) - 1)]
    one, two = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_one, at_two = problems.misfits(spline(one)), problems.misfits(spline(two))
    for _ in range(STEPS):
        left = at_one < at_two
        low, high = np.where(left, low, one), np.where(left, two, high)
        new = np.where(left, high - GOLDEN * (high - low), low + GOLDEN * (high - low))
        at_new = problems.misfits(spline(new))
        one, two = np.where(left, new, two), np.where(left, one, new)
        at_one, at_two = np.where(left, at_new, at_two), np.where(left, at_one, at_new)
    return np.where(at_one < at_two, one, two)


def _interval(
    spline: CubicSpline, problem: Problems, best: float, misfit: float, curve: PairedCurve
) -> tuple[float | None, float | None]:
    """Return the parameters whose misfit does not exceed the smallest by more than the level."""
    rest = curve.freedom - len(curve.losses) + PARAMETERS
    allowed = fdtri(1, rest, LEVEL) * (1 + misfit / curve.freedom) * curve.freedom / rest

    def above(log: float) -> float:
        return float(problem.misfits(spline(np.array([log])))[0]) - misfit - float(allowed)

    grid = spline.x
    below, beyond = grid[grid < best][::-1], grid[grid > best]
    return _crossing(above, best, below), _crossing(above, best, beyond)


def _crossing(above: Callable[[float], float], best: float, grid: Floats) -> float | None:
    inside = best
    for log in grid.tolist():
        if above(log) > 0:
            return float(np.exp(brentq(above, inside, log)))
        inside = log
    return None
