"""Records where other programs read them: Parquet, and model cards of the Hugging Face hub."""

import io
import math
from typing import Any

import pandas as pd
import pytest

from seqmem.errors import InputError
from seqmem.leaderboard.published import read_published
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.selection import select
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.tables.board_table import at_contexts, board_text
from seqmem.leaderboard.tables.flat import COLUMNS, flat
from seqmem.leaderboard.tables.model_card import model_card
from seqmem.leaderboard.tables.parquet import TYPES, parquet
from seqmem.tests.records import make_record

huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.fixture(scope="module")
def committed() -> tuple[Record, ...]:
    tasks = ("wikitext-2", "adding-problem/T=50")
    return select((), tasks, print, budget="small").records


def test_parquet_is_the_table_of_csv(committed: tuple[Record, ...]) -> None:
    found, published = boards(committed), read_published()
    text = board_text(found, "csv", published)
    read = pd.read_parquet(io.BytesIO(parquet(flat(found, published))))
    assert list(read.columns) == list(COLUMNS)
    kinds = {"string": "str", "int64": "Int64", "float64": "float64"}
    types: Any = {name: kinds[kind] for name, kind in TYPES.items()}
    written = pd.read_csv(io.StringIO(text), dtype=types, keep_default_na=False, na_values=[""])
    assert len(read) > 400
    pd.testing.assert_frame_equal(read.astype(types), written, check_exact=True)


def test_types_do_not_depend_on_what_is_known() -> None:
    from pyarrow.parquet import read_schema

    records = [make_record({1: 0.5}, half=None), make_record({1: 0.5, "full": 0.4})]
    schemas = [read_schema(io.BytesIO(parquet(flat(boards([each]))))) for each in records]
    assert schemas[0] == schemas[1]
    assert {field.name: str(field.type) for field in schemas[0]} == {
        name: kind.replace("float64", "double") for name, kind in TYPES.items()
    }


def test_a_model_card_is_read_by_the_hub(committed: tuple[Record, ...]) -> None:
    records = [record for record in committed if record.model["label"] == "lstm"]
    found = boards(records)
    text = model_card(found)
    card = huggingface_hub.ModelCard(f"---\n{text}---\n# lstm\n", ignore_metadata_errors=False)
    assert card.data.model_name == "lstm"
    rows = {board.task_id: board.rows[0] for board in found}
    results = card.data.eval_results
    assert len(results) == sum(len(row.scores) for row in rows.values())
    for result in results:
        score = rows[result.dataset_name].scores[result.metric_args["k"]]
        assert result.metric_value == score.value
        assert result.metric_args["half_width_95"] == score.half
        assert result.verified is None  # the hub alone sets it
    by_task = {result.dataset_name: result for result in results}
    wikitext, adding = by_task["wikitext-2"], by_task["adding-problem/T=50"]
    assert (wikitext.task_type, wikitext.metric_type) == ("text-generation", "perplexity")
    assert (wikitext.dataset_type, wikitext.dataset_config) == (
        "Salesforce/wikitext",
        "wikitext-2-v1",
    )
    assert (adding.task_type, adding.metric_type) == ("other", "mse")
    assert adding.metric_name == "mean squared error, full context"
    (index,) = card.data.to_dict()["model-index"]
    assert [len(result["metrics"]) for result in index["results"]] == [
        len(row.scores) for row in rows.values()
    ]


def test_a_card_shows_chosen_contexts_of_the_median_seed() -> None:
    losses = (0.1, 0.3, 0.2)
    records = [make_record({1: 0.5, "full": x}, seed=i, half=None) for i, x in enumerate(losses)]
    text = model_card(at_contexts(boards(records), ["full"]))
    (result,) = huggingface_hub.ModelCard(f"---\n{text}---\n").data.eval_results
    assert math.isclose(result.metric_value, 0.2)
    assert result.metric_args == {"k": "full", "seeds": 3}


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([], "there is none: name one with --model"),
        (
            [make_record({1: 0.5}, label="a"), make_record({1: 0.4}, label="b")],
            "there are a, b: name one",
        ),
        (
            [make_record({1: 0.5}, budget="smoke"), make_record({1: 0.4})],
            "with the budgets small, smoke: choose one with --budget",
        ),
    ],
)
def test_a_card_is_of_one_model(records: list[Record], says: str) -> None:
    with pytest.raises(InputError, match=says):
        model_card(boards(records))
