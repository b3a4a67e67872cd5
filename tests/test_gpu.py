"""On a GPU, where there is one: models train, and curves are those of a CPU."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training.loop import seeded, train
from seqmem.baselines.training.recipes import recipe_for
from seqmem.measuring.curve import measure
from seqmem.tasks import load_task
from seqmem.tasks.task import Context
from seqmem.tests.command import QUICK, Command, record_files

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


@pytest.mark.parametrize("name", ["lstm", "lstm-stable", "tcn", "transformer", "lru"])
def test_curves_of_trained_models_are_those_of_a_cpu(name: str) -> None:
    task = load_task("hidden-markov/dwell=5")
    recipe = replace(recipe_for(task.family, "smoke"), steps=50, validate_every=50)
    with seeded(0):
        model, _ = build_model(parse_model(name), task, 16, {"hidden": 16})
    train(model, task, recipe, k_train=16, seed=0, device="cuda")
    split = task.split("test")
    contexts: tuple[Context, ...] = (1, 8, "full")
    curves = [
        measure(deepcopy(model).to(device).eval(), task, split, contexts, device=device)
        for device in ("cpu", "cuda")
    ]
    for k in contexts:
        cpu, gpu = (curve.at(k).losses for curve in curves)
        assert gpu == pytest.approx(cpu, abs=1e-3)
        assert gpu.mean() == pytest.approx(cpu.mean(), rel=1e-5)
    assert curves[1].at(1).losses != pytest.approx(curves[1].at("full").losses, abs=1e-2)


def test_a_cell_runs_on_a_gpu_and_its_record_says_so(seqmem_: Command, tmp_path: Path) -> None:
    ran = seqmem_("eval", "lstm", *QUICK, "--device", "cuda", "--train-dtype", "bfloat16")
    assert ran.status == 0, ran.err
    (path,) = record_files(tmp_path / "results" / "records")
    record = json.loads(path.read_text())
    assert record["training"]["recipe"]["dtype"] == "bfloat16"
    assert record["training"]["environment"]["device"] == "cuda"
