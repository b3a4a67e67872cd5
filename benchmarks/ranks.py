"""How often the ranks of simulated models are correct, and how wide they are.

Models with known order and ties are scored on groups of dependent targets, whose difficulty they
share; groups differ in size, and losses are skewed. The first part is of models that are one set of
weights each. Where gaps are wide, tie groups are correct if every model's possible ranks are
exactly those of its group; everywhere ranks are correct if they contain the true ranks of all
models at once.

The second part is of trained models, by the number of their seeds. Trainings vary equally;
unequally, by a factor of e or more; one model varies ten times as much as the others; or each seed
either solves the task or does not, and the order is that of medians. A width is the mean number of
ranks that are possible for a model.

    python benchmarks/ranks.py [--draws 1000]
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from tabulate import tabulate

from seqmem.leaderboard.record import MeanOf, Point, Record, TaskFacts
from seqmem.leaderboard.statistics.aggregate import Row, boards
from seqmem.leaderboard.statistics.ranks import Rank, ranks

Kind = Literal["fixed", "equal", "unequal", "one varies", "bimodal"]

SPREAD = 0.01  # standard deviation of a usual training
SOLVED, UNSOLVED = 0.01, 1.0  # the loss of a seed that solves the task, and of one that does not
RATES = (0.9, 0.1, 1.0, 0.0)  # how often a model's seeds do, in turn


@dataclass(frozen=True)
class Simulated:
    """The distribution of a simulated board.

    Attributes:
        losses: the true loss of each model, without the shared difficulty; a median over trainings.
        kind: how trainings vary; "fixed" if they do not, and models are one set of weights each.
        seeds: of training; each model's, in any order, repeated as needed.
        groups: of dependent targets.
        noise: standard deviation of a group's mean loss, independent between models.
    """

    losses: tuple[float, ...]
    kind: Kind = "fixed"
    seeds: tuple[int, ...] = (1,)
    groups: int = 40
    noise: float = 0.02

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
        models = len(self.losses)
        counts = generator.integers(20, 200, self.groups)  # (G,)
        shared = generator.lognormal(0, 0.5, self.groups)  # difficulty of each group
        seeds = generator.permutation(np.resize(self.seeds, models))
        spreads = np.full(models, SPREAD if self.kind != "fixed" else 0.0)
        if self.kind == "unequal":
            spreads *= generator.lognormal(0, 1, models)
        if self.kind == "one varies":
            spreads[generator.integers(models)] *= 10
        records = []
        for i, loss in enumerate(self.losses):
            own = generator.lognormal(0, 0.5, (1, self.groups))
            own = (own - np.exp(0.125)) / 0.604 * self.noise  # skewed, with mean 0
            trained = loss + generator.normal(0, spreads[i], (seeds[i], 1))
            if self.kind == "bimodal":
                solves = generator.random((seeds[i], 1)) < _rate(loss, i)
                trained = np.where(solves, SOLVED, UNSOLVED) + (trained - loss) / 10
            sums = (trained + shared + own) * counts  # (S, G)
            recipe = None if self.kind == "fixed" else {"steps": 1}
            records += [_record(i, s, each, counts, recipe) for s, each in enumerate(sums)]
        (board,) = boards(records)
        return tuple(sorted(board.rows, key=lambda row: int(row.label)))


def _rate(loss: float, model: int) -> float:
    """Return how often a model's seeds solve the task, whose median then is its loss."""
    often = [rate for rate in RATES if (rate > 0.5) == (loss == SOLVED)]
    return often[model // 2 % len(often)]


def _record(
    model: int,
    seed: int,
    sums: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
    recipe: dict[str, int] | None,
) -> Record:
    mean = MeanOf(float(sums.sum() / counts.sum()), None, None)
    point = Point(
        "full", int(counts.sum()), "all", mean, 0.0, None, None, None, None, None, tuple(sums)
    )
    return Record(
        suite={},
        created="2026-01-01",
        task=TaskFacts("simulated", 1, "", "test", "loss", "units", "loss", 99.0, None),
        model={"label": str(model), "parameters": 0},
        training={"k_train": "full", "seed": seed, "budget": "small", "recipe": recipe},
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
    "40 groups": Simulated(TIES),
    "10 groups": Simulated(TIES, groups=10),
    "all alike": Simulated((1.0,) * 8),
    "none alike": Simulated(tuple(1 + i / 10 for i in range(8))),
    "20 models in fours": Simulated(tuple(1 + i // 4 / 10 for i in range(20))),
}
CLOSE = {
    "steps of the noise": Simulated(tuple(1 + 0.005 * i for i in range(8))),
    "steps of the noise, 10 groups": Simulated(tuple(1 + 0.01 * i for i in range(8)), groups=10),
    "pairs": Simulated(tuple(1 + 0.004 * (i // 2) for i in range(10))),
}

MODELS = (2, 3, 6, 12)
SEEDS = ((1,), (2,), (3,), (4,), (5,), (1, 2, 3, 4, 5))
GAPS: dict[tuple[Kind, str], float] = {
    ("equal", "ties"): 0.0,
    ("equal", "steps"): 0.02,
    ("unequal", "ties"): 0.0,
    ("unequal", "steps"): 0.02,
    ("one varies", "ties"): 0.0,
    ("one varies", "steps"): 0.02,
    ("bimodal", "two levels"): 0.0,
}


def trained(kind: Kind, gap: float, models: int, seeds: tuple[int, ...]) -> Simulated:
    """Return a board of trained models, with equal gaps between them."""
    if kind == "bimodal":
        return Simulated(tuple((SOLVED, UNSOLVED)[i % 2] for i in range(models)), kind, seeds)
    return Simulated(tuple(1 + gap * i for i in range(models)), kind, seeds)


def right(board: Simulated, draws: int, seed: int = 0) -> tuple[float, float, float]:
    """Return the shares of draws whose ranks equal and contain the true ones; the mean width."""
    generator = np.random.default_rng(seed)
    exact = held = width = 0.0
    for _ in range(draws):
        found = [rank for rank in ranks(board.draw(generator)) if rank is not None]
        exact += found == board.places
        held += all(_holds(f, true) for f, true in zip(found, board.places, strict=True))
        width += float(np.mean([1 + rank.worst - rank.best for rank in found]))
    return exact / draws, held / draws, width / draws


def _holds(found: Rank, true: Rank) -> bool:
    return found.best <= true.best and true.worst <= found.worst


def fixed_table(simulated: dict[str, Simulated], draws: int) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = []
    for name, board in simulated.items():
        began = time.perf_counter()
        exact, held, _ = right(board, draws)
        shares = [f"{100 * share:.1f} %" for share in (exact, held)]
        rows.append([name, len(board.losses), *shares, time.perf_counter() - began])
    return rows


def trained_rows(draws: int) -> Iterator[list[object]]:
    """Yield for each kind and number of models: contained, and width, for each number of seeds."""
    for (kind, name), gap in GAPS.items():
        for models in MODELS:
            found = [right(trained(kind, gap, models, seeds), draws) for seeds in SEEDS]
            cells = [f"{100 * held:.1f} % ({width:.2f})" for _, held, width in found]
            yield [f"{kind}, {name}", models, *cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    headers = ["models", "number", "exactly correct", "true ranks contained", "seconds"]
    for title, simulated in (("Wide gaps", WIDE), ("Gaps like the noise", CLOSE)):
        print(f"{title}, {draws} draws\n")
        rows = fixed_table(simulated, draws)
        print(tabulate(rows, headers, tablefmt="pipe", floatfmt=".1f") + "\n", flush=True)
    print(f"Trained models, {draws} draws: true ranks contained (mean width)\n")
    names = [str(seeds[0]) if len(seeds) == 1 else "1 to 5" for seeds in SEEDS]
    print("| trainings vary | models |", " | ".join(f"seeds: {name}" for name in names), "|")
    print("|:--" * (2 + len(SEEDS)) + "|")
    for row in trained_rows(draws):
        print("|", " | ".join(map(str, row)), "|", flush=True)


if __name__ == "__main__":
    main()
