"""Boards as text: a table for each task, or one flat list of every score."""

import math
from collections.abc import Sequence
from dataclasses import replace

from seqmem.errors import InputError
from seqmem.leaderboard import Format
from seqmem.leaderboard.published import Published
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.aggregate import Board, Row, solved
from seqmem.leaderboard.statistics.answers import CLOSE
from seqmem.leaderboard.statistics.bits_held import bits_of_row, most_bits
from seqmem.leaderboard.statistics.context_need import optimum_need
from seqmem.leaderboard.statistics.differences import trainings_known
from seqmem.leaderboard.statistics.ranks import ranks
from seqmem.leaderboard.statistics.rows import few_windows, k_train, other_names
from seqmem.leaderboard.tables.brief_board import brief_text
from seqmem.leaderboard.tables.fitted import terminal_width
from seqmem.leaderboard.tables.flat import flat
from seqmem.leaderboard.tables.formatting import (
    edition,
    label,
    number,
    rounded,
    row_need,
    same_models,
    score_text,
    state_floats,
    trust,
    unit,
)
from seqmem.leaderboard.tables.published_table import published_text, unmeasured_text
from seqmem.leaderboard.tables.truncation import truncation_note
from seqmem.leaderboard.tables.wording import bits_text
from seqmem.leaderboard.tables.writing import heading, paragraph, table

__all__ = ["RANKS", "at_contexts", "board_columns", "board_text"]

Columns = dict[str, Sequence[object]]

RANKS = (
    "Rank: possible ranks at full among models better than chance, with 95 % confidence for each "
    "table as a whole: paired differences over targets, the variance between trainings pooled over "
    "the table's models, Holm's correction for all pairs."
)
_NO_RANKS = (
    "No ranks: no model here has several seeds, so that it is unknown how much trainings vary."
)

# A value that all rows of a table have in common is written once above it.
_SHARED = ("k_train", "budget", "seeds", "solved", "trust", "passes", "sampling error")


def board_text(
    boards: Sequence[Board],
    form: Format,
    published: Sequence[Published] = (),
    contexts: Sequence[Context] | None = None,
    chosen: Sequence[str] | None = None,
) -> str:
    """Return boards in one of `FORMATS`; csv and json have a row for each model, k and seed.

    "table" fits the terminal, and is brief unless columns are chosen (`brief_board`).

    Args:
        boards: what was measured.
        form: one of `FORMATS`.
        published: published numbers. They follow their task's board, in the order given and never
            ranked; tasks without a board come last.
        contexts: the context lengths to show; None for all, or those that fit.
        chosen: the columns to show beside the model, as "wide" has them, or how their names begin;
            not for csv and json; None for all, or those that fit.

    Raises:
        InputError: no board has such a column.
    """
    boards = at_contexts(boards, contexts)
    if form in ("csv", "json"):
        return table(flat(boards, published), form)
    ids = [board.task_id for board in boards]
    unmeasured = unmeasured_text([entry for entry in published if entry.task not in ids], form)
    if form == "table" and chosen is None:
        beside = [entry for entry in published if entry.task in ids]
        if len(set(ids)) == 1:  # there is room for its published numbers
            below = [*published_text(ids[0], beside, form), *unmeasured]
            brief = brief_text(boards, terminal_width(), every_k=contexts is not None)
            return "\n".join([brief, *below])
        brief = brief_text(boards, terminal_width(), beside, contexts is not None)
        return "\n".join([brief, *unmeasured][not boards :])
    parts, ranked = [], False
    tables = [board_columns(board) for board in boards]
    names = None if chosen is None else _chosen(chosen, tables)
    for i, (board, columns) in enumerate(zip(boards, tables, strict=True)):
        ranked |= "rank" in columns and (names is None or "rank" in names)
        parts += _section(board, columns, form, ids.count(board.task_id) > 1, names)
        if board.task_id not in ids[i + 1 :]:  # once, below the last of several versions
            parts += published_text(board.task_id, published, form)
    parts += unmeasured
    return "\n".join([paragraph(RANKS, form), *parts] if ranked else parts)


def _chosen(given: Sequence[str], tables: Sequence[Columns]) -> list[str]:
    """Return the columns that a user named, or whose names begin so.

    Raises:
        InputError: there is no such column, or there are several.
    """
    known = list(dict.fromkeys(name for columns in tables for name in columns))
    found = []
    for text in given:
        fitting = [name for name in known if name == text] or [
            # k=3 is not the beginning of k=32.
            name
            for name in known
            if name.startswith(text) and not text.startswith("k=")
        ]
        if len(fitting) != 1:
            problem = f"may be {_listed(fitting, ' or ')}" if fitting else "is no column"
            raise InputError(f"--columns: '{text}' {problem}; there are {_listed(known[1:], ', ')}")
        found += fitting
    return found


def _listed(names: Sequence[str], between: str) -> str:
    return between.join(f"'{name}'" for name in names)


