"""A suite's overview as text: what its numbers mean, the scores, and the context needs."""

from seqmem.leaderboard import Format
from seqmem.leaderboard.statistics.suite_scores import Entry, NormalizedScore, Overview
from seqmem.leaderboard.tables.formatting import need, number, rounded
from seqmem.leaderboard.tables.wording import count, listed
from seqmem.leaderboard.tables.writing import heading, paragraph, table

__all__ = ["COLUMNS", "suite_text"]

COLUMNS = (
    "suite",
    "task",
    "model",
    "budget",
    "score",
    "half_width",
    "chance_loss",
    "one_loss",
    "one_is",
    "need_state",
    "need",
    "need_low",
    "need_high",
    "need_largest",
)


def suite_text(name: str, found: Overview, form: Format) -> str:
    """Write an overview in one of `FORMATS`; csv and json have one row for each model and task.

    Args:
        name: of the suite.
        found: its models and tasks.
        form: one of `FORMATS`.
    """
    if form in ("csv", "json"):
        return table(_flat(name, found), form)
    parts = [heading(f"suite {name}: scores, 0 is chance, 1 the best possible or known", form)]
    parts += [paragraph(said, form) for said in _rules(found)]
    if found.entries:
        entries, tasks = found.entries, list(found.scales)
        who = {"model": [e.label for e in entries], "budget": [e.budget for e in entries]}
        means = {
            "mean": ["–" if e.mean is None else f"{e.mean:.3f}" for e in entries],
            "tasks": [f"{len(e.scores)} of {len(found.suite)}" for e in entries],
        }
        scores = {task: [_shown(entry.scores.get(task)) for entry in entries] for task in tasks}
        needs = {task: [_need(entry, task) for entry in entries] for task in tasks}
        left = ("model", "budget")
        parts.append(table({**who, **means, **scores}, form, left))
        parts.append(heading(f"suite {name}: context need k*(1 %)", form))
        parts.append(table({**who, **needs}, form, left))
    return "\n".join(parts)


def _rules(found: Overview) -> list[str]:
    """Say how the numbers come about, and what is left out."""
    compared = list(found.scales)
    if not compared:
        return ["No task of it has a score at full that can be compared."]
    rules = [
        "Losses with the full context (of perplexities, the logarithm), the median over seeds, of "
        "each model as its recipe trains it: (chance − loss) / (chance − best). Below 0 is worse "
        "than chance; ± is half the 95 % interval of the loss alone.",
    ]
    own = {task: stick for task, stick in found.scales.items() if stick.best is not None}
    optimal = [task for task in compared if task not in own]
    if optimal:
        rules.append(f"1 is the optimum on {listed(optimal)}.")
    if own:
        best = [
            f"{task} {number(stick.best.scores[stick.at].value)} ({stick.best.label})"
            for task, stick in own.items()
            if stick.best is not None
        ]
        rules.append(
            "Where no optimum is known, 1 is the best score here at any k, of any set-up: "
            f"{listed(best)}."
        )
    whole = sum(entry.mean is not None for entry in found.entries)
    rules.append(
        f"The mean is over {count(len(compared), 'task')}, and only of models that have them all: "
        f"{whole} of {len(found.entries)}. Nothing stands in for a missing score."
    )
    if found.absent:
        rules.append(f"Without a score, and in no mean: {listed(found.absent)}.")
    if found.hopeless:
        rules.append(
            "In no mean, as no model is better than chance and no optimum is known: "
            f"{listed(found.hopeless)}."
        )
    return rules


def _shown(score: NormalizedScore | None) -> str:
    if score is None:
        return "–"
    if not score.half:
        return f"{score.value:.3f}".replace("-", "−")
    value, half = rounded([score.value, score.half], max(score.half, 0.001))
    return f"{value} ±{half}"


def _need(entry: Entry, task: str) -> str:
    return need(entry.scores[task].need) if task in entry.scores else "–"


def _flat(name: str, found: Overview) -> dict[str, list[object]]:
    rows: list[tuple[object, ...]] = []
    for entry in found.entries:
        for task, score in entry.scores.items():
            scale = found.scales[task]
            rows.append(
                (
                    name,
                    task,
                    entry.label,
                    entry.budget,
                    score.value,
                    score.half,
                    scale.chance,
                    scale.one,
                    "optimum" if scale.best is None else f"best here: {scale.best.label}",
                    score.need.state,
                    score.need.k,
                    score.need.low,
                    score.need.high,
                    score.need.largest,
                )
            )
    return {column: [row[i] for row in rows] for i, column in enumerate(COLUMNS)}
