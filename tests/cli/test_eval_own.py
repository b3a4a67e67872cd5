"""`seqmem eval my.py:MyLayer`: the user's own class from training to the board."""

import json
import os
from pathlib import Path

import pytest

from seqmem.tests.command import QUICK, Command, record_files

LAYER = """
from torch import nn

class Layer(nn.Module):
    receptive_field = 2
    def __init__(self, d_model):
        super().__init__()
        self.mix = nn.Conv1d(d_model, d_model, 2)
    def forward(self, x):
        if x.shape[1] > {longest}:
            raise KeyError("too long")
        return self.mix(nn.functional.pad(x.transpose(1, 2), (1, 0))).transpose(1, 2)
"""
NAMED = "my.py:Layer"


@pytest.fixture
def layer(seqmem_: Command, tmp_path: Path) -> Command:
    (tmp_path / "my.py").write_text(LAYER.format(longest=999))
    return seqmem_


def test_a_class_is_trained_measured_and_shown_beside_the_baselines(
    layer: Command, tmp_path: Path
) -> None:
    task = ["--task", "adding-problem/T=20", "--budget", "smoke"]
    changes = ["--set", "learning_rate=1e-3", "--set", "steps=4"]
    ran = layer("eval", f"{NAMED}:hidden=6", *task, *changes, "--k", "1,20,full")
    assert ran.status == 0, ran.err
    (path,) = record_files(tmp_path)
    record = json.loads(path.read_text())
    assert record["model"]["own"] is True
    assert record["model"]["label"] == "Layer:hidden=6"
    assert record["model"]["kind"] == "mixer"
    assert record["model"]["receptive_field"]["declared"] == 3
    assert record["training"]["recipe"]["steps"] == 4
    assert record["training"]["budget"] == "smoke, learning_rate 0.001, steps 4"
    rows = [line.split(" ")[0] for line in ran.out.splitlines()]
    assert {"Layer:hidden=6", "lstm", "tcn", "optimum", "chance"} <= {*rows}  # and the committed
    assert "Layer:hidden=6 (own)" in ran.out
    assert "learning_rate 0.001" in ran.out
    again = layer("eval", f"{NAMED}:hidden=6", *task, *changes, "--k", "1,20,full")
    assert "already measured" in again.err
    assert again.out == ran.out
    shown = layer("leaderboard", "--task", "adding-problem/T=20")
    assert "Layer:hidden=6 (own)" in shown.out
    weights = layer("measure", str(next(tmp_path.rglob("weights.safetensors"))), *task[:2])
    assert weights.status != 0
    assert "the weights of 'Layer', which is no baseline" in weights.err
    assert "measured by `seqmem eval FILE.py:CLASS`" in weights.err


def test_jobs_and_seeds_give_the_same_records(layer: Command, tmp_path: Path) -> None:
    seeds = ["--seed", "0", "--seed", "1", "--threads", "1"]
    for folder, jobs in (("a", "1"), ("b", "2")):
        ran = layer("eval", NAMED, *QUICK, *seeds, "--jobs", jobs, "--results", folder)
        assert ran.status == 0, ran.err
    first, second = (record_files(tmp_path / folder) for folder in "ab")
    assert [path.name for path in first] == [path.name for path in second]
    # Other processes do not see the recipes of the test.
    assert len(first) == 2
    (tmp_path / "my.py").write_text(LAYER.format(longest=998))
    assert "trained" in layer("eval", NAMED, *QUICK, "--results", "a").err


def test_code_that_fails_in_training_fails_alone(layer: Command, tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(LAYER.format(longest=4))
    ran = layer("eval", NAMED, "marginal", *QUICK)
    assert ran.status == 1
    assert "its code raised KeyError: 'too long' (my.py line 11)" in ran.err
    assert len(record_files(tmp_path)) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set", "steps=0"], "--set steps=0: must be a whole number from 1 on"),
        (["--set", "learning_rate=nan"], "--set learning_rate=nan: must be a positive number"),
        (["--set", "hidden=3"], "'hidden' is not set so; it may be steps, batch"),
        (["--set", "k_train=3"], "--k-train sets it"),
        (["--set", "optimizer=lion"], "must be adam or sgd"),
        (["--set", "steps=3", "--set", "steps=4"], "'steps' is given twice"),
        (["--as", "recurrent"], "its constructor raised TypeError: .*"),
    ],
)
def test_wrong_settings_are_explained(layer: Command, arguments: list[str], says: str) -> None:
    ran = layer("eval", NAMED, *QUICK, *arguments)
    assert ran.status == 2
    assert says.removesuffix(".*") in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not os.path.exists("results/records")


@pytest.mark.parametrize(
    ("model", "says"),
    [("LSTM", "did you mean lstm"), ("lstm,tcn", "separate models by spaces: lstm tcn")],
)
def test_models_written_otherwise(seqmem_: Command, model: str, says: str) -> None:
    ran = seqmem_("eval", model, *QUICK)
    assert ran.status == 2
    assert says in ran.err


def test_a_layer_that_looks_ahead_is_refused_with_an_example(
    layer: Command, tmp_path: Path
) -> None:
    text = LAYER.format(longest=999).replace("2), (1, 0)", "2), (0, 1)")
    (tmp_path / "my.py").write_text(text.replace("    receptive_field = 2\n", ""))
    ran = layer("eval", NAMED, *QUICK)
    assert ran.status == 1
    assert "is refused: causality" in ran.err
    assert "changed" in ran.err
    assert not record_files(tmp_path)
