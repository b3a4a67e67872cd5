"""Published numbers as tables: below the measured scores of their task, and never ranked."""

import textwrap
from collections.abc import Sequence

from seqmem.leaderboard import Format
from seqmem.leaderboard.published import UNITS, Published
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.tables.fitted import terminal_width
from seqmem.leaderboard.tables.writing import heading, paragraph, table

__all__ = ["published_tables", "published_text", "unmeasured_text"]

Columns = dict[str, Sequence[object]]


def unmeasured_text(published: Sequence[Published], form: Format) -> list[str]:
    """Return the tables of tasks that have published numbers alone."""
    parts = []
    for task_id in dict.fromkeys(entry.task for entry in published):
        parts.append(heading(f"{task_id}: nothing measured", form))
        parts += published_text(task_id, published, form)
    return parts


def published_tables(task_id: str, published: Sequence[Published]) -> list[tuple[str, Columns]]:
    """Return a task's published numbers, as printed: for each unit a caption and the columns."""
    here = [entry for entry in published if entry.task == task_id]
    found = []
    for kind in dict.fromkeys(entry.unit for entry in here):
        entries = [entry for entry in here if entry.unit == kind]
        columns: Columns = {
            "published": [entry.model for entry in entries],
            kind: [entry.printed for entry in entries],
            "context": [_context(entry) for entry in entries],
            "parameters": [entry.parameters for entry in entries],
            "source": [str(entry.source) for entry in entries],
            "note": [entry.note for entry in entries],
        }
        known = {name: cells for name, cells in columns.items() if any(cells)}
        differs = UNITS[kind].differs
        caveat = f" Not the measured score: {differs}." if differs else ""
        found.append((f"Published, as printed; not ranked.{caveat}", known))
    return found


def published_text(task_id: str, published: Sequence[Published], form: Format) -> list[str]:
    """Return a task's published numbers, as parts of a text in one of `FORMATS`."""
    parts = []
    for caption, columns in published_tables(task_id, published):
        left = ("published", "source", "note")
        if form == "table":
            columns, caption, sources = _compact(columns, caption)
            parts += [paragraph(caption, form), table(columns, form, left), sources]
        else:
            parts += [paragraph(caption, form), table(columns, form, left)]
    return parts


def _compact(columns: Columns, caption: str) -> tuple[Columns, str, str]:
    """Return columns for a terminal: sources as numbers, and what is the same once.

    Returns:
        the columns, the caption, and the sources by their numbers.
    """
    cells: dict[str, list[str]] = {
        name: ["" if cell is None else str(cell) for cell in columns[name]] for name in columns
    }
    sources = list(dict.fromkeys(cells["source"]))
    cells["source"] = [f"[{sources.index(source) + 1}]" for source in cells["source"]]
    notes = cells.pop("note", [""] * len(cells["source"]))
    cells["published"] = [
        f"{model} ({note})" if note.strip("–") else model
        for model, note in zip(cells["published"], notes, strict=True)
    ]
    if len(set(cells.get("context", ()))) == 1:
        caption += f" Context: {cells.pop('context')[0]}."
    listed = [
        textwrap.fill(f"[{i}] {source}", terminal_width(), subsequent_indent="    ")
        for i, source in enumerate(sources, 1)
    ]
    return {**cells}, caption, "\n".join(listed) + "\n"


def _context(entry: Published) -> Context | str | None:
    return entry.context if entry.at_most is None else f"≤ {entry.at_most}"
