"""A review as Markdown, for a comment on a pull request.

Texts of a pull request are shown as code, in which Markdown sees no links, no HTML and no names of
users to be notified.
"""

from collections.abc import Iterator

from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.tables.board_table import RANKS, board_columns
from seqmem.leaderboard.tables.wording import count
from seqmem.leaderboard.tables.writing import paragraph, table
from seqmem.submissions.review import Review, Reviewed
from seqmem.submissions.verify import STATED

__all__ = ["review_text"]

LONGEST = 2000  # characters of a text that comes with a pull request


def review_text(review: Review) -> str:
    """Return a review as Markdown: for each record the result, and its row of the board."""
    parts = []
    if not review.records and not review.refused_others:
        parts.append("No records are added or changed.\n")
    for path, how in review.refused_others:
        parts.append(
            f"- {_code(str(path))}: {how}. A pull request that adds records adds files below "
            "`submitted/` and changes no others.\n"
        )
    for each in review.records:
        parts += _record(each)
    return "\n".join(parts)


def _record(each: Reviewed) -> Iterator[str]:
    title = _code(str(each.path)) if each.record is None else _code(each.record.model["label"])
    if each.record is not None:
        title += f" on {_code(each.record.task.id)}"
    yield f"### {title}: {'confirmed' if each.refused is None else 'not accepted'}\n"
    if each.refused is not None:
        yield f"{_code(each.refused)}\n"
    if each.found is None:
        return
    seed = each.found.record.measurement["sample_seed"]
    yield f"Measured again on windows drawn with seed {seed}:\n"
    yield table(each.found.table(), "markdown", left=("",))
    if each.refused is not None:
        return
    yield from _row(each)
    for flag in each.flags:
        yield f"- To look at: {_code(flag)}\n"
    facts = each.found.record.model
    said = {name: facts[name] for name in STATED if facts.get(name)}
    said |= {name: each.found.record.training[name] for name in ("budget", "k_train")}
    stated = "; ".join(f"{name} {_code(_listed(fact))}" for name, fact in said.items())
    yield f"- Stated, and not checked: {stated}\n"
    yield f"- Opened as {_code(facts['format'])}, isolation: {_code(facts['isolation'])}\n"


def _row(each: Reviewed) -> Iterator[str]:
    """Yield the row as it would stand, beside the best row of the others."""
    assert each.found is not None
    new = each.found.record
    (board,) = boards([*each.standing, new])
    columns = board_columns(board)
    own = next(i for i, row in enumerate(board.rows) if new in row.records)
    best = next((i for i in range(len(board.rows)) if i != own), own)
    shown = sorted({own, best})
    rows = {name: [cells[i] for i in shown] for name, cells in columns.items()}
    yield f"The row as it would stand, among {count(len(board.rows), 'row')}:\n"
    yield table(rows, "markdown", left=("model", "trust"))
    if "rank" in columns:
        yield paragraph(RANKS, "markdown")


def _listed(fact: object) -> str:
    return ", ".join(map(str, fact)) if isinstance(fact, list | tuple) else str(fact)


def _code(text: str) -> str:
    """Return a text as code in one line of Markdown."""
    line = " ".join(text[:LONGEST].replace("`", "'").split())
    return f"`{''.join(c if c.isprintable() else '?' for c in line)}`"
