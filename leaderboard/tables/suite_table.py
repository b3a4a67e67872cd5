"""A suite as text: what its numbers mean, the normalised scores, and the context needs."""

from collections.abc import Sequence

from seqmem.leaderboard import Format
from seqmem.leaderboard.statistics.suite_scores import NormalizedScore, Overview
from seqmem.leaderboard.tables.formatting import need, number, rounded
from seqmem.leaderboard.tables.truncation import HARM
from seqmem.leaderboard.tables.wording import count, listed
from seqmem.leaderboard.tables.writing import heading, paragraph, table

__all__ = ["suite_text"]


def suite_text(name: str, found: Overview, form: Format) -> str:
    """Return a suite in one of `FORMATS`; csv and json have a row for each model and task.

    Args:
        name: of the suite.
        found: its models and tasks.
        form: one of `FORMATS`.
    """
    if form in ("csv", "json"):
        return table(_flat(name, found), form)
    parts = [heading(f"suite {name}: scores, 0 is chance, 1 the best possible or known", form)]
    parts += [paragraph(text, form) for text in _explanations(found)]
    if found.entries:
        entries, tasks = found.entries, list(found.scales)
        who = {"model": [e.label for e in entries], "budget": [e.budget for e in entries]}
        columns: dict[str, Sequence[object]] = {
            **who,
            "mean": [None if e.mean is None else f"{e.mean:.3f}" for e in entries],
            "tasks": [f"{len(e.scores)} of {len(found.suite)}" for e in entries],
        }
        columns |= {task: [_shown(e.scores.get(task)) for e in entries] for task in tasks}
        needs: dict[str, Sequence[object]] = {
            task: [need(e.scores[task].need) if task in e.scores else None for e in entries]
            for task in tasks
        }
        left = ("model", "budget")
        parts.append(table(columns, form, left))
        parts.append(heading(f"suite {name}: context need k*(1 %)", form))
        parts.append(paragraph(HARM, form))
        parts.append(table({**who, **needs}, form, left))
    return "\n".join(parts)


def _explanations(found: Overview) -> list[str]:
    """Return how the numbers are computed, and what is left out."""
    compared = list(found.scales)
    if not compared:
        return ["No task of this suite has a score at full that can be compared."]
    texts = [
        "Scores are (chance − loss) / (chance − best), of the loss with the full context (of "
        "perplexity, its logarithm), the median over seeds, of each model trained by its recipe. "
        "Below 0 is worse than chance; ± is half the 95 % interval of the loss alone.",
    ]
    own = {task: scale for task, scale in found.scales.items() if scale.best is not None}
    optimal = [task for task in compared if task not in own]
    if optimal:
        texts.append(f"1 is the optimum on {listed(optimal)}.")
    if own:
        best = [
            f"{task} {number(scale.best.scores[scale.at].value)} ({scale.best.label})"
            for task, scale in own.items()
            if scale.best is not None
        ]
        texts.append(
            "Where the optimum is unknown, 1 is the best score here at any k and training setting: "
            f"{listed(best)}."
        )
    whole = sum(entry.mean is not None for entry in found.entries)
    texts.append(
        f"The mean is over {count(len(compared), 'task')}, and only of models that have them all: "
        f"{whole} of {len(found.entries)}. Missing scores are not imputed."
    )
    if found.absent:
        texts.append(f"Without a score, and not in the mean: {listed(found.absent)}.")
    if found.unscaled:
        texts.append(
            "Not in the mean, as no model is better than chance and the optimum is unknown: "
            f"{listed(found.unscaled)}."
        )
    return texts


def _shown(score: NormalizedScore | None) -> str | None:
    if score is None:
        return None
    if not score.half:
        return f"{score.value:.3f}".replace("-", "−")
    value, half = rounded([score.value, score.half], max(score.half, 0.001))
    return f"{value} ±{half}"


def _flat(name: str, found: Overview) -> dict[str, list[object]]:
    cells = [(e, task, score) for e in found.entries for task, score in e.scores.items()]
    scales = [found.scales[task] for _, task, _ in cells]
    needs = [score.need for _, _, score in cells]
    return {
        "suite": [name] * len(cells),
        "task": [task for _, task, _ in cells],
        "model": [entry.label for entry, _, _ in cells],
        "budget": [entry.budget for entry, _, _ in cells],
        "score": [score.value for _, _, score in cells],
        "half_width": [score.half for _, _, score in cells],
        "chance_loss": [scale.chance for scale in scales],
        "one_loss": [scale.one for scale in scales],
        "one_is": [f"best here: {s.best.label}" if s.best else "optimum" for s in scales],
        "need_state": [need.state for need in needs],
        "need": [need.k for need in needs],
        "need_low": [need.low for need in needs],
        "need_high": [need.high for need in needs],
        "need_largest": [need.largest for need in needs],
    }
