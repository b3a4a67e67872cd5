"""Write docs/board.html, the page of the board, from the committed records of one budget.

python docs/board.py            write it
python docs/board.py --check    check that it is up to date
"""

import re
import sys
from pathlib import Path

from seqmem.baselines import BASELINES
from seqmem.docs.committed import committed_records
from seqmem.leaderboard.page import page
from seqmem.leaderboard.published import read_published
from seqmem.leaderboard.statistics.aggregate import boards

PAGE = Path(__file__).parent / "board.html"
BUDGET = "small"  # smaller budgets only test the program; their scores would mislead readers


def written() -> str:
    """Return the page, with published numbers only of tasks that were measured."""
    chosen = committed_records(BUDGET)
    measured = {record.task.id for record in chosen}
    models = {name: model.summary for name, model in BASELINES.items()}
    return page(boards(chosen), models, [e for e in read_published() if e.task in measured])


def own(text: str) -> str:
    """Return a page without the drawing library and its hash, which depend on the installation."""
    text = re.sub(r"<script>.*?</script>", "", text, count=1, flags=re.DOTALL)
    return re.sub(r"script-src [^;]*;", "", text, count=1)


if __name__ == "__main__":
    if "--check" in sys.argv:
        old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        sys.exit(0 if own(old) == own(written()) else "docs/board.html is stale: run `make board`")
    PAGE.write_text(written(), encoding="utf-8")
