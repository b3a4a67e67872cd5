"""What `seqmem models` lists."""

from seqmem import submit
from seqmem.baselines.training.recipes import recipe_for
from seqmem.cli.listings import EXAMPLE, model_rows, write_rows
from seqmem.leaderboard.store import COMMITTED, read_records
from seqmem.tasks import load_task


def test_models_are_sized_on_the_task_that_the_help_names() -> None:
    rows = model_rows()
    assert {row["sizes on"] for row in rows} == {EXAMPLE}
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
        if record.model["name"] == "kneser-ney":  # only the training data tell
            assert row["parameters"] is None
        else:
            assert row["parameters"] == record.model["parameters"]
        assert row["receptive field"] == record.model["receptive_field"]["declared"]
    assert all(row["state floats"] is not None for row in sizes.values())


def test_what_only_training_data_tell_is_missing() -> None:
    rows = model_rows()
    assert [row["model"] for row in rows if row["parameters"] is None] == ["kneser-ney"]
    # A missing number leaves the others whole.
    lstm = next(row for row in rows if row["model"] == "lstm")
    assert f",{lstm['parameters']},," in write_rows(rows, "csv")
