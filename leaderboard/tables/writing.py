"""The one table writer of all commands: headings, paragraphs and tables in every output format.

LaTeX is a fragment of a document, and needs no package.
"""

import csv
import io
import json
import math
import re
import textwrap
from collections.abc import Collection, Mapping, Sequence

from tabulate import LATEX_ESCAPE_RULES, tabulate

from seqmem.leaderboard import Format
from seqmem.leaderboard.tables.fitted import fitted, terminal_width

__all__ = ["heading", "latex_text", "paragraph", "table"]

# Beyond tabulate's rules: characters that plain pdflatex lacks, or prints as others.
_LATEX = {
    **LATEX_ESCAPE_RULES,
    "|": r"\textbar{}",
    '"': r"\texttt{\char34}",
    "-": "{-}",  # two hyphens would make a dash
    "[": "{[}",  # at the start of a row it would be an option of the line break before it
    "*": "{*}",  # likewise
    "±": r"\ensuremath{\pm}",
    "−": r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "∞": r"\ensuremath{\infty}",
    "λ": r"\ensuremath{\lambda}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
}
# How a formula begins in a spreadsheet; but signed numbers, perhaps with an interval, are none.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SIGNED = re.compile(r"[+-][0-9.,]+(e[+-]?[0-9]+)?%?( \([0-9.,+−– to]+\))?")
# Letters that pdflatex has without a package: those of Latin-1 but these.
_LETTERS = {chr(code) for code in range(0xC0, 0x100)} - set("ÐðÞþ×÷")


def heading(title: str, form: Format) -> str:
    """Return a heading."""
    if form == "latex":
        return f"\\subsection*{{{latex_text(title)}}}\n"
    return f"### {_markdown(title)}\n" if form == "markdown" else f"{title}\n"


def paragraph(text: str, form: Format) -> str:
    """Return a paragraph."""
    if form == "table":
        return textwrap.fill(text, terminal_width(), break_on_hyphens=False) + "\n"
    return f"{latex_text(text) if form == 'latex' else text}\n"


def table(
    content: Mapping[str, Sequence[object]] | Sequence[Mapping[str, object]],
    form: Format,
    left: Collection[str] | None = None,
) -> str:
    """Return a table.

    Args:
        content: columns by heading, all of one length; or rows, each a mapping from the same
            headings to cells. Cells are text, numbers or None. Numbers are rounded by the caller:
            csv and json write every digit.
        form: one of `FORMATS`. In json, None and numbers that are not finite are null.
        left: the headings of columns that are aligned to the left, others to the right; None for
            all.
    """
    if isinstance(content, Mapping):
        headings, rows = list(content), list(zip(*content.values(), strict=True))
    else:
        headings = list(content[0]) if content else []
        rows = [tuple(row[name] for name in headings) for row in content]
    if form == "json":
        objects = [dict(zip(headings, map(_finite, row), strict=True)) for row in rows]
        return json.dumps(objects, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if form == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([_not_formula(cell) for cell in row] for row in [headings, *rows])
        return text.getvalue()
    cells = [["–" if cell is None else str(cell) for cell in row] for row in rows]
    if form == "table":
        columns = {name: [row[i] for row in cells] for i, name in enumerate(headings)}
        return fitted(columns, terminal_width(), left)
    align = ["left" if left is None or name in left else "right" for name in headings]
    if form == "latex":
        headings, *cells = [[latex_text(cell) for cell in row] for row in (headings, *cells)]
    if form == "markdown":
        cells = [[_markdown(cell) for cell in row] for row in cells]
    written = tabulate(
        cells,
        headers=headings,
        tablefmt={"markdown": "pipe", "latex": "latex_raw"}.get(form, "simple"),
        disable_numparse=True,
        colalign=align if rows else None,
    )
    return f"{{\\scriptsize\\noindent\n{written}\n}}\n" if form == "latex" else f"{written}\n"


def _not_formula(cell: object) -> object:
    """Return a cell that no spreadsheet runs: text that seems a formula after an apostrophe."""
    if isinstance(cell, str) and cell[:1] in _FORMULA and not _SIGNED.fullmatch(cell):
        return f"'{cell}"
    return cell


def _markdown(text: str) -> str:
    """Return text in which Markdown sees no end of a cell, HTML or link; one line."""
    text = re.sub(r"<(?=[A-Za-z/!?])", r"\<", text.replace("\\", "\\\\").replace("|", "\\|"))
    return " ".join(text.replace("](", "]\\(").replace("][", "]\\[").splitlines())


def latex_text(text: str) -> str:
    """Return text that LaTeX prints as it is, without running any of it; one line.

    Letters that plain pdflatex does not have are named by their code points, as in "[U+4E2D]".
    """
    return "".join(map(_latex_character, text))


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if character.isspace():
        return " "
    if " " < character <= "~" or character in _LETTERS:
        return character
    return f"{{[}}U+{ord(character):04X}]"


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
