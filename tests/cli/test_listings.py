"""`seqmem tasks`, `seqmem models` and `seqmem data`."""

import json

from seqmem import submit
from seqmem.baselines import BASELINES
from seqmem.baselines.training.recipes import recipe_for
from seqmem.cli.listings import EXAMPLE, model_rows, write_rows
from seqmem.leaderboard.store import COMMITTED, read_records
from seqmem.tasks import DATA, SUITES, load_task
from seqmem.tests.command import Command


def test_models_are_sized_on_the_task_that_the_help_names() -> None:
    rows = model_rows()
    sizes = {row["model"]: row["sizes on"] for row in rows}
    assert sizes["lstm"] == f"{EXAMPLE} with hidden=64"
    assert sizes["marginal"] == EXAMPLE
    assert EXAMPLE in str(submit.cli.commands["models"].help)


def test_sizes_are_those_of_a_trained_model() -> None:
    sizes = {row["model"]: row for row in model_rows()}
    records, _ = read_records([COMMITTED])
    small = [r for r in records if r.task.id == EXAMPLE and r.training["budget"] == "small"]
    usual = recipe_for(load_task(EXAMPLE).family, "small").k_train
    trained = [r for r in small if r.training["k_train"] == usual]
    assert trained
    for record in trained:
        row = sizes[record.model["label"]]
        if record.model["name"] == "kneser-ney":  # depends on the training data
            assert row["parameters"] is None
        else:
            assert row["parameters"] == record.model["parameters"]
        assert row["receptive field"] == record.model["receptive_field"]["declared"]
    assert all(row["state floats"] is not None for row in sizes.values())


def test_what_depends_on_the_training_data_is_missing() -> None:
    rows = model_rows()
    assert [row["model"] for row in rows if row["parameters"] is None] == ["kneser-ney"]
    # A missing number leaves the others integers.
    lstm = next(row for row in rows if row["model"] == "lstm")
    assert f",{lstm['parameters']},," in write_rows(rows, "csv")


def test_every_listing_in_every_format(seqmem_: Command) -> None:
    tasks = json.loads(seqmem_("tasks", "--format", "json").out)
    some = json.loads(
        seqmem_("tasks", tasks[0]["task"], "copy-memory/T=77", "--format", "json").out
    )
    assert some[0] == tasks[0]
    assert [row["task"] for row in some] == [tasks[0]["task"], "copy-memory/T=77"]
    assert "did you mean wikitext-2" in seqmem_("tasks", "wikitxt-2").err
    assert {task_id for suite in SUITES.values() for task_id in suite.tasks} <= {
        row["task"] for row in tasks
    }
    (row,) = [row for row in tasks if row["task"] == "adding-problem/T=50"]
    assert (row["chance"], row["optimum"]) == (0.1667, 0.0)
    models = json.loads(seqmem_("models", "--format", "json").out)
    some = json.loads(seqmem_("models", "tcn", "lstm", "--format", "json").out)
    assert some == [row for name in ("tcn", "lstm") for row in models if row["model"] == name]
    assert "did you mean lstm" in seqmem_("models", "lsmt").err
    assert [row["model"] for row in models] == list(BASELINES)
    data = json.loads(seqmem_("data", "--format", "json").out)
    assert [row["data"] for row in data] == list(DATA)
    for command in ("tasks", "models", "data"):
        for form in ("table", "markdown", "csv"):
            ran = seqmem_(command, "--format", form)
            assert ran.status == 0
            assert ran.out.strip()
