"""Tables for a terminal: no line is longer than the terminal is wide, and nothing is cut.

A table that is too wide first loses the columns that can be spared, which a line below it names;
then long cells continue on the next line; and if the columns are still too many, further ones
follow in a second table with the same first column.
"""

import io
from collections.abc import Collection, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["Columns", "fitted", "left_out"]

Columns = dict[str, Sequence[str]]

GAP = 2  # spaces between columns
NARROWEST = 12  # a column whose text continues on the next line gets at least this much


def left_out(
    columns: Columns, width: int, spare: Sequence[str], wrapped: Collection[str] = ()
) -> list[str]:
    """Return the columns of a table to leave out, so that no other cells need be wrapped.

    Args:
        columns: cells by heading.
        width: of the terminal, in characters.
        spare: columns that may be left out, the least important first.
        wrapped: columns whose cells may be wrapped.
    """
    natural = {name: _natural(name, cells) for name, cells in columns.items()}
    natural |= {name: min(natural[name], NARROWEST) for name in wrapped if name in natural}
    gone: list[str] = []
    for name in spare:
        if _total([size for key, size in natural.items() if key not in gone]) <= width:
            break
        if name in natural:
            gone.append(name)
    return gone


def fitted(
    columns: Columns, width: int, left: Collection[str] | None = None, strong: Collection[int] = ()
) -> str:
    """Return a table no wider than a terminal; every cell is shown in full.

    Args:
        columns: cells by heading, all of one length.
        width: of the terminal, in characters.
        left: the headings of columns that are aligned to the left; None for all.
        strong: the rows that stand out.
    """
    if not columns:
        return ""
    text = io.StringIO()
    console = Console(file=text, width=width, color_system=None, highlight=False, soft_wrap=False)
    first, *others = columns
    for i, names in enumerate(_parts(first, others, columns, width)):
        console.print("\n" * (i > 0), end="")
        console.print(_table({name: columns[name] for name in names}, left, strong))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _parts(first: str, others: Sequence[str], columns: Columns, width: int) -> list[list[str]]:
    """Distribute columns over tables that fit, each with the first column."""
    least = {
        name: min(_natural(name, columns[name]), max(NARROWEST, _longest_word(columns[name])))
        for name in columns
    }
    parts = [[first]]
    for name in others:
        if len(parts[-1]) > 1 and _total([least[n] for n in (*parts[-1], name)]) > width:
            parts.append([first])
        parts[-1].append(name)
    return parts


def _table(columns: Columns, left: Collection[str] | None, strong: Collection[int]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    for name in columns:
        to_left = left is None or name in left
        table.add_column(Text(name), justify="left" if to_left else "right", overflow="fold")
    for i, row in enumerate(zip(*columns.values(), strict=True)):
        table.add_row(*map(Text, row), style="bold" if i in strong else None)
    return table


def _natural(name: str, cells: Sequence[str]) -> int:
    return max(map(cell_len, [name, *cells]))


def _longest_word(cells: Sequence[str]) -> int:
    return max((cell_len(word) for cell in cells for word in cell.split()), default=0)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)
