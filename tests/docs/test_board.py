"""The page of the board shows the committed records, and answers a new reader's questions.

Screenshots go to the folder that SEQMEM_SCREENSHOTS names, if any.
"""

import os
import re
from pathlib import Path

import pytest

pytest.importorskip("vl_convert", reason="the page needs the plot extra")

from seqmem.docs import board
from seqmem.docs.committed import board_records
from seqmem.leaderboard.charts.picture import javascript
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.statistics.answers import leaders, memory

SIZES = {"desktop": 1280, "phone": 390}


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("board") / "board.html"
    path.write_text(board.written(), encoding="utf-8")
    return path


def test_it_stays_small(page_file: Path) -> None:
    text = page_file.read_text(encoding="utf-8")
    # The page itself, and what a record adds to it; a whole record is six times that.
    assert len(text) - len(javascript()) < 300_000 + 3_000 * len(board_records())
    for part in ('id="data"', "function openProvenance", "default-src 'none'"):
        assert part in text


@pytest.mark.parametrize(
    ("size", "scheme"), [("desktop", "light"), ("desktop", "dark"), ("phone", "light")]
)
def test_a_new_reader_finds_the_answers(
    page_file: Path, tmp_path: Path, size: str, scheme: str
) -> None:
    """The first table alone says, for each task, what it needs and who is best at k = 8."""
    pytest.importorskip("playwright", reason="pages are opened with playwright, of the dev extra")
    from seqmem.tests.leaderboard.page.browser import launched, opened

    made = boards(board_records())
    folder = Path(os.environ.get("SEQMEM_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    with launched() as browser:
        found = opened(browser, page_file, SIZES[size], scheme)
        page = found.page
        page.screenshot(path=folder / f"board-{size}-{scheme}-top.png")
        heads = page.locator("table.glance thead th:visible").all_inner_texts()
        assert heads[:3] == ["task", "memory it needs", "best model with k = 8 inputs"]
        lines = page.locator("table.glance tbody tr").all()
        assert len(lines) == len(made)
        for line, task in zip(lines, made, strict=True):
            box = line.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= SIZES[size]  # nothing to scroll to
            assert line.locator("a").inner_text() == task.task_id
            needs, best = (line.locator("td").nth(i).inner_text() for i in (0, 1))
            needed = memory(task)
            k = needed.optimal if needed.known else needed.shown.k
            assert re.search(rf"\b{k} inputs?\b" if k else r"more than|not known", needs)
            first = leaders(task, 8)
            if first is None:  # associative recall is measured at odd k
                assert best.startswith("not measured")
            elif first.state == "better":
                assert best.startswith(first.best.label)
            else:
                assert best.startswith("none")
        # A link leads to its task, although what is above it is drawn on the way.
        page.locator("table.glance tbody a").last.click()
        page.wait_for_timeout(1000)
        heading = page.locator(f"#task-{len(made) - 1} h2").bounding_box()
        assert heading is not None
        assert 0 <= heading["y"] < 200
        found.draw_all()
        page.screenshot(path=folder / f"board-{size}-{scheme}.png", full_page=True)
        assert found.messages == []
    pictures = sorted(path.name for path in folder.glob(f"board-{size}-{scheme}*.png"))
    assert pictures == [f"board-{size}-{scheme}-top.png", f"board-{size}-{scheme}.png"]
