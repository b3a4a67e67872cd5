"""Tables for a terminal: no line is longer than the terminal is wide, and nothing is cut.

A table that is too wide first loses the columns that can be spared; then long cells are wrapped;
and if the columns are still too many, the last ones follow in a further table with the same first
column.
"""

import io
import re
import shutil
from collections.abc import Collection, Mapping, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["Columns", "fitted", "left_out", "terminal_width"]

Columns = Mapping[str, Sequence[str]]

GAP = 2  # spaces between columns
NO_TERMINAL = 120  # characters of a line where the output is no terminal, as in a log or a notebook
NARROWEST = 12  # a column whose cells are wrapped has at least this width


def terminal_width() -> int:
    """Return the width of the terminal in characters; COLUMNS sets it, as for other programs."""
    return shutil.get_terminal_size((NO_TERMINAL, 24)).columns


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


def fitted(columns: Columns, width: int, left: Collection[str] | None = None) -> str:
    """Return a table no wider than a terminal, with every cell in full.

    Args:
        columns: cells by heading, all of one length.
        width: of the terminal, in characters.
        left: the headings of columns that are aligned to the left; None for all.
    """
    if not columns:
        return ""
    text = io.StringIO()
    console = Console(file=text, width=width, color_system=None, highlight=False)
    for i, part in enumerate(_parts(columns, width)):
        console.print("\n" * (i > 0), end="")
        console.print(_table({name: columns[name] for name in part}, part, left))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _parts(columns: Columns, width: int) -> list[dict[str, int]]:
    """Distribute columns over tables that fit, each with the first one; return their widths."""
    first, *others = columns
    natural = {name: _natural(name, cells) for name, cells in columns.items()}
    least = {
        name: min(natural[name], max(NARROWEST, _longest_part([name, *cells])), width)
        for name, cells in columns.items()
    }
    # The first column names the rows: its cells are wrapped only if they fill half the line.
    if natural[first] <= width // 2:
        least[first] = natural[first]
    parts = [{first: least[first]}]
    for name in others:
        part = {**parts[-1], name: least[name]}
        if len(part) > 2 and _total(part.values()) > width:
            parts.append({first: least[first], name: least[name]})
        else:
            parts[-1] = part
    return [_widened(part, natural, width) for part in parts]


def _widened(least: dict[str, int], natural: Mapping[str, int], width: int) -> dict[str, int]:
    """Return widths that share the rest of a line, the widest columns last."""
    widths = dict(least)
    free = width - _total(widths.values())
    for name in sorted(widths, key=lambda name: natural[name] - widths[name]):
        more = min(natural[name] - widths[name], max(free, 0))
        widths[name] += more
        free -= more
    over = _total(widths.values()) - width  # one long column beside the first
    if over > 0:
        last = list(widths)[-1]
        widths[last] = max(widths[last] - over, 1)
    return widths


def _table(columns: Columns, widths: Mapping[str, int], left: Collection[str] | None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    for name in columns:
        heading = name if cell_len(name) <= widths[name] else name.replace("/", "/\n")
        table.add_column(
            Text(heading),
            justify="left" if left is None or name in left else "right",
            overflow="fold",
            width=widths[name],
        )
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, row))
    return table


def _natural(name: str, cells: Sequence[str]) -> int:
    return max(map(cell_len, [name, *cells]))


def _longest_part(cells: Sequence[str]) -> int:
    """Return the length of the longest part that is not wrapped: without spaces and slashes."""
    parts = (part for cell in cells for part in re.split(r"\s|(?<=/)", cell))
    return max(map(cell_len, parts), default=0)


def _total(widths: Collection[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)
