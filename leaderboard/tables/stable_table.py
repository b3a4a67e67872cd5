"""Stable models and the same models unconstrained: scores, guaranteed context, context needs.

A record may contain a certificate computed from its model's weights
(`seqmem.baselines.certificate`) under ``certificate`` in its model's facts: ``rate``, the λ by
which a step shrinks a difference of states, and ``promised_k``, the guaranteed context: from it on,
no output differs by more than 0.01 from the output with the full context.
"""

from collections.abc import Mapping, Sequence

from seqmem.leaderboard import Format
from seqmem.leaderboard.published import Published
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.differences import difference
from seqmem.leaderboard.statistics.rows import stable_pairs, usual_rows
from seqmem.leaderboard.tables.formatting import row_need
from seqmem.leaderboard.tables.truncation import HARM
from seqmem.leaderboard.tables.wording import difference_text, seeds_text, shown, verdict
from seqmem.leaderboard.tables.writing import heading, paragraph, table

__all__ = ["GUARANTEE", "measured_pairs", "published_pairs", "stable_text"]

Cells = dict[str, str]

GUARANTEE = (
    "λ bounds how much of a difference of states remains after a step; from the guaranteed k on, "
    "no output differs by more than 0.01 from the output with the full context. Both are proved "
    "from the weights."
)


def measured_pairs(boards: Sequence[Board]) -> list[Cells]:
    """Return a row for each pair of models that were trained alike and scored at full."""
    found = []
    for board in boards:
        for stable, unconstrained in stable_pairs(usual_rows(board)):
            paired = difference(board.rows, stable, unconstrained, "full")
            if paired is None:
                continue
            found.append(
                {
                    "task": board.task_id,
                    "model": unconstrained.label,
                    "budget": unconstrained.budget,
                    "seeds": seeds_text(paired),
                    "score, unconstrained": shown(unconstrained.scores["full"], spread=True),
                    "score, stable": shown(stable.scores["full"], spread=True),
                    "difference": difference_text(paired, board.records[0].task),
                    "the stable model is": verdict(
                        board, paired, (stable, "full"), (unconstrained, "full")
                    ),
                    "λ, unconstrained": _certified(unconstrained, "rate"),
                    "λ, stable": _certified(stable, "rate"),
                    "guaranteed k": _certified(stable, "promised_k"),
                    "k*(1 %), unconstrained": row_need(unconstrained),
                    "k*(1 %), stable": row_need(stable),
                }
            )
    return found


def published_pairs(published: Sequence[Published]) -> list[Cells]:
    """Return a row for each model that a source prints twice: "…, unstable" and "…, stable"."""
    printed = {(entry.task, str(entry.source), entry.model): entry for entry in published}
    found = []
    for (task, source, model), unconstrained in printed.items():
        name, _, kind = model.rpartition(", ")
        stable = printed.get((task, source, f"{name}, stable"))
        if kind == "unstable" and stable is not None:
            found.append(
                {
                    "task": task,
                    "published": name,
                    f"{unconstrained.unit}, unconstrained": unconstrained.printed,
                    f"{unconstrained.unit}, stable": stable.printed,
                    "source": source,
                }
            )
    return found


def stable_text(boards: Sequence[Board], form: Format, published: Sequence[Published] = ()) -> str:
    """Return both in one of `FORMATS`; csv and json contain only measured pairs, as text."""
    rows = measured_pairs(boards)
    if form in ("csv", "json"):
        return table(rows or {"task": []}, form)
    parts = [heading("stable models and the same models unconstrained", form)]
    if rows:
        parts.append(
            paragraph(
                "Scores at full. The difference is stable minus unconstrained, of means over "
                f"seeds; its interval excludes 0 where ranks differ. {GUARANTEE} {HARM}",
                form,
            )
        )
        left = ("task", "model", "budget", "the stable model is")
        parts.append(table(_known_columns(rows), form, left))
    else:
        none = "No stable model has records together with the unconstrained one."
        parts.append(paragraph(none, form))
    for columns in dict.fromkeys(tuple(row) for row in published_pairs(published)):
        printed = [row for row in published_pairs(published) if tuple(row) == columns]
        parts.append(paragraph("Published, as printed; not ranked.", form))
        parts.append(table(_known_columns(printed), form, ("task", "published", "source")))
    return "\n".join(parts)


def _certified(row: Row, name: str) -> str:
    """Return the largest certified value of all seeds; "–" if a record has none."""
    facts: list[Mapping[str, float]] = [r.model.get("certificate") or {} for r in row.records]
    values = [some.get(name) for some in facts]
    known = [value for value in values if value is not None]
    return f"{max(known):.4g}" if known and len(known) == len(values) else "–"


def _known_columns(rows: Sequence[Cells]) -> dict[str, list[str]]:
    """Return rows as columns, without those in which nothing is known."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {name: cells for name, cells in columns.items() if set(cells) != {"–"}}
