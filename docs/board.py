"""The page of the board: the committed records, as HTML with charts."""

from seqmem.baselines import BASELINES
from seqmem.docs.committed import board_records
from seqmem.leaderboard.page import page
from seqmem.leaderboard.published import read_published
from seqmem.leaderboard.statistics.aggregate import boards


def written() -> str:
    """Return the page, with published numbers only of tasks that were measured."""
    chosen = board_records()
    measured = {record.task.id for record in chosen}
    models = {name: model.summary for name, model in BASELINES.items()}
    return page(boards(chosen), models, [e for e in read_published() if e.task in measured])
