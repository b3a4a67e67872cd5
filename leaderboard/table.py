"""Boards as text: a table for each task, or one flat list of every score."""

import math
from collections.abc import Sequence

import pandas as pd
from tabulate import tabulate

from seqmem.leaderboard import Format
from seqmem.leaderboard.aggregate import Board, Cell, ContextNeed, Row, score, state_trained

__all__ = ["flat", "render"]


def render(boards: Sequence[Board], form: Format) -> str:
    """Write boards in one of `FORMATS`; csv and json have one row for each model, k and seed."""
    if form == "csv":
        return flat(boards).to_csv(index=False)
    if form == "json":
        return flat(boards).to_json(orient="records", indent=1, double_precision=15) + "\n"
    style = "simple" if form == "table" else "pipe"
    ids = [board.task_id for board in boards]
    return "\n".join(_section(board, style, ids.count(board.task_id) > 1) for board in boards)


def flat(boards: Sequence[Board]) -> pd.DataFrame:
    """Give one row for each task, model, k_train, state, budget, seed and k."""
    rows = [
        {
            "task": record.task.id,
            "task_version": record.task.version,
            "model": record.model["label"],
            "k_train": record.training["k_train"],
            "state": state_trained(record),
            "budget": record.training["budget"],
            "seed": record.training["seed"],
            "k": point.k,
            "n": point.n,
            "method": point.method,
            "loss": point.loss.mean,
            "half_width": point.half_width,
            "loss_low": point.loss.interval[0] if point.loss.interval else None,
            "loss_high": point.loss.interval[1] if point.loss.interval else None,
            "loss_unit": record.task.unit,
            "perplexity": score(record, point.loss.mean) if record.task.score != "loss" else None,
            "excess_over_full": point.excess.mean if point.excess else None,
            "accuracy": point.accuracy[0] if point.accuracy else None,
            "optimum": point.optimum,
            "chance": record.task.chance,
            "parameters": record.model["parameters"],
            "trust": record.trust,
        }
        for board in boards
        for row in board.rows
        for record in row.records
        for point in record.curve
    ]
    return pd.DataFrame(rows)


def _section(board: Board, style: str, ambiguous: bool) -> str:
    facts = board.records[0].task
    unit = f"{facts.loss}, {facts.unit}"
    if facts.score == "perplexity":
        unit = f"perplexity {facts.unit.removeprefix('nats ')}"
    title = f"{board.task_id}: {unit}"
    if ambiguous:  # scores of other versions or other data are not comparable
        title += f" (version {facts.version}, data {facts.data_hash[:8]})"
    heading = f"### {title}\n" if style == "pipe" else f"{title}\n"
    columns = ["model", "k_train", "budget", "seeds", "parameters", "passes", "known to"]
    names = [f"k={k}" if k != "full" else "full" for k in board.contexts]
    rows = []
    if board.optimum:
        best = [_number(board.optimum[k]) if k in board.optimum else "" for k in board.contexts]
        rows.append(["optimum", *[""] * 6, *best, ""])
    rows += [_cells(board, row) for row in board.rows]
    rows.append(["chance", *[""] * 6, *[_number(board.chance)] * len(names), ""])
    table = tabulate(
        rows,
        headers=[*columns, *names, "k*(1 %)"],
        tablefmt=style,
        disable_numparse=True,
        colalign=["left", *["right"] * (len(names) + 7)],
    )
    return f"{heading}\n{table}\n"


def _cells(board: Board, row: Row) -> list[str]:
    record = row.records[0]
    shown = [_cell(row.cells[k]) if k in row.cells else "–" for k in board.contexts]
    return [
        _escape(row.label),
        f"{row.k_train} (reset)" if row.state == "reset" else str(row.k_train),
        row.budget,
        str(len(row.records)),
        f"{record.model['parameters']:,}",
        _passes(row),
        _known_to(row),
        *shown,
        _need(row.need),
    ]


def _passes(row: Row) -> str:
    """What measuring cost, in passes over the split; the dearest seed."""
    passes = [record.measurement.get("plain_passes") for record in row.records]
    known = [value for value in passes if value is not None]
    return f"{max(known):.3g}" if known else "–"


def _known_to(row: Row) -> str:
    """How well every mean is known for the split as it is: what sampling left open, at most."""
    points = [(record, point) for record in row.records for point in record.curve]
    widest = max(point.half_width for _, point in points)
    if widest == 0:
        return "exact"
    if row.records[0].task.score == "perplexity":
        return f"±{100 * math.expm1(widest):.2g} %"
    return f"±{widest:.2g}"


def _cell(cell: Cell) -> str:
    text = _number(cell.value)
    if cell.half is not None:
        text += f" ±{_half_width(cell.half, cell.value)}"
    if cell.seeds > 1:
        text += f" [{_number(cell.smallest)}, {_number(cell.largest)}]"
    return text


def _number(value: float) -> str:
    """Four decimals for losses, one for large perplexities."""
    if not math.isfinite(value):
        return "∞"
    return f"{value:.4f}" if abs(value) < 20 else f"{value:.1f}"


def _half_width(half: float, value: float) -> str:
    """As many decimals as the value has; a half-width that rounds to zero shows as a bound."""
    digits = 4 if abs(value) < 20 else 1
    least = 10.0**-digits
    return f"{half:.{digits}f}" if half >= least / 2 else f"<{least:.{digits}f}"


def _need(need: ContextNeed) -> str:
    if need.state == "chance":
        return "never better than chance"
    if need.state == "beyond":
        return f"> {need.largest}"
    if need.state == "unknown":
        return "–"
    if need.low == need.k == need.high:
        return str(need.k)
    high = f"> {need.largest}" if need.high is None else str(need.high)
    return f"{need.k} ({need.low}–{high})"


def _escape(text: str) -> str:
    return text.replace("|", "\\|")
