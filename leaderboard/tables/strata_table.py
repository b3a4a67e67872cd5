"""Curves split by strata: a table of models and strata, and the same as flat rows."""

import math
from collections.abc import Iterable, Sequence

from seqmem.leaderboard import Format
from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.statistics.aggregate import Board, score
from seqmem.leaderboard.statistics.rows import named_rows
from seqmem.leaderboard.statistics.strata import (
    SplitRow,
    kinds,
    needs,
    require_kind,
    shares,
    split_row,
    strata_of,
)
from seqmem.leaderboard.stratified import StratumMeans
from seqmem.leaderboard.tables.formatting import need, rounded, unit
from seqmem.leaderboard.tables.writing import heading, paragraph, table

__all__ = ["strata_columns", "strata_rows", "strata_tables", "strata_text"]


def strata_rows(
    records: Iterable[Record], by: str, contexts: Sequence[Context] | None = None
) -> list[dict[str, object]]:
    """Return a row for each record, stratum and k, with every digit.

    Args:
        records: those without such strata are left out.
        by: the kind of strata.
        contexts: only these; None: all.
    """
    rows: list[dict[str, object]] = []
    for record in records:
        strata = strata_of(record, by)
        for point in strata.curve if strata is not None else ():
            if strata is None or (contexts is not None and point.k not in contexts):
                continue
            parts = shares(strata, point)
            for i, label in enumerate(strata.labels):
                rows.append(
                    {
                        "task": record.task.id,
                        "model": record.model["label"],
                        "k_train": record.training["k_train"],
                        "budget": record.training["budget"],
                        "seed": record.training["seed"],
                        "by": by,
                        "stratum": label,
                        "targets": strata.counts[i],
                        "k": point.k,
                        **_interval("loss", point.loss[i], point.loss_half[i]),
                        "loss_unit": record.task.unit,
                        **_interval(
                            "excess_over_full",
                            None if point.excess is None else point.excess[i],
                            None if point.excess_half is None else point.excess_half[i],
                        ),
                        "share_of_excess": None if parts is None else parts[i],
                    }
                )
    return rows


def _interval(name: str, mean: float | None, half: float | None) -> dict[str, object]:
    low, high = (None, None) if mean is None or half is None else (mean - half, mean + half)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def strata_columns(
    records: Sequence[Record], by: str, contexts: Sequence[Context] | None = None
) -> dict[str, list[object]]:
    """Return `strata_rows` as columns.

    Raises:
        InputError: no record is split so.
    """
    require_kind(records, by)
    rows = strata_rows(records, by, contexts)
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def strata_text(
    boards: Sequence[Board], by: str, form: Format, contexts: Sequence[Context] | None = None
) -> str:
    """Return a table for each board that is split so: models and their strata.

    Args:
        boards: the boards.
        by: the kind of strata.
        form: one of `FORMATS`; csv and json contain every seed and k, as `strata_rows`.
        contexts: the context lengths that are compared with full; None: two telling ones.

    Raises:
        InputError: no record is split so.
    """
    records = [record for board in boards for record in board.records]
    if form in ("csv", "json"):
        return table(strata_columns(records, by, contexts), form)
    require_kind(records, by)
    return "\n".join(
        _board_text(board, by, form, contexts) for board in boards if by in kinds(board.records)
    )


def strata_tables(board: Board) -> list[tuple[str, str, list[dict[str, object]]]]:
    """Return each kind of strata of a board: its name, what its columns are, and its rows."""
    return [(by, *_board_table(board, by, None)) for by in kinds(board.records)]


def _board_text(board: Board, by: str, form: Format, contexts: Sequence[Context] | None) -> str:
    notes, rows = _board_table(board, by, contexts)
    return "\n".join(
        [
            heading(f"{board.task_id} by {by}", form),
            paragraph(notes, form),
            table(rows, form, ("model", by)),
        ]
    )


