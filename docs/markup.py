"""Parts of the pages that GitHub and the site show alike."""

from collections.abc import Sequence

from seqmem.leaderboard.tables.writing import table as write_table

__all__ = ["bullets", "details", "table"]


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
