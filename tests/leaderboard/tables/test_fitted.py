"""Tables for a terminal are never wider than it, and nothing in them is cut."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from seqmem.leaderboard.tables.fitted import fitted, left_out
from seqmem.leaderboard.tables.sparkline import sparkline
from seqmem.leaderboard.tables.writing import paragraph, table

WORDS = st.text(st.sampled_from("abc012.±(–文"), min_size=1, max_size=9)
CELLS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(30, 140), st.data())
def test_no_line_is_wider_than_the_terminal_and_every_word_is_there(
    columns: int, rows: int, width: int, data: st.DataObject
) -> None:
    content = {
        f"{i} {data.draw(WORDS)}": [data.draw(CELLS) for _ in range(rows)] for i in range(columns)
    }
    text = fitted(content, width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    shown = re.sub(r"\s", "", text)
    for heading, cells in content.items():
        for part in " ".join([heading, *cells]).split():
            assert part in shown


def test_further_columns_follow_with_the_names_of_the_rows() -> None:
    content = {"model": ["lstm", "tcn"]} | {f"task{i}/T=20": ["0.123 ±0.001"] * 2 for i in range(9)}
    text = fitted(content, 60)
    tables = text.split("\n\n")
    assert len(tables) > 1
    for part in tables:
        assert part.startswith("model")
        assert re.search(r"^lstm .*0\.123", part, re.MULTILINE)
    assert text.count("0.123 ±0.001") == 18


def test_columns_are_spared_until_the_others_fit() -> None:
    content = {"model": ["m" * 10], "rank": ["1"], "full": ["x" * 20], "note": ["n" * 10]}
    assert left_out(content, 60, ["note", "rank"]) == []
    assert left_out(content, 42, ["note", "rank"]) == ["note"]
    assert left_out(content, 35, ["note", "rank"]) == ["note", "rank"]
    assert left_out(content, 42, ["note", "rank"], wrapped=["full"]) == []


@pytest.mark.parametrize("width", [40, 80, 120])
def test_tables_and_paragraphs_have_the_width_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = table({f"heading {i}": ["some words in a cell"] for i in range(12)}, "table")
    text += paragraph("some words " * 50, "table")
    assert 0.7 * width < max(map(len, text.splitlines())) <= width
    assert max(map(len, paragraph("some words " * 50, "wide").splitlines())) > 500


def test_a_curve_in_one_line() -> None:
    assert sparkline([3.0, 2.0, 1.0], 1.0, 3.0) == "█▅▁"
    assert sparkline([9.0, None, -1.0], 1.0, 3.0) == "█ ▁"
    assert sparkline([1.0, float("nan"), float("inf")], 1.0, 1.0) == "▁▁▁"
