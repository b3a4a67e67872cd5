"""The table writer: rows or columns, in every format."""

import json

import pytest

from seqmem.leaderboard import FORMATS, Format
from seqmem.leaderboard.tables.writing import table

COLUMNS: dict[str, list[object]] = {"name": ["a|b", "c_d"], "loss": [1 / 3, None], "k": [1, "full"]}
ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]


@pytest.mark.parametrize("form", FORMATS)
def test_rows_and_columns_give_the_same_table(form: Format) -> None:
    assert table(ROWS, form) == table(COLUMNS, form)


def test_programs_get_every_digit_and_people_a_dash() -> None:
    assert json.loads(table(COLUMNS, "json")) == ROWS
    assert table(COLUMNS, "csv") == f"name,loss,k\na|b,{1 / 3!r},1\nc_d,,full\n"
    assert table({"x": [float("inf")]}, "json") == '[\n {\n  "x": null\n }\n]\n'
    assert "| c_d    | –" in table(COLUMNS, "markdown")
    assert r"c\_d & –".replace("–", r"\textendash{}") in " ".join(table(COLUMNS, "latex").split())


def test_cells_do_not_break_a_table() -> None:
    assert table(COLUMNS, "markdown").splitlines()[2].startswith(r"| a\|b ")
    assert r"a\textbar{}b" in table(COLUMNS, "latex")


def test_numbers_are_aligned_to_the_right() -> None:
    lines = table(COLUMNS, "markdown", left=("name",)).splitlines()
    assert [cell[-1] for cell in lines[1].strip("|").split("|")] == ["-", ":", ":"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_table_without_rows(form: Format) -> None:
    text = table({"name": [], "k": []}, form)
    assert text == "[]\n" if form == "json" else "name" in text
