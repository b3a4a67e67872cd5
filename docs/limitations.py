"""What a set of boards cannot show: a short line for each reason, with counts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations

from seqmem.leaderboard.failure import Failure
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.differences import difference
from seqmem.leaderboard.statistics.rows import kind, named_rows
from seqmem.leaderboard.tables.wording import ONE, TIED, count, listed, verdict

__all__ = ["limitations"]

FEW = 3  # tasks that are named
# Since then dropout falls on embeddings only; before, it also fell on a task's own features where
# no linear map came first.
KEYS_KEPT, MAPPED = "2026-11-30T22", ("transformer", "lru")
Places = list[tuple[str, Row]]  # every model on every task, with the task's id


def limitations(
    boards: Sequence[Board],
    failures: Sequence[Failure] = (),
    tasks: Sequence[str] = (),
    models: Sequence[str] = (),
) -> list[str]:
    """Return what cannot be known from these boards, at most ten lines.

    Args:
        boards: one for each task.
        failures: trainings that diverged, on these tasks and with this budget.
        tasks: ids that are expected.
        models: names that are expected.
    """
    places = [(board.task_id, row) for board in boards for row in named_rows(board).values()]
    trained = [place for place in places if kind(place[1]) != "not trained by steps"]
    several = [place for place in trained if len(place[1].records) > 1]
    needs = [place for place in places if place[1].need.state in ("reached", "beyond")]
    diverged = [failure.cell["task"] for failure in failures]
    lines = [
        _absent("task", tasks, [board.task_id for board in boards]),
        _absent("model", models, [row.records[0].model["name"] for _, row in places]),
        _missing(boards, places),
        f"{count(len(diverged), 'training')} diverged{_where(diverged)}." if diverged else "",
        _some(
            trained,
            [place for place in trained if _improving(place[1])],
            "trained models had their lowest validation loss at the end of the budget: more steps "
            "may change them",
        ),
        _some(
            trained,
            [place for place in trained if place not in several],
            "trained models have one seed: how much trainings vary is unknown",
        ),
        _some(
            trained,
            [place for place in trained if place[1].need.state in ("chance", "small")],
            "trained models gain less than 1 % over chance: what they would use is unknown",
        ),
        _some(
            several,
            [place for place in several if len({(n.state, n.k) for n in place[1].needs}) > 1],
            "models of several seeds have context needs that differ between seeds",
        ),
        _some(
            needs,
            [place for place in needs if not _certain(place[1])],
            "context needs are not known to one measured k",
        ),
        _some(
            [place for place in trained if place[0].startswith("music/")],
            [place for place in trained if place[0].startswith("music/") and _drops(place[1])],
            "trained models of music were trained with dropout on the keys of a chord, which the "
            "Transformer and the LRU were not",
        ),
        _tied(boards),
    ]
    return [line for line in lines if line]


def _some(whole: Places, some: Places, text: str) -> str:
    return f"{len(some)} of {len(whole)} {text}{_where(t for t, _ in some)}." if some else ""


def _where(tasks: Iterable[str]) -> str:
    """Return how many are on each task; nothing if they are on many."""
    counts = Counter(tasks)
    if len(counts) > FEW:
        return ""
    return f" ({listed(f'{number} on {task}' for task, number in counts.items())})"


def _absent(word: str, expected: Sequence[str], have: Sequence[str]) -> str:
    absent = [name for name in expected if name not in have]
    if not absent:
        return ""
    return f"{len(absent)} of {count(len(expected), word)} without any record: {listed(absent)}."


def _missing(boards: Sequence[Board], places: Places) -> str:
    have = {(task, row.label) for task, row in places}
    whole = len(boards) * len({label for _, label in have})
    if len(have) == whole:
        return ""
    return (
        f"{whole - len(have)} of {count(whole, 'pair')} of a model and a task have no record: the "
        "model does not fit the task, diverged or was not run."
    )


def _improving(row: Row) -> bool:
    results = [result for r in row.records if (result := r.training.get("result"))]
    return any(r["stopped"] == "budget" and r["best_step"] == r["steps"] for r in results)


def _drops(row: Row) -> bool:
    model = row.records[0].model
    drops = (model.get("options") or {}).get("dropout", 0) > 0
    earliest = min(record.created for record in row.records)
    return drops and model["name"] not in MAPPED and earliest < KEYS_KEPT


def _certain(row: Row) -> bool:
    return row.need.k is not None and row.need.low == row.need.k == row.need.high


def _tied(boards: Sequence[Board]) -> str:
    """Return how many pairs of models are tied at full."""
    tied, pairs = Counter[str](), 0
    for board in boards:
        rows = [row for row in named_rows(board).values() if "full" in row.scores]
        for one, two in combinations(rows, 2):
            paired = difference(board.rows, one, two, "full")
            known = paired and verdict(board, paired, (one, "full"), (two, "full"))
            tied[board.task_id] += known in (None, TIED, TIED + ONE)
            pairs += 1
    return (
        f"{tied.total()} of {pairs} pairs of models are tied at full{_where((+tied).elements())}."
        if tied.total()
        else ""
    )
