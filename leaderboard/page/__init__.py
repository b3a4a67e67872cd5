"""The board as one HTML page: charts and tables that read one block of data.

The page needs no network: the drawing library, styles and data are in the file.
"""

from collections.abc import Mapping, Sequence

from seqmem.leaderboard.charts.picture import renderer
from seqmem.leaderboard.page.data import page_data
from seqmem.leaderboard.page.document import document
from seqmem.leaderboard.published import Published
from seqmem.leaderboard.statistics.aggregate import Board

__all__ = ["page"]


def page(
    boards: Sequence[Board], models: Mapping[str, str], published: Sequence[Published] = ()
) -> str:
    """Return boards as one HTML page.

    Args:
        boards: what was measured.
        models: known models, in their order, and what each is in one line.
        published: numbers from papers, shown below each task's board and never ranked; tasks
            without a board come last.

    Raises:
        InputError: the package that draws is missing.
    """
    renderer("--format html")
    return document(page_data(boards, models, published))
