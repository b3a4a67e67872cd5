"""A board for a terminal: a row for each model, its score at a few context lengths, its need.

Each model is shown as its recipe trains it. The whole board is `board_table`.
"""

import math
from collections.abc import Sequence
from textwrap import fill

from seqmem.leaderboard.published import Published
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.aggregate import Board, Row, solved
from seqmem.leaderboard.statistics.answers import CLOSE
from seqmem.leaderboard.statistics.context_need import optimum_need
from seqmem.leaderboard.statistics.differences import trainings_known
from seqmem.leaderboard.statistics.envelope import envelope
from seqmem.leaderboard.statistics.ranks import ranks
from seqmem.leaderboard.statistics.rows import (
    k_train,
    loss,
    named_rows,
    names,
    other_names,
    usual_rows,
)
from seqmem.leaderboard.tables.fitted import Columns, fitted, left_out
from seqmem.leaderboard.tables.formatting import (
    checked,
    edition,
    half_width,
    marked,
    number,
    row_need,
    same_models,
    unit,
)
from seqmem.leaderboard.tables.sparkline import sparkline
from seqmem.leaderboard.tables.truncation import truncation_note
from seqmem.leaderboard.tables.wording import count

__all__ = ["brief_text", "telling_contexts"]

SHARES = (0.5, 0.9)  # of the best gain: telling are the k at which they are reached
FEW = 4  # context lengths beside full
CURVE, NEED, BUDGET = "curve", "k*(1 %)", "budget"
WIDE = 100  # characters: in a narrower terminal, intervals are left to --wide


def brief_text(
    boards: Sequence[Board],
    width: int,
    published: Sequence[Published] = (),
    every_k: bool = False,
) -> str:
    """Return boards for a terminal of some width.

    Args:
        boards: what was measured.
        width: of the terminal, in characters.
        published: published numbers, of which only the number is said.
        every_k: whether all context lengths are shown, and not a few telling ones.
    """
    ids = [board.task_id for board in boards]
    parts = [
        _section(
            board,
            width,
            every_k,
            ids.count(board.task_id) > 1,
        )
        for board in boards
    ]
    notes = ["Each model as its recipe trains it; --format wide shows every column and k_train."]
    unchecked = [row for board in boards for row in board.rows if not checked(row)]
    if unchecked:
        rows = count(len(unchecked), "row")
        notes.append(f"{rows} not checked for validity: --format wide names them.")
    if any(not trainings_known(tuple(named_rows(board).values()), "full") for board in boards):
        notes.append(
            "No rank where no model has several seeds: how much trainings vary is unknown."
        )
    if published:
        notes.append(f"{count(len(published), 'published number')}: --wide shows them.")
    return "\n".join([*parts, *(fill(note, width) for note in notes)]) + "\n" if parts else ""


def _section(
    board: Board,
    width: int,
    every_k: bool,
    ambiguous: bool,
) -> str:
    facts = board.records[0].task
    title = f"{board.task_id}: {unit(facts)}"
    if ambiguous:
        title += f" ({edition(facts)}; not comparable with other versions or data)"
    rows = usual_rows(board)
    contexts = board.contexts if every_k else telling_contexts(board)
    columns = _columns(board, rows, contexts, width >= WIDE)
    gone = left_out(columns, width, ["rank", "solved", CURVE], wrapped=[NEED])
    kept = {name: cells for name, cells in columns.items() if name not in gone}
    if not every_k:  # the context need says more than a third or fourth score
        between = [_heading(k) for k in reversed(contexts[1:]) if k != "full"]
        for name in left_out(kept, width, between, wrapped=[NEED, BUDGET]):
            del kept[name]
    lines = [
        fill(title, width),
        _shared(rows),
        "",
        fitted(kept, width, ("model", BUDGET, CURVE)),
    ]
    if note := truncation_note(board):
        lines.append(fill(note, width) + "\n")
    if others := other_names(board):
        lines.append(fill(same_models(others), width) + "\n")
    return "\n".join(line for line in lines if line is not None)


def _shared(rows: Sequence[Row]) -> str | None:
    """Return how all rows were trained, where that is the same; None if in nothing."""
    parts = {"budget": {row.budget for row in rows}, "k_train": {k_train(row) for row in rows}}
    parts["seeds"] = {str(len(row.records)) for row in rows}
    known = [f"{name} {min(values)}" for name, values in parts.items() if len(values) == 1]
    return f"All: {', '.join(known)}" if known else None


