"""Stable models beside the same ones unconstrained: scores, promises and what they use.

A record may hold what its model's weights promise (`seqmem.baselines.certificate`) under
``certificate`` in its model's facts: ``rate``, the λ by which a step shrinks what the past has
left, and ``promised_k``, the context from which on no output differs by more than 0.01 from what
the full context gives. A record without is shown without.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence

from seqmem.docs.sentences import pair_verdict
from seqmem.leaderboard import Format
from seqmem.leaderboard.aggregate import Board, Row
from seqmem.leaderboard.published import Published
from seqmem.leaderboard.statistics.compare import difference, stable_pairs, usual_rows
from seqmem.leaderboard.tables.formatting import row_need
from seqmem.leaderboard.tables.layout import heading, paragraph, table
from seqmem.leaderboard.tables.wording import gap, shown

__all__ = ["PROMISE", "measured_pairs", "published_pairs", "stability_text"]

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
            gone = difference(pair.stable, pair.free, "full")
            if gone is None:
                continue
            found.append(
                {
                    "task": board.task_id,
                    "model": pair.free.label,
                    "budget": pair.free.budget,
                    "seeds": str(gone.seeds),
                    "score, free": shown(pair.free.cells["full"], spread=True),
                    "score, stable": shown(pair.stable.cells["full"], spread=True),
                    "difference": gap(gone, board.records[0].task),
                    "the stable one is": pair_verdict(board, pair, gone),
                    "λ, free": _promise(pair.free, "rate"),
                    "λ, stable": _promise(pair.stable, "rate"),
                    "promised k": _promise(pair.stable, "promised_k"),
                    "k*(1 %), free": row_need(pair.free),
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


def stability_text(boards: Sequence[Board], published: Sequence[Published], form: Format) -> str:
    """Write both in one of `FORMATS`; csv and json list what was measured alone, as text."""
    rows = measured_pairs(boards)
    if form == "json":
        return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    if form == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]) if rows else ["task"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
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