def at_contexts(boards: Sequence[Board], contexts: Sequence[Context] | None) -> Sequence[Board]:
    """Return boards that show some context lengths only; None: all."""
    if contexts is None:
        return boards
    return [
        replace(board, contexts=tuple(k for k in board.contexts if k in contexts))
        for board in boards
    ]


def _section(
    board: Board, columns: Columns, form: Format, ambiguous: bool, chosen: Sequence[str] | None
) -> list[str]:
    facts = board.records[0].task
    title = f"{board.task_id}: {unit(facts)}"
    if ambiguous:
        title += f" ({edition(facts)}; not comparable with other versions or data)"
    shared = {
        name: columns[name][0]
        for name in _SHARED
        if chosen is None and name in columns and len(set(columns[name])) == 1
    }
    if chosen is not None:
        # A model may have rows of several trainings, which these two distinguish.
        differing = [name for name in ("k_train", "budget") if len(set(columns[name])) > 1]
        kept = dict.fromkeys(("model", *differing, *chosen))
        columns = {name: columns[name] for name in kept if name in columns}
    left = {name: cells for name, cells in columns.items() if name not in shared}
    names = [f"k={k}" if k != "full" else "full" for k in board.contexts]
    optimum = [number(board.optimum[k]) if k in board.optimum else "" for k in board.contexts]
    bounds = dict.fromkeys(left, ("", ""))
    needed = optimum_need(board.records[0], board.optimum, CLOSE)
    most = most_bits(facts)
    known = {
        **{name: (best, number(board.chance)) for name, best in zip(names, optimum, strict=True)},
        "model": ("optimum", "chance"),
        "k*(1 %)": ("" if needed is None else str(needed), ""),
        "bits held": ("" if most is None else rounded([most], None)[0], "0"),
    }
    bounds |= {name: ends for name, ends in known.items() if name in left}
    first = slice(0 if board.optimum else 1, 1)
    shown = {name: [*bounds[name][first], *cells, bounds[name][1]] for name, cells in left.items()}
    parts = [heading(title, form)]
    if shared:
        text = ", ".join(f"{name} {value}" for name, value in shared.items())
        parts.append(paragraph(f"{'All rows' if len(board.rows) > 1 else 'Row'}: {text}.", form))
    if _ranked(board.rows) > 1 and not trainings_known(board.rows, "full"):
        parts.append(paragraph(_NO_RANKS, form))
    if others := other_names(board):
        parts.append(paragraph(same_models(others), form))
    if note := truncation_note(board):
        parts.append(paragraph(note, form))
    return [*parts, table(shown, form, left=("model", "trust"))]


def board_columns(board: Board) -> Columns:
    """Return the columns, with a cell for each model; None is missing."""
    rows = board.rows
    columns: Columns = {
        "model": [label(row) for row in rows],
        "rank": ranks(rows),
        "k_train": [k_train(row) for row in rows],
        "budget": [row.budget for row in rows],
        "seeds": [len(row.records) for row in rows],
        "solved": [_solved(row) for row in rows],
        "trust": [trust(row) for row in rows],
        "parameters": [_thousands(row.records[0].model["parameters"]) for row in rows],
        "state, floats": [_thousands(state_floats(row)) for row in rows],
        "bits held": [bits_text(bits_of_row(row)) for row in rows],
        "bits/float": [bits_text(bits_of_row(row, per_float=True)) for row in rows],
        "passes": [_passes(row) for row in rows],
        "sampling error": [_sampling_error(row) for row in rows],
    }
    if _ranked(rows) < 2 or not trainings_known(rows, "full"):
        del columns["rank"]
    for name in ("solved", "state, floats", "bits held", "bits/float", "passes"):
        if not any(columns[name]):
            del columns[name]
    for k in board.contexts:
        name = f"k={k}" if k != "full" else "full"
        columns[name] = [score_text(row.scores.get(k)) for row in rows]
    columns["k*(1 %)"] = [row_need(row) for row in rows]
    return columns


def _ranked(rows: Sequence[Row]) -> int:
    return sum(rank is not None for rank in ranks(rows))


def _thousands(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"


def _solved(row: Row) -> str | None:
    """Return how many of the seeds solve the task."""
    count = solved(row)
    return None if count is None else f"{count} of {len(row.records)}"


def _passes(row: Row) -> str | None:
    """Return the cost of measuring the most expensive seed, in passes over the split."""
    passes = [record.measurement.get("plain_passes") for record in row.records]
    known = [value for value in passes if value is not None]
    return f"{max(known):.3g}" if known else None


def _sampling_error(row: Row) -> str:
    """Return the largest half-width over k of the 95 % interval of the mean over this split."""
    halves = [point.half_width for record in row.records for point in record.curve]
    widest = max(halves, default=0.0)
    if widest == 0:
        return "exact"
    few = any(few_windows(record, point) for record in row.records for point in record.curve)
    start = "at least ±" if few else "±"
    if row.records[0].task.score == "perplexity":
        return f"{start}{100 * math.expm1(widest):.2g} %"
    return f"{start}{widest:.2g}"
