"""Headings, paragraphs and tables in the forms that people read."""

from collections.abc import Collection, Mapping, Sequence

from tabulate import tabulate

from seqmem.leaderboard import Format
from seqmem.leaderboard.tables.formatting import escape
from seqmem.leaderboard.tables.latex import latex_heading, latex_table, latex_text

__all__ = ["heading", "paragraph", "table"]


def heading(title: str, form: Format) -> str:
    """Write a heading."""
    if form == "latex":
        return latex_heading(title)
    return f"### {title}\n" if form == "markdown" else f"{title}\n"


def paragraph(text: str, form: Format) -> str:
    """Write a paragraph."""
    return f"{latex_text(text) if form == 'latex' else text}\n"


def table(columns: Mapping[str, Sequence[str]], form: Format, left: Collection[str] = ()) -> str:
    """Write a table.

    Args:
        columns: what heads each, and its cells; all of one length, one column at least.
        form: "table", "markdown" or "latex".
        left: the columns that are aligned to the left; numbers stand to the right.
    """
    headers = list(columns)
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    align = ["left" if name in left else "right" for name in headers]
    if form == "latex":
        return latex_table(headers, rows, align) + "\n"
    markdown = form == "markdown"
    if markdown:
        rows = [[escape(cell) for cell in row] for row in rows]
    written = tabulate(
        rows,
        headers=headers,
        tablefmt="pipe" if markdown else "simple",
        disable_numparse=True,
        colalign=align if rows else None,
    )
    return f"{written}\n"
