"""Parts of the pages that GitHub and the site show alike."""

import re
from collections.abc import Sequence

from seqmem.leaderboard.statistics.aggregate import Board
from seqmem.leaderboard.tables.writing import table as write_table

__all__ = ["bullets", "chart_name", "details", "safe", "table"]


def chart_name(board: Board) -> str:
    """Return the file of a chart of a task's curves."""
    return f"{safe(board.task_id)}.svg"


def safe(text: str) -> str:
    """Return a text as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.=_-]", "_", text)


def details(title: str, parts: Sequence[str]) -> str:
    """Return a part that is folded until a reader opens it, on GitHub as on the site."""
    inside = "\n\n".join(part for part in parts if part)
    return f"<details>\n<summary>{title}</summary>\n\n{inside}\n\n</details>"


def table(rows: Sequence[dict[str, object]]) -> str:
    """Return a Markdown table; "Nothing measured." without rows."""
    if not rows:
        return "Nothing measured."
    left = {"task", "model", "the stable model is", "recurrent weights"}
    return write_table(rows, "markdown", left).rstrip("\n")


def bullets(lines: Sequence[str]) -> str:
    """Return an unordered list."""
    return "\n".join(f"- {line}" for line in lines)
