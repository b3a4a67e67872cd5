"""Stable models beside the same ones unconstrained: scores, promises and what they use.

A record may hold what its model's weights promise (`seqmem.baselines.certificate`) under
``certificate`` in its model's facts: ``rate``, the λ by which a step shrinks what the past has
left, and ``promised_k``, the context from which on no output differs by more than 0.01 from what
the full context gives. A record without is shown without.
"""

from collections.abc import Mapping, Sequence

from seqmem.docs.sentences import pair_verdict
from seqmem.leaderboard import Format
from seqmem.leaderboard.aggregate import Board, Row
from seqmem.leaderboard.published import Published
from seqmem.leaderboard.rows import stable_pairs, usual_rows
from seqmem.leaderboard.statistics.differences import difference
from seqmem.leaderboard.tables.formatting import row_need
from seqmem.leaderboard.tables.wording import gap, shown
from seqmem.leaderboard.tables.writing import heading, paragraph, table

__all__ = ["PROMISE", "measured_pairs", "published_pairs", "stable_text"]

Cells = dict[str, str]

PROMISE = (
    "λ is how much of a difference of states a step can leave; from the promised k on, no output "
    "differs by more than 0.01 from that with the full context. Both are proved from the weights."
)


def measured_pairs(boards: Sequence[Board]) -> list[Cells]:
    """Give a row for each pair of models that were trained alike and scored at full."""
    found = []
    for board in boards:
        for pair in stable_pairs(usual_rows(board)):
            gone = difference(pair.stable, pair.unconstrained, "full")
            if gone is None:
                continue
            found.append(
                {
                    "task": board.task_id,
                    "model": pair.unconstrained.label,
                    "budget": pair.unconstrained.budget,
                    "seeds": str(gone.seeds),
                    "score, free": shown(pair.unconstrained.scores["full"], spread=True),
                    "score, stable": shown(pair.stable.scores["full"], spread=True),
                    "difference": gap(gone, board.records[0].task),
                    "the stable one is": pair_verdict(board, pair, gone),
                    "λ, free": _promise(pair.unconstrained, "rate"),
                    "λ, stable": _promise(pair.stable, "rate"),
                    "promised k": _promise(pair.stable, "promised_k"),
                    "k*(1 %), free": row_need(pair.unconstrained),
                    "k*(1 %), stable": row_need(pair.stable),
                }
            )
    return found


def published_pairs(published: Sequence[Published]) -> list[Cells]:
    """Give a row for each model that a source prints twice: "…, unstable" and "…, stable"."""
    printed = {(entry.task, str(entry.source), entry.model): entry for entry in published}
    found = []
    for (task, source, model), free in printed.items():
        name, _, kind = model.rpartition(", ")
        stable = printed.get((task, source, f"{name}, stable"))
        if kind == "unstable" and stable is not None:
            found.append(
                {
                    "task": task,
                    "published": name,
                    f"{free.unit}, free": free.printed,
                    f"{free.unit}, stable": stable.printed,
                    "source": source,
                }
            )
    return found


def stable_text(boards: Sequence[Board], form: Format, published: Sequence[Published] = ()) -> str:
    """Write both in one of `FORMATS`; csv and json list what was measured alone, as text."""
    rows = measured_pairs(boards)
    if form in ("csv", "json"):
        return table(rows, form)
    parts = [heading("stable models beside the same ones, free", form)]
    if rows:
        parts.append(
            paragraph(
                "Scores at full. The difference is paired, the stable model's less the free one's: "
                "over seeds where both have several, else over groups of targets; 95 %, not "
                f"corrected for the number of pairs. {PROMISE}",
                form,
            )
        )
        parts.append(table(_columns(rows), form, ("task", "model", "budget", "the stable one is")))
    else:
        parts.append(paragraph("No stable model has records beside the free one.", form))
    for unit in dict.fromkeys(tuple(row) for row in published_pairs(published)):
        printed = [row for row in published_pairs(published) if tuple(row) == unit]
        parts.append(paragraph("Published, as printed; not ranked.", form))
        parts.append(table(_columns(printed), form, ("task", "published", "source")))
    return "\n".join(parts)


def _promise(row: Row, name: str) -> str:
    """What the weights of every seed promise, at most; "–" where a record does not say."""
    facts: list[Mapping[str, float]] = [r.model.get("certificate") or {} for r in row.records]
    values = [some.get(name) for some in facts]
    known = [value for value in values if value is not None]
    return f"{max(known):.4g}" if known and len(known) == len(values) else "–"


def _columns(rows: Sequence[Cells]) -> dict[str, list[str]]:
    """Turn rows around; a column in which nothing is known is left out."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {name: cells for name, cells in columns.items() if set(cells) != {"–"}}
