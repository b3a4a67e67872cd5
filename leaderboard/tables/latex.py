"""Text and tables for LaTeX: a fragment of a document, which needs no package."""

from collections.abc import Sequence

from tabulate import tabulate

__all__ = ["latex_heading", "latex_table", "latex_text"]

_WRITTEN = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\texttt{\char34}",
    "-": "{-}",  # or two of them make a dash
    "'": "{'}",
    "`": "{`}",
    "[": "{[}",  # or, at the start of a row, an option of the line break before it
    "]": "{]}",
    "*": "{*}",
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
# Letters that pdflatex has without a package: those of Latin-1 but these.
_LETTERS = {chr(code) for code in range(0xC0, 0x100)} - set("ÐðÞþ×÷")


def latex_text(text: str) -> str:
    """Write any text so that LaTeX sets it and runs none of it; one line.

    Letters that plain pdflatex does not have are named by their code points, as in "[U+4E2D]".
    """
    return "".join(map(_character, text))


def _character(character: str) -> str:
    if character in _WRITTEN:
        return _WRITTEN[character]
    if character.isspace():
        return " "
    if " " < character <= "~" or character in _LETTERS:
        return character
    return f"{{[}}U+{ord(character):04X}{{]}}"


def latex_heading(title: str) -> str:
    """Write a heading, without a number."""
    return f"\\subsection*{{{latex_text(title)}}}\n"


def latex_table(headers: Sequence[str], rows: Sequence[Sequence[str]], align: Sequence[str]) -> str:
    """Write a table in small print, as wide as it is.

    Args:
        headers: of the columns.
        rows: of cells, as plain text.
        align: "left" or "right", for each column.
    """
    body = tabulate(
        [[latex_text(cell) for cell in row] for row in rows],
        headers=[latex_text(name) for name in headers],
        tablefmt="latex_raw",
        disable_numparse=True,
        colalign=list(align),
    )
    return f"{{\\scriptsize\\noindent\n{body}\n}}"
