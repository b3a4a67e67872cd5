"""How often the interval of a context need contains the true one, on simulated curves.

A curve is the true excess loss over the full context at each measured k; the true context need is
the smallest k with an excess within the tolerance. Each draw scores groups of dependent targets,
skewed as losses are, whose excess varies more where it is larger. Intervals and context need are
computed from them by the code that computes those of records. Errors at neighbouring k are nearly
equal (the same targets), correlated, or independent (separate samples).

Why the coverage exceeds 95 %: the interval consists of two bounds, each wrong in 2.5 % of draws
where it can be wrong at all: the lower bound if the excess at the true need is just within the
tolerance, the upper bound if the excess at the k before is just above it. A context need is one of
the measured k, and from one k to the next the excess usually falls by much more than the noise.
Then at most one bound can be wrong (97.5 %), mostly none (100 %), and an interval of a single k
cannot be narrower. Where every k is measured and the curve is flat, both bounds can be wrong, and
the coverage is about 95 %. Elsewhere the coverage could only be lowered to 95 % by narrower
pointwise intervals for all curves, at the expense of flat ones; the last column shows this for 90 %
intervals. Where errors at neighbouring k are hardly correlated, the upper bound is wrong even less
often, because it requires a proof at every larger k; but all k of a curve have the same targets, so
that most of their errors are the same.

"On the edge" is the worst case for the tolerance: the excess at the true need is just within it,
and that at the k before is just above it.

    python benchmarks/context_need.py [--draws 1000]
"""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit
from tabulate import tabulate

from seqmem.leaderboard.record import MeanOf, Point, Record, TaskFacts
from seqmem.leaderboard.statistics.context_need import ContextNeed, context_need
from seqmem.leaderboard.statistics.intervals import block_mean

Floats = npt.NDArray[np.float64]
Curve = Callable[[Floats, float], Floats]

LEVEL = 0.95  # of all intervals in seqmem
ALLOWED = 0.01  # 1 % of the way from an optimum of 0 to a chance of 1
POWERS = tuple(2**i for i in range(9))
EVERY = tuple(range(1, 65))


@dataclass(frozen=True)
class SimulatedCurve:
    """The distribution of a simulated curve.

    Attributes:
        curve: the true excess at each k, given a scale.
        scales: the range of the random scale, uniform in its logarithm.
        grid: the k measured.
        groups: of dependent targets.
        share: correlation of a group's deviations at neighbouring k.
        noise: standard deviation of a group's excess: relative, and absolute.
        gain: chance minus the full-context loss.
    """

    curve: Curve
    scales: tuple[float, float] = (1.0, 1.0)
    grid: tuple[int, ...] = POWERS
    groups: int = 60
    share: float = 0.9
    noise: tuple[float, float] = (1.0, 0.01)
    gain: float = 1.0

    def draw(
        self, generator: np.random.Generator, level: float = LEVEL
    ) -> tuple[ContextNeed, int | None]:
        """Return the estimated and the true context need of a random draw; None: beyond the grid.

        Args:
            generator: of random numbers.
            level: of the intervals of differences; seqmem uses `LEVEL`.
        """
        low, high = np.log(self.scales)
        ks = np.array(self.grid, dtype=float)
        truth = self.curve(ks, float(np.exp(generator.uniform(low, high))))
        within = np.flatnonzero(truth <= ALLOWED)
        counts = generator.integers(20, 200, self.groups)
        deviations = self._deviations(generator)  # (K + 1, G)
        sd = self.noise[0] * np.abs(truth) + self.noise[1]
        excess = (truth[:, None] + sd[:, None] * deviations[1:]) * counts
        gain = (self.gain + 0.5 * deviations[0]) * counts
        found = context_need(_record(self.grid, excess, gain, counts, level))
        return found, self.grid[within[0]] if len(within) else None

    def _deviations(self, generator: np.random.Generator) -> Floats:
        shape = (len(self.grid) + 1, self.groups)
        normal = generator.standard_normal(shape)
        for i in range(2, len(normal)):
            normal[i] = self.share * normal[i - 1] + math.sqrt(1 - self.share**2) * normal[i]
        return np.asarray((np.exp(0.5 * normal) - math.exp(0.125)) / 0.604)  # skewed, mean 0, sd 1


def _record(
    grid: Sequence[int],
    excess: Floats,
    gain: Floats,
    counts: npt.NDArray[np.int64],
    level: float,
) -> Record:
    zero = MeanOf(0.0, None, None)
    points = [
        Point(k, 1, "all", zero, 0.0, _mean(sums, counts, level), None, None, None, None, ())
        for k, sums in zip(grid, excess, strict=True)
    ]
    points.append(Point("full", 1, "all", zero, 0.0, zero, None, None, None, None, ()))
    return Record(
        suite={},
        created="",
        task=TaskFacts("simulated", 1, "", "test", "loss", "units", "loss", 1.0, 0.0),
        model={},
        training={},
        measurement={},
        group_counts=(),
        gain=_mean(gain, counts, LEVEL),
        curve=tuple(points),
        extras={},
        validity=None,
        environment={},
        trust="self-reported",
    )


def _mean(sums: Floats, counts: npt.NDArray[np.int64], level: float) -> MeanOf:
    found = block_mean(sums, counts)
    if found.interval is None:
        return found
    quantiles = stdtrit(len(counts) - 1, [(1 + level) / 2, (1 + LEVEL) / 2])
    half = (found.interval[1] - found.interval[0]) / 2 * quantiles[0] / quantiles[1]
    return replace(found, interval=(found.mean - half, found.mean + half))


