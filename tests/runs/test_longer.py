"""A model is trained once and measured on longer sequences, each in a record of its own."""

from pathlib import Path

from seqmem.baselines.spec import parse_model
from seqmem.baselines.training.recipes import Recipe
from seqmem.measuring.settings import MeasurementSettings
from seqmem.runs.cell import plan_cell
from seqmem.runs.run_cell import run_cell
from seqmem.tasks import load_task

USUAL = "state-tracking/group=parity,reset=0.05"
RECIPE = Recipe(
    steps=2, batch=4, k_train="full", learning_rate=1e-3, validate_every=2, options={"hidden": 4}
)


def test_weights_are_shared_and_records_are_not(tmp_path: Path) -> None:
    records = []
    for task_id in (USUAL, f"{USUAL},longer=4"):
        for model in ("lstm", "tcn"):
            task = load_task(task_id)
            measuring = MeasurementSettings(contexts=(1, "full"))
            spec = parse_model(model)
            cell = plan_cell(spec, task, tmp_path, recipe=RECIPE, measuring=measuring)
            records.append(run_cell(cell, task, lambda line: None))
    assert len(list((tmp_path / "records").iterdir())) == 2
    first, second, *longer = records
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    for usual, long in ((first, longer[0]), (second, longer[1])):
        assert usual.model["weights_sha256"] == long.model["weights_sha256"]
        declared = [each.model["receptive_field"]["declared"] for each in (usual, long)]
        assert declared[0] == declared[1]
        assert usual.training["data_hash"] == long.training["data_hash"]
        assert usual.task.data_hash != long.task.data_hash
        assert (usual.task.id, long.task.id) == (USUAL, f"{USUAL},longer=4")
