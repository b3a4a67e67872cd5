"""What a set of boards cannot show, each sentence computed from its numbers."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations

from seqmem.leaderboard.failure import Failure
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.context_need import tolerance
from seqmem.leaderboard.statistics.differences import difference
from seqmem.leaderboard.statistics.rows import kind, named_rows
from seqmem.leaderboard.tables.wording import ONE, TIED, count, listed, verdict

__all__ = ["limitations"]

Places = list[tuple[Board, str, Row]]  # every model on every task, with its name there


def limitations(
    boards: Sequence[Board],
    failures: Sequence[Failure] = (),
    tasks: Sequence[str] = (),
    models: Sequence[str] = (),
) -> list[str]:
    """Return what cannot be known from these boards, a sentence for each reason.

    Args:
        boards: one for each task.
        failures: trainings that diverged, on these tasks and with this budget.
        tasks: ids that are expected.
        models: names that are expected.
    """
    places = [(board, name, row) for board in boards for name, row in named_rows(board).items()]
    trained = [place for place in places if kind(place[2]) != "not trained by steps"]
    return [
        *_absent("task", tasks, [board.task_id for board in boards]),
        *_absent("model", models, [row.records[0].model["name"] for _, _, row in places]),
        *_missing(boards, places),
        *_diverged(failures),
        *_failed(places),
        *_one_seed(trained),
        *_spread(trained),
        *_improving(trained),
        *_no_gain(trained),
        *_tied(boards),
        *_needs_by_seed(trained),
        *_uncertain_needs(places),
    ]


def grouped(pairs: Iterable[tuple[str, str]]) -> str:
    """Return pairs of a task and a name as text: "lstm and gru on music/jsb; rnn on a and b"."""
    names: dict[str, list[str]] = defaultdict(list)
    for task, name in pairs:
        names[task].append(name)
    tasks: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for task, some in names.items():
        tasks[tuple(some)].append(task)
    return "; ".join(f"{listed(some)} on {listed(where)}" for some, where in tasks.items())


def _absent(word: str, expected: Sequence[str], have: Sequence[str]) -> list[str]:
    absent = [name for name in expected if name not in have]
    if not absent:
        return []
    return [f"Of {count(len(expected), word)}, {len(absent)} without any record: {listed(absent)}."]


def _missing(boards: Sequence[Board], places: Places) -> list[str]:
    models = list(dict.fromkeys(row.label for _, _, row in sorted(places, key=lambda p: p[1])))
    have = {(board.task_id, row.label) for board, _, row in places}
    missing = [
        (board.task_id, label)
        for board in boards
        for label in models
        if (board.task_id, label) not in have
    ]
    whole = count(len(boards) * len(models), "pair")
    if not missing:
        return [f"Of {whole} of a model and a task, none is without a record."] if models else []
    return [
        f"Of {whole} of a model and a task, {len(missing)} have no record, because the model does "
        f"not fit the task, diverged or was not run: {grouped(missing)}."
    ]


def _diverged(failures: Sequence[Failure]) -> list[str]:
    """Return which trainings diverged, the seeds of each model and task together."""
    if not failures:
        return []
    seeds: dict[tuple[str, str], list[str]] = {}
    for failure in failures:
        cell = failure.cell
        key = cell["task"], f"{cell['model']} (k_train {cell['k_train']})"
        seeds.setdefault(key, []).append(f"{cell['seed']} at step {failure.step:,}")
    parts = [(task, f"{name}, seed {listed(some)},") for (task, name), some in seeds.items()]
    return [f"Training diverged: {grouped(parts)}."]


def _failed(places: Places) -> list[str]:
    parts = [
        (board.task_id, f"{name} at k = {k}")
        for board, name, row in places
        for k in dict.fromkeys(k for r in row.records for k in r.measurement.get("failed", {}))
    ]
    return [f"Could not be scored: {grouped(parts)}."] if parts else []


def _one_seed(trained: Places) -> list[str]:
    alone = [(board.task_id, name) for board, name, row in trained if len(row.records) == 1]
    if not alone:
        return []
    which = "all of them" if len(alone) == len(trained) else grouped(alone)
    return [
        f"Of {count(len(trained), 'trained model')}, {len(alone)} have one seed only, so that the "
        f"variation between trainings is unknown: {which}."
    ]


def _spread(trained: Places) -> list[str]:
    several = [p for p in trained if len(p[2].records) > 1 and "full" in p[2].scores]
    wide = [
        (board.task_id, name)
        for board, name, row in several
        if _range(row) > tolerance(board.records[0])
    ]
    if not wide:
        return []
    return [
        f"Of {count(len(several), 'model')} with several seeds, {len(wide)} have seeds more than "
        f"1 % apart at full: {grouped(wide)}."
    ]


def _range(row: Row) -> float:
    losses = [point.loss.mean for r in row.records if (point := r.point("full")) is not None]
    return max(losses) - min(losses)


def _improving(trained: Places) -> list[str]:
    known = [(place, results) for place in trained if (results := _results(place[2]))]
    still = [
        (board.task_id, name)
        for (board, name, _), results in known
        if any(r["stopped"] == "budget" and r["best_step"] == r["steps"] for r in results)
    ]
    if not still:
        return []
    which = "all of them" if len(still) == len(known) else grouped(still)
    return [
        f"Of {count(len(known), 'trained model')}, {len(still)} had in at least one seed their "
        "lowest validation loss at the end of the budget, so that more steps might change their "
        f"scores: {which}."
    ]


def _results(row: Row) -> list[dict[str, object]]:
    return [result for r in row.records if (result := r.training.get("result"))]


def _no_gain(trained: Places) -> list[str]:
    words = {"chance": "Not better than chance", "small": "Less than 1 % better than chance"}
    sentences = []
    for state, word in words.items():
        none = [(b.task_id, name) for b, name, row in trained if row.need.state == state]
        if none:
            sentences.append(
                f"{word} in the median seed, so that the context that they would use after more "
                f"training is unknown: {grouped(none)}."
            )
    return sentences


def _tied(boards: Sequence[Board]) -> list[str]:
    """Return how many pairs of models are tied at full."""
    parts = []
    for board in boards:
        rows = [row for row in named_rows(board).values() if "full" in row.scores]
        pairs = list(combinations(rows, 2))
        tied = 0
        for one, two in pairs:
            paired = difference(board.rows, one, two, "full")
            sides: list[tuple[Row, Context]] = [(one, "full"), (two, "full")]
            tied += paired is None or verdict(board, paired, *sides) in (TIED, TIED + ONE)
        if tied:
            parts.append(f"{tied} of {len(pairs)} on {board.task_id}")
    return [f"Pairs of models that are tied at full: {'; '.join(parts)}."] if parts else []


def _needs_by_seed(trained: Places) -> list[str]:
    several = [place for place in trained if len(place[2].records) > 1]
    apart = [
        (board.task_id, name)
        for board, name, row in several
        if len({(each.state, each.k) for each in row.needs}) > 1
    ]
    if not apart:
        return []
    return [
        f"Of {count(len(several), 'model')} with several seeds, {len(apart)} have context needs "
        f"that differ between seeds: {grouped(apart)}."
    ]


def _uncertain_needs(places: Places) -> list[str]:
    sentences = []
    beyond = [(board.task_id, name) for board, name, row in places if row.need.state == "beyond"]
    if beyond:
        sentences.append(f"Context needs beyond the largest measured k: {grouped(beyond)}.")
    reached = [place for place in places if place[2].need.state == "reached"]
    wide = [
        (board.task_id, name)
        for board, name, row in reached
        if not row.need.low == row.need.k == row.need.high
    ]
    if wide:
        sentences.append(
            f"Of {count(len(reached), 'context need')} found, {len(wide)} have an interval over "
            f"more than one measured k: {grouped(wide)}."
        )
    return sentences
