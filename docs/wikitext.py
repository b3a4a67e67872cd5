"""The blog post's questions on WikiText-2: is stable as good, and how many words are used?"""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqmem.docs.blog_table import blog_sentence, blog_table, most_pairs, recipe_key
from seqmem.docs.committed import newest
from seqmem.docs.markup import details
from seqmem.docs.published_curve import curves, excess_chart, excess_sentence, excess_table
from seqmem.docs.short_windows import windows_sentence
from seqmem.leaderboard.published import read_published
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.statistics.aggregate import Board

if TYPE_CHECKING:
    from seqmem.leaderboard.charts.theme import Spec

__all__ = ["TEXT", "text_boards", "text_charts", "text_parts"]

TEXT = "wikitext-2"
CHART = "excess.svg"


def text_boards(records: Sequence[Record]) -> list[Board]:
    """Return the boards of WikiText-2, one for each recipe, with all its learning rates."""
    groups: dict[tuple[object, ...], list[Record]] = defaultdict(list)
    for record in records:
        key = recipe_key(record)
        if record.task.id == TEXT and key is not None:
            groups[key].append(record)
    return [board for group in groups.values() for board in newest(group)]


def text_parts(found: Sequence[Board], folder: str) -> list[str]:
    """Return the blog post's table, and what words are worth to LSTMs, in training and afterwards.

    Args:
        found: boards of WikiText-2, one for each recipe.
        folder: of the charts, as the page names it.
    """
    pairs, known = most_pairs(found), curves(found)
    parts = []
    if pairs is not None:
        parts += [
            "## The blog post's table",
            blog_sentence(pairs),
            blog_table(pairs, read_published()),
        ]
    if len(known) > 1:
        parts += [
            "## What words are worth",
            excess_sentence(known),
            f"![What all words are worth over the k latest]({folder}/{CHART})",
            details("Numbers, in nats", [excess_table(known)]),
        ]
    if (both_ways := windows_sentence(found)) is not None:
        parts.append(both_ways)
    return parts


def text_charts(found: Sequence[Board]) -> dict[str, "Spec"]:
    """Return the chart by the name of its file; none without an LSTM."""
    known = curves(found)
    return {CHART: excess_chart(known)} if len(known) > 1 else {}