@dataclass(frozen=True)
class Shares:
    """Shares of draws.

    Attributes:
        held: the interval contains the true context need.
        above: the interval is above it.
        below: the interval is below it.
        single: the interval is a single k.
    """

    held: float
    above: float
    below: float
    single: float


def holds(found: ContextNeed, true: int | None) -> bool:
    """Return whether an estimate contains the true context need."""
    if found.state not in ("reached", "beyond"):
        return False
    if true is None:
        return found.high is None
    return found.low is not None and found.low <= true and (found.high or true) >= true


# Curves: an excess of about 0.3 at k = 1 that falls with k.
def geometric(ks: Floats, scale: float) -> Floats:
    return np.asarray(0.3 * np.exp(-ks / scale))


def power(ks: Floats, scale: float) -> Floats:
    return np.asarray(0.3 * (1 + ks / scale) ** -1.5)


def ramp(ks: Floats, scale: float) -> Floats:
    return np.asarray(np.maximum(0.3 * (1 - ks / scale), 0.0))


def cliff(ks: Floats, scale: float) -> Floats:
    return np.asarray(np.where(ks < scale, 0.3, 0.0))


def dip(ks: Floats, scale: float) -> Floats:
    """Better than full at some k, then as good: distant inputs mislead the model."""
    return np.asarray(0.3 * np.exp(-ks / scale) - 0.02 * np.exp(-np.square(np.log(ks / scale) - 2)))


def edge(ks: Floats, scale: float) -> Floats:
    """Equal to the tolerance from k = 16 on, and barely above it just before."""
    return np.asarray(np.where(ks < 16, ALLOWED + 1e-9, ALLOWED) + np.where(ks < 8, 0.2, 0.0))


def tail(ks: Floats, scale: float) -> Floats:
    """Fall fast to just above the tolerance, then slowly below it."""
    return np.asarray(0.3 * np.exp(-ks / 2) + 0.012 * np.exp(-ks / scale))


NEEDS = {
    "geometric": SimulatedCurve(geometric, (0.3, 50.0)),
    "power law": SimulatedCurve(power, (0.2, 20.0)),
    "ramp": SimulatedCurve(ramp, (2.0, 200.0)),
    "cliff": SimulatedCurve(cliff, (1.0, 200.0)),
    "dip": SimulatedCurve(dip, (0.5, 20.0)),
    "geometric, 15 groups": SimulatedCurve(geometric, (0.3, 50.0), groups=15),
    "beyond the grid": SimulatedCurve(power, (40.0, 200.0)),
    "at the first k": SimulatedCurve(lambda ks, _: np.full_like(ks, ALLOWED)),
    "at the last k": SimulatedCurve(lambda ks, _: np.where(ks < ks[-1], ALLOWED + 1e-9, ALLOWED)),
    "on the edge": SimulatedCurve(edge),
    "on the edge, independent": SimulatedCurve(edge, share=0.0),
    "every k: geometric": SimulatedCurve(geometric, (1.0, 12.0), EVERY, share=0.99),
    "every k: ramp": SimulatedCurve(ramp, (4.0, 60.0), EVERY, share=0.99),
    "every k: slow tail": SimulatedCurve(tail, (20.0, 200.0), EVERY, share=0.99),
    "every k: slow tail, related": SimulatedCurve(tail, (20.0, 200.0), EVERY, share=0.9),
    "every k: slow tail, independent": SimulatedCurve(tail, (20.0, 200.0), EVERY, share=0.0),
}
CHANCE = {
    "no gain": SimulatedCurve(geometric, (1.0, 10.0), gain=0.0),
    "worse than chance": SimulatedCurve(geometric, (1.0, 10.0), gain=-0.1),
    "a gain of 5 standard errors": SimulatedCurve(geometric, (1.0, 10.0), gain=0.33),
}


def shares(simulated: SimulatedCurve, draws: int, seed: int = 0, level: float = LEVEL) -> Shares:
    """Return the shares over random draws."""
    generator = np.random.default_rng(seed)
    held = above = below = single = 0
    for _ in range(draws):
        found, true = simulated.draw(generator, level)
        held += holds(found, true)
        above += true is not None and (found.low is None or found.low > true)
        below += found.high is not None and (true is None or found.high < true)
        single += found.low is not None and found.low == found.high
    return Shares(held / draws, above / draws, below / draws, single / draws)


def covered(simulated: SimulatedCurve, draws: int, seed: int = 0) -> float:
    """Return the share of draws whose interval contains the true context need."""
    return shares(simulated, draws, seed).held


def called_chance(simulated: SimulatedCurve, draws: int, seed: int = 0) -> float:
    """Return the share of draws that are reported as never better than chance."""
    generator = np.random.default_rng(seed)
    return sum(simulated.draw(generator)[0].state == "chance" for _ in range(draws)) / draws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    rows = []
    for name, simulated in NEEDS.items():
        usual, narrow = shares(simulated, draws), shares(simulated, draws, level=0.9).held
        found = (usual.held, usual.above, usual.below, usual.single, narrow)
        rows.append([name, *(f"{100 * share:.1f} %" for share in found)])
    headers = [
        f"curve, {draws} draws", "interval contains the need", "is above it", "is below it",
        "is a single k", "contains it, with 90 % bounds",
    ]  # fmt: skip
    print(tabulate(rows, headers, tablefmt="pipe") + "\n")
    rows = [[name, f"{100 * called_chance(w, draws):.1f} %"] for name, w in CHANCE.items()]
    print(tabulate(rows, ["curve", "reported as never better than chance"], tablefmt="pipe"))


if __name__ == "__main__":
    main()