def _columns(
    board: Board, rows: Sequence[Row], contexts: Sequence[Context], intervals: bool
) -> Columns:
    """Return the columns; the optimum is the first row where it is known, chance the last."""
    some = list(rows)
    places = ranks(some)
    differ = len({row.budget for row in rows}) > 1
    columns: dict[str, list[str]] = {
        "model": [marked(name, row, differ) for name, row in zip(_names(rows), rows, strict=True)]
    }
    if differ:
        columns[BUDGET] = [row.budget for row in rows]
    ranked = sum(place is not None for place in places) > 1
    if ranked and trainings_known(some, "full"):
        columns["rank"] = [str(place or "–") for place in places]
    solving = [solved(row) for row in some]
    if any(seeds is not None for seeds in solving):
        columns["solved"] = [
            "–" if seeds is None else f"{seeds} of {len(row.records)}"
            for row, seeds in zip(some, solving, strict=True)
        ]
    columns |= {_heading(k): [_cell(row, k, intervals) for row in some] for k in contexts}
    columns[NEED] = [row_need(row) for row in some]
    if len(board.contexts) > FEW:
        columns[CURVE] = _curves(board, some)
    ends: dict[str, tuple[str, str]] = {
        _heading(k): (number(board.optimum[k]) if k in board.optimum else "–", number(board.chance))
        for k in contexts
    }
    needed = optimum_need(board.records[0], board.optimum, CLOSE)
    ends |= {"model": ("optimum", "chance"), NEED: ("" if needed is None else str(needed), "")}
    return {
        name: [
            *([ends.get(name, ("", ""))[0]] if board.optimum else ()),
            *cells,
            ends.get(name, ("", ""))[1],
        ]
        for name, cells in columns.items()
    }


def _names(rows: Sequence[Row]) -> list[str]:
    """Return a name for each row; if budgets differ, there is a column that distinguishes them."""
    found = list[str](len(rows) * [""])
    for budget in {row.budget for row in rows}:
        places = [i for i, row in enumerate(rows) if row.budget == budget]
        for i, name in zip(places, names([rows[i] for i in places]), strict=True):
            found[i] = name
    return found


def telling_contexts(board: Board) -> tuple[Context, ...]:
    """Return a few context lengths that show the shape of a board's curves, and full.

    All, if there are few. Else, of those at which most models have a score, the first, those at
    which the best models have half and nine tenths of their gain over the first, and the largest.
    """
    finite = _common(board)
    bests = [best for best in envelope(board) if best.k in finite]
    if len(board.contexts) - ("full" in board.contexts) <= FEW or not bests:
        return board.contexts
    first, last = bests[0].loss, bests[-1].loss
    telling: list[Context] = [finite[0], finite[-1]]
    for share in SHARES:
        reached = first - share * (first - last)
        telling.append(next(best.k for best in bests if best.loss <= reached))
    order = [k for k in board.contexts if k in telling or k == "full"]
    return tuple(order)


def _common(board: Board) -> list[Context]:
    """Return the context lengths, without full, at which most models have a score."""
    rows = usual_rows(board)
    scored = {k: sum(k in row.scores for row in rows) for k in board.contexts if k != "full"}
    return [k for k, count in scored.items() if count > max(scored.values()) / 2]


def _heading(k: Context) -> str:
    return "full" if k == "full" else f"k={k}"


def _cell(row: Row, k: Context, interval: bool) -> str:
    score = row.scores.get(k)
    if score is None:
        return "–"
    if score.half is None or k != "full" or not interval:
        return number(score.value)
    return f"{number(score.value)} ±{half_width(score.half, score.value)}"


def _curves(board: Board, rows: Sequence[Row]) -> list[str]:
    """Return a bar for each finite k, on one scale: chance is the highest, the best the lowest."""
    finite = _common(board)
    step = max(len(finite) // 10, 1)
    losses = [[loss(row, k) if k in row.scores else None for k in finite[::step]] for row in rows]
    known = [value for line in losses for value in line if value is not None]
    perplexity = board.records[0].task.score == "perplexity"
    chance = math.log(board.chance) if perplexity else board.chance
    low = min([*known, chance])
    return [sparkline(line, low, chance) for line in losses]
