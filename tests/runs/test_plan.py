"""What a request comes to."""

from pathlib import Path

import pytest

from seqmem.measuring.settings import DType
from seqmem.runs.plan import Request, plan


@pytest.mark.parametrize(
    ("asked", "dtype", "budget"),
    [
        (None, "bfloat16", "medium"),
        ("bfloat16", "bfloat16", "medium"),
        ("float32", "float32", "medium, float32"),
    ],
)
def test_a_recipe_says_the_floats_of_training(
    tmp_path: Path, asked: DType | None, dtype: str, budget: str
) -> None:
    text = tmp_path / "own.txt"
    text.write_text("the cat sat on the mat and the dog sat on the cat\n" * 200)
    request = Request(
        ("lstm",), tasks=(f"text:{text}",), budget="medium", train_dtype=asked, results=tmp_path
    )
    [cell] = plan(request, print).cells
    assert (cell.recipe.dtype, cell.budget) == (dtype, budget)
    assert cell.identity["recipe"]["dtype"] == dtype


@pytest.mark.parametrize("asked", [None, "float32"])
def test_what_computes_in_float32_only_is_trained_in_it(
    tmp_path: Path, asked: DType | None
) -> None:
    text = tmp_path / "own.txt"
    text.write_text("the cat sat on the mat and the dog sat on the cat\n" * 200)
    request = Request(
        ("lru",), tasks=(f"text:{text}",), budget="medium", train_dtype=asked, results=tmp_path
    )
    [cell] = plan(request, print).cells
    assert (cell.recipe.dtype, cell.budget) == ("float32", "medium")