def _board_table(
    board: Board, by: str, contexts: Sequence[Context] | None
) -> tuple[str, list[dict[str, object]]]:
    """Return what the columns are, and a row for each model and stratum."""
    named = {name: split_row(row, by) for name, row in named_rows(board).items()}
    split = {name: found for name, found in named.items() if found is not None}
    first = next(iter(split.values()))
    facts = first.record.task
    ks = [k for k in contexts or _telling(first) if k != "full"]
    rows = [row for name, found in split.items() for row in _cells(name, found, by, ks)]
    relative = facts.score == "perplexity"
    above = "perplexity above that" if relative else "loss minus that"
    notes = [
        f"{unit(facts)}; targets by {first.strata.meaning}.",
        f"k = …: the {above} of the full context, on the same targets, with its 95 % interval.",
        "k*(1 %): the k from which a stratum's own loss is within 1 % of its own full-context one."
        if relative
        else "k*(1 %): the k from which a stratum's loss is near its own full-context one.",
    ]
    if ks:
        notes.append(f"share: what a stratum makes up of all that k = {ks[0]} loses to full.")
    if missing := [name for name in named if name not in split]:
        notes.append(f"Without strata in their records: {', '.join(missing)}.")
    return " ".join(notes), rows


def _telling(split: SplitRow) -> list[Context]:
    """Return two k, at a third and two thirds of those measured."""
    ks = [point.k for point in split.strata.curve if point.k != "full"]
    return list(dict.fromkeys(ks[len(ks) * third // 3] for third in (1, 2))) if ks else []


def _cells(name: str, split: SplitRow, by: str, ks: Sequence[Context]) -> list[dict[str, object]]:
    """Return a model's lines of the table, one for each stratum."""
    strata = split.strata
    total, wanted = sum(strata.counts), needs(split)
    full, compared = split.at("full"), {k: split.at(k) for k in ks}
    at = compared.get(ks[0]) if ks else None
    parts = None if at is None else shares(strata, at)
    lines = []
    for i, label in enumerate(strata.labels):
        line: dict[str, object] = {
            "model": name,
            by: label,
            "targets": f"{100 * strata.counts[i] / total:.1f} %",
            "full": None if full is None else _score(split.record, full.loss[i], full.loss_half[i]),
        }
        for k, point in compared.items():
            line[f"k = {k}"] = _above(split.record, point, i)
        if ks:
            line["share"] = None if parts is None else f"{_whole(100 * parts[i])} %"
        line["k*(1 %)"] = need(wanted[i])
        lines.append(line)
    return lines


def _score(record: Record, loss: float, half: float | None) -> str:
    """Return a stratum's score with its interval."""
    ends = () if half is None else (score(record, loss - half), score(record, loss + half))
    return _with_half(score(record, loss), ends)


def _above(record: Record, point: StratumMeans | None, i: int) -> str | None:
    """Return what a stratum loses to full: of perplexity in per cent, else in the loss's unit."""
    if point is None or point.excess is None or point.excess_half is None:
        return None
    mean, half = point.excess[i], point.excess_half[i]
    values = [mean] if half is None else [mean, mean - half, mean + half]
    if record.task.score != "perplexity":
        return _with_half(values[0], values[1:], "+")
    # A model that is lost without its context may be worse by any factor.
    values = [100 * math.expm1(value) if value < 50 else math.inf for value in values]
    return f"{_with_half(values[0], values[1:], '+')} %"


def _whole(value: float) -> str:
    """Return a number without decimals; one that rounds to zero has no sign."""
    return f"{round(value)}".replace("-", "−")


def _with_half(value: float, ends: Sequence[float], sign: str = "") -> str:
    """Return a number with half the width of its interval, if that is known."""
    if not math.isfinite(value):
        return "∞"
    if not ends or not all(map(math.isfinite, ends)):
        return rounded([value], None, sign)[0]
    half = (ends[1] - ends[0]) / 2
    return f"{rounded([value], half, sign)[0]} ±{rounded([half], half)[0]}"
