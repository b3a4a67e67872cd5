"""What a request comes to."""

from pathlib import Path

import pytest

from seqmem.measuring.settings import DType
from seqmem.runs.plan import Request, plan


@pytest.mark.parametrize(
    ("model", "asked", "dtype", "budget"),
    [
        ("lstm", None, "bfloat16", "medium"),
        ("lstm", "bfloat16", "bfloat16", "medium"),
        ("lstm", "float32", "float32", "medium, float32"),
        ("lru", None, "float32", "medium"),  # it computes in nothing else
        ("lru", "float32", "float32", "medium"),
    ],
)
def test_a_recipe_says_the_floats_of_training(
    tmp_path: Path, model: str, asked: DType | None, dtype: str, budget: str
) -> None:
    text = tmp_path / "own.txt"
    text.write_text("the cat sat on the mat and the dog sat on the cat\n" * 200)
    request = Request(
        (model,), tasks=(f"text:{text}",), budget="medium", train_dtype=asked, results=tmp_path
    )
    [cell] = plan(request, print).cells
    assert (cell.recipe.dtype, cell.budget) == (dtype, budget)
    assert cell.identity["recipe"]["dtype"] == dtype
