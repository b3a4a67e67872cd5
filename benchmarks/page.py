"""Size of the board's page, and the time to write it, from simulated records.

    python benchmarks/page.py [--models 50] [--tasks 15] [--records 10000] [--output FILE]

The numbers on the page are simulated; it goes to a temporary folder unless a file is named.
"""

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
from common import machine, say, timed

from seqmem.baselines import BASELINES
from seqmem.leaderboard.page import page
from seqmem.leaderboard.record import Context, MeanOf, Point, Record, TaskFacts, to_json
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.store import read_records

CONTEXTS: tuple[Context, ...] = (*(2**i for i in range(10)), "full")
GROUPS = 100
MODELS = {name: model.summary for name, model in BASELINES.items()}
# Id, chance in the unit of the loss, and the number of inputs that halves the remaining excess.
TASKS = (
    *((f"adding-problem/T={t}", 1 / 6, t) for t in (20, 50, 100, 200, 400)),
    *((f"hidden-markov/dwell={d}", 2.7, d) for d in (5, 10, 20, 50, 100)),
    ("music/jsb", 11.1, 3),
    ("music/muse", 10.2, 5),
    ("music/nottingham", 9.8, 8),
    ("music/piano", 11.6, 4),
    ("wikitext-2", math.log(1000), 4),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--tasks", type=int, default=len(TASKS))
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    some = simulated(arguments.models, arguments.tasks)
    seconds, text = timed(lambda: page(boards(some), MODELS))
    size = len(text.encode())
    say(f"{len(some):,} records: {size / 1e6:.2f} MB in {seconds:.1f} s")
    seeds = -(-arguments.records // len(some))
    many = [r for seed in range(seeds) for r in simulated(arguments.models, arguments.tasks, seed)]
    many = many[: arguments.records]
    with tempfile.TemporaryDirectory() as folder:
        for i, record in enumerate(many):
            (Path(folder) / f"simulated-{i}.json").write_text(to_json(record), encoding="utf-8")
        reading, (found, problems) = timed(lambda: read_records([Path(folder)]))
        assert not problems
        seconds, large = timed(lambda: page(boards(found), MODELS))
        (arguments.output or Path(folder) / "board.html").write_text(text, encoding="utf-8")
    say(
        f"{len(many):,} records: {len(large.encode()) / 1e6:.2f} MB in {seconds:.1f} s, "
        f"after {reading:.1f} s of reading their files"
    )
    say(machine())


def simulated(models: int, tasks: int, seed: int = 0) -> list[Record]:
    """Return a simulated record of each model on each task, with curves shaped like real ones.

    Args:
        models: number of models; the first ones have the names of baselines.
        tasks: number of tasks, at most those of TASKS.
        seed: of training, and of the simulation.
    """
    names = [*BASELINES, *(f"simulated-{i:02}" for i in range(len(BASELINES), models))][:models]
    rng = np.random.default_rng(seed)
    return [
        _record(name, *task, seed, i / max(models, 2), rng)
        for task in TASKS[:tasks]
        for i, name in enumerate(names)
    ]


def _record(
    name: str,
    task: str,
    chance: float,
    memory: float,
    seed: int,
    rank: float,
    rng: np.random.Generator,
) -> Record:
    words = task.startswith("wikitext")
    gain = chance * (0.35 if words else 0.8) * rng.uniform(0.3 + 0.5 * rank, 1)
    reach = memory * rng.uniform(0.5, 2)
    forgets = 0.0 if name == "marginal" else 1.0
    means = {
        k: chance
        - forgets * gain * (1 - 2 ** (-(1e9 if k == "full" else k) / reach))
        + rng.normal(0, 0.002 * chance)
        for k in CONTEXTS
    }
    noise = rng.normal(0, 0.05 * chance, GROUPS)

    def point(k: Context) -> Point:
        mean, half = means[k], 0.01 * chance
        excess = mean - means["full"]
        return Point(
            k=k,
            n=3_416 if isinstance(k, int) and k > 64 else 40_000,
            method="sample" if isinstance(k, int) and k > 64 else "all",
            loss=MeanOf(mean, half / 2, (mean - half, mean + half)),
            half_width=0.0,
            excess=MeanOf(excess, half / 8, (excess - half / 4, excess + half / 4)),
            optimum=None,
            accuracy=None,
            state_floats=256,
            steps=int(rng.integers(1_000, 10**6)),
            group_sums=tuple(400 * (mean + noise)),
        )

    curve = tuple(map(point, CONTEXTS))
    loss = ("squared error", "mean squared error") if "adding" in task else None
    environment = {
        "device": "cpu",
        "dtype": "float32",
        "packages": {"numpy": "2", "torch": "2"},
        "processor": "none: simulated",
        "threads": 1,
    }
    return Record(
        suite={"version": "0", "commit": "0" * 40, "dirty": False},
        created=f"2026-01-01T00:00:{seed % 60:02}+00:00",
        task=TaskFacts(
            task, 1, "0" * 64, "test",
            *(loss or ("cross-entropy", "nats per word" if words else "nats per symbol")),
            "perplexity" if words else "loss", chance, None,
        ),
        model={
            "name": name, "label": name, "options": {"hidden": 128, "layers": 1},
            "parameters": int(rng.integers(10**4, 10**7)), "stateful": True,
            "weights_sha256": rng.bytes(32).hex(), "source_sha256": "1" * 64,
        },
        training={
            "k_train": 128, "seed": seed, "budget": "small", "state": "carried",
            "recipe": {"k_train": 128, "batch": 8, "steps": 3_000, "learning_rate": 0.005},
            "result": {"steps": 3_000, "best_step": 2_200, "stopped": "patience"},
            "environment": environment,
        },
        measurement={
            "method": "reference pass and samples", "targets": 40_000, "plain_passes": 3.1,
            "model_steps": int(rng.integers(10**5, 10**6)), "seconds": 0.3,
        },
        group_counts=(400,) * GROUPS,
        gain=MeanOf(chance - means["full"], 0.01, (0.5 * gain, 1.5 * gain)),
        curve=curve,
        extras={},
        validity=None,
        environment=environment,
        trust="self-reported",
    )  # fmt: skip


if __name__ == "__main__":
    main()
