"""Boards as text: a table for each task, or one flat list of every score."""

import math
from collections.abc import Sequence

from tabulate import tabulate

from seqmem.leaderboard import Format
from seqmem.leaderboard.aggregate import Board, Cell, Row
from seqmem.leaderboard.flat import flat
from seqmem.leaderboard.formatting import escape, half_width, k_train, need, number, unit
from seqmem.leaderboard.published import UNITS, Published

__all__ = ["render"]


def render(boards: Sequence[Board], form: Format, published: Sequence[Published] = ()) -> str:
    """Write boards in one of `FORMATS`; csv and json have one row for each model, k and seed.

    Args:
        boards: what was measured.
        form: one of `FORMATS`.
        published: what papers print. It follows its task's board, in the order given and never
            ranked; tasks without a board come last.
    """
    if form == "csv":
        return flat(boards, published).to_csv(index=False)
    if form == "json":
        table = flat(boards, published)
        return table.to_json(orient="records", indent=1, double_precision=15) + "\n"
    style = "simple" if form == "table" else "pipe"
    ids = [board.task_id for board in boards]
    parts = []
    for i, board in enumerate(boards):
        parts.append(_section(board, style, ids.count(board.task_id) > 1))
        if board.task_id not in ids[i + 1 :]:  # once, below the last of several versions
            parts += _published(board.task_id, published, style)
    for task_id in dict.fromkeys(entry.task for entry in published if entry.task not in ids):
        parts.append(_heading(f"{task_id}: nothing measured", style))
        parts += _published(task_id, published, style)
    return "\n".join(parts)


def _heading(title: str, style: str) -> str:
    return f"### {title}\n" if style == "pipe" else f"{title}\n"


def _published(task_id: str, published: Sequence[Published], style: str) -> list[str]:
    """Give a small table for each unit, which heads the column of scores."""
    here = [entry for entry in published if entry.task == task_id]
    tables = []
    for kind in dict.fromkeys(entry.unit for entry in here):
        entries = [entry for entry in here if entry.unit == kind]
        columns = {
            "published": [escape(entry.model) for entry in entries],
            kind: [entry.printed for entry in entries],
            "context": [_context(entry) for entry in entries],
            "parameters": [entry.parameters or "–" for entry in entries],
            "source": [escape(str(entry.source)) for entry in entries],
            "note": [escape(entry.note) for entry in entries],
        }
        if not any(entry.parameters for entry in entries):
            del columns["parameters"]
        if not any(entry.note for entry in entries):
            del columns["note"]
        aligned = {kind, "context", "parameters"}
        table = tabulate(
            columns,
            headers="keys",
            tablefmt=style,
            disable_numparse=True,
            colalign=["right" if name in aligned else "left" for name in columns],
        )
        differs = UNITS[kind].differs
        caveat = f" Not the measured score: {differs}." if differs else ""
        tables.append(f"Published, as printed; not ranked.{caveat}\n\n{table}\n")
    return tables


def _context(entry: Published) -> str:
    if entry.at_most is not None:
        return f"≤ {entry.at_most}"
    return "–" if entry.context is None else str(entry.context)


def _section(board: Board, style: str, ambiguous: bool) -> str:
    facts = board.records[0].task
    title = f"{board.task_id}: {unit(facts)}"
    if ambiguous:  # scores of other versions or other data are not comparable
        title += f" (version {facts.version}, data {facts.data_hash[:8]})"
    columns = ["model", "k_train", "budget", "seeds", "parameters", "passes", "known to"]
    names = [f"k={k}" if k != "full" else "full" for k in board.contexts]
    rows = []
    if board.optimum:
        best = [number(board.optimum[k]) if k in board.optimum else "" for k in board.contexts]
        rows.append(["optimum", *[""] * 6, *best, ""])
    rows += [_cells(board, row) for row in board.rows]
    rows.append(["chance", *[""] * 6, *[number(board.chance)] * len(names), ""])
    table = tabulate(
        rows,
        headers=[*columns, *names, "k*(1 %)"],
        tablefmt=style,
        disable_numparse=True,
        colalign=["left", *["right"] * (len(names) + 7)],
    )
    return f"{_heading(title, style)}\n{table}\n"


def _cells(board: Board, row: Row) -> list[str]:
    record = row.records[0]
    shown = [_cell(row.cells[k]) if k in row.cells else "–" for k in board.contexts]
    return [
        escape(row.label),
        k_train(row),
        row.budget,
        str(len(row.records)),
        f"{record.model['parameters']:,}",
        _passes(row),
        _known_to(row),
        *shown,
        need(row.need),
    ]


def _passes(row: Row) -> str:
    """What measuring cost, in passes over the split; the dearest seed."""
    passes = [record.measurement.get("plain_passes") for record in row.records]
    known = [value for value in passes if value is not None]
    return f"{max(known):.3g}" if known else "–"


def _known_to(row: Row) -> str:
    """How well every mean is known for the split as it is: what sampling left open, at most."""
    points = [(record, point) for record in row.records for point in record.curve]
    widest = max((point.half_width for _, point in points), default=0.0)
    if widest == 0:
        return "exact"
    if row.records[0].task.score == "perplexity":
        return f"±{100 * math.expm1(widest):.2g} %"
    return f"±{widest:.2g}"


def _cell(cell: Cell) -> str:
    text = number(cell.value)
    if cell.half is not None:
        text += f" ±{half_width(cell.half, cell.value)}"
    if cell.seeds > 1:
        text += f" [{number(cell.smallest)}, {number(cell.largest)}]"
    return text
