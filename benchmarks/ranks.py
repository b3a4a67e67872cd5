"""How often the ranks of simulated models are correct.

Models with known order and ties are scored on groups of dependent targets, whose difficulty they
share; groups differ in size, and losses are skewed. In the first part gaps are wide: tie groups are
correct if every model's possible ranks are exactly those of its group. In the second part gaps are
as small as the noise: ranks are correct if they contain the true ranks of all models at once.

    python benchmarks/ranks.py [--draws 1000]
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tabulate import tabulate

from seqmem.leaderboard.record import MeanOf, Point, Record, TaskFacts
from seqmem.leaderboard.statistics.aggregate import Row, boards
from seqmem.leaderboard.statistics.ranks import Rank, ranks


@dataclass(frozen=True)
class Simulated:
    """The distribution of a simulated board.

    Attributes:
        losses: the true mean loss of each model, without the shared difficulty.
        groups: of dependent targets.
        seeds: of training.
        noise: standard deviation of a group's mean loss, independent between models.
        spread: standard deviation of a model's loss between seeds.
    """

    losses: tuple[float, ...]
    groups: int = 40
    seeds: int = 1
    noise: float = 0.02
    spread: float = 0.0

    @property
    def places(self) -> list[Rank]:
        """The true ranks; models of equal loss share theirs."""
        return [
            Rank(
                1 + sum(other < own for other in self.losses),
                sum(other <= own for other in self.losses),
            )
            for own in self.losses
        ]

    def draw(self, generator: np.random.Generator) -> tuple[Row, ...]:
        """Return the rows of a random board, in the order of the losses."""
        counts = generator.integers(20, 200, self.groups)  # (G,)
        shared = generator.lognormal(0, 0.5, self.groups)  # difficulty of each group
        records = []
        for i, loss in enumerate(self.losses):
            own = generator.lognormal(0, 0.5, (self.seeds, self.groups))
            own = (own - np.exp(0.125)) / 0.604 * self.noise  # skewed, with mean 0
            shift = generator.normal(0, self.spread, (self.seeds, 1)) if self.spread else 0.0
            sums = (loss + shift + shared + own) * counts  # (S, G)
            records += [_record(i, seed, sums[seed], counts) for seed in range(self.seeds)]
        (board,) = boards(records)
        return tuple(sorted(board.rows, key=lambda row: int(row.label)))


def _record(model: int, seed: int, sums: "np.ndarray", counts: "np.ndarray") -> Record:
    mean = MeanOf(float(sums.sum() / counts.sum()), None, None)
    point = Point(
        "full", int(counts.sum()), "all", mean, 0.0, None, None, None, None, None, tuple(sums)
    )
    return Record(
        suite={},
        created="2026-01-01",
        task=TaskFacts("simulated", 1, "", "test", "loss", "units", "loss", 9.0, None),
        model={"label": str(model), "parameters": 0},
        training={"k_train": "full", "seed": seed, "budget": "small"},
        measurement={"targets": int(counts.sum())},
        group_counts=tuple(map(int, counts)),
        gain=None,
        curve=(point,),
        extras={},
        validity=None,
        environment={},
        trust="self-reported",
    )


TIES = (1.0, 1.0, 1.1, 1.2, 1.2, 1.2, 1.2, 1.5)  # 1–2, 1–2, 3, 4–7 …, 8
WIDE = {
    "one seed, 40 groups": Simulated(TIES),
    "one seed, 10 groups": Simulated(TIES, groups=10),
    "5 seeds that vary": Simulated(TIES, seeds=5, spread=0.004),
    "all alike": Simulated((1.0,) * 8),
    "none alike": Simulated(tuple(1 + i / 10 for i in range(8))),
    "20 models in fours": Simulated(tuple(1 + i // 4 / 10 for i in range(20))),
}
CLOSE = {
    "steps of the noise": Simulated(tuple(1 + 0.005 * i for i in range(8))),
    "steps of the noise, 10 groups": Simulated(tuple(1 + 0.01 * i for i in range(8)), groups=10),
    "pairs": Simulated(tuple(1 + 0.004 * (i // 2) for i in range(10))),
    "3 seeds that vary": Simulated(
        tuple(1 + 0.02 * (i // 2) for i in range(8)), seeds=3, spread=0.01
    ),
}


def right(board: Simulated, draws: int, seed: int = 0) -> tuple[float, float]:
    """Return the shares of draws whose ranks equal the true ones, and contain them."""
    generator = np.random.default_rng(seed)
    exact = held = 0
    for _ in range(draws):
        found = ranks(board.draw(generator))
        exact += list(found) == board.places
        held += all(_holds(f, true) for f, true in zip(found, board.places, strict=True))
    return exact / draws, held / draws


def _holds(found: Rank | None, true: Rank) -> bool:
    return found is not None and found.best <= true.best and true.worst <= found.worst


def table(simulated: dict[str, Simulated], draws: int) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = []
    for name, board in simulated.items():
        began = time.perf_counter()
        exact, held = right(board, draws)
        shares = [f"{100 * share:.1f} %" for share in (exact, held)]
        rows.append([name, len(board.losses), *shares, time.perf_counter() - began])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    headers = ["models", "number", "exactly correct", "true ranks contained", "seconds"]
    for title, simulated in (("Wide gaps", WIDE), ("Gaps like the noise", CLOSE)):
        print(f"{title}, {draws} draws\n")
        print(tabulate(table(simulated, draws), headers, tablefmt="pipe", floatfmt=".1f") + "\n")


if __name__ == "__main__":
    main()
