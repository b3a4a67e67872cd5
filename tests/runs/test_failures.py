"""Training that diverges: what is kept of it, and that it is not tried again in vain."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training import recipes
from seqmem.baselines.training.loop import seeded, train
from seqmem.baselines.training.recipes import Recipe
from seqmem.errors import DivergedError
from seqmem.leaderboard.failure import Failure, find_failure, write_failure
from seqmem.leaderboard.store import read_records
from seqmem.tasks import load_task
from seqmem.tests.command import QUICK, Command, record_files

RUINOUS = Recipe(
    steps=300,
    batch=8,
    k_train="full",
    learning_rate=1e38,
    optimizer="sgd",
    schedule="constant",
    clip=1e38,
    validate_every=3,
    validation_targets=64,
    options={"hidden": 4},
)


def diverge(recipe: Recipe, carry: bool = True) -> DivergedError:
    task = load_task("adding-problem/T=5")
    with seeded(0):
        model, _ = build_model(parse_model("rnn"), task, 3, recipe.options)
    with pytest.raises(DivergedError) as caught:
        train(model, task, recipe, k_train=3, carry=carry, seed=0)
    return caught.value


@pytest.mark.parametrize("carry", [True, False])
def test_the_error_tells_where_and_how(carry: bool) -> None:
    error = diverge(RUINOUS, carry)
    assert error.step == len(error.losses) > 1
    assert math.isfinite(error.losses[0])
    assert not error.losses[-1] < 1e5
    assert f"at step {error.step}" in str(error)


def test_an_explosion_is_told_before_it_overflows() -> None:
    error = diverge(replace(RUINOUS, learning_rate=3e5, clip=1.0))
    assert "over 1,000,000 times chance" in error.reason
    assert math.isfinite(error.losses[-1])
    assert error.losses[-1] > 1e6 / 6


def test_weights_ruined_by_the_last_step_are_seen_in_validation() -> None:
    error = diverge(replace(RUINOUS, steps=1))
    assert "in validation" in error.reason
    assert error.step == 1


def test_a_failure_comes_back_as_it_was(tmp_path: Path) -> None:
    failure = Failure(
        created="2026-01-01",
        reason="the loss is nan",
        step=3,
        losses=(0.5, math.inf, math.nan),
        cell={"task": "copy-memory/T=3", "k_train": 3},
        recipe={"steps": 3},
        suite={},
        environment={},
    )
    assert find_failure(tmp_path, "copy-memory/T=3", "lstm-0") is None
    first = write_failure(failure, tmp_path, "lstm-0")
    second = write_failure(replace(failure, created="2026-01-02", step=4), tmp_path, "lstm-0")
    assert first.parent == tmp_path / "failures" / "copy-memory_T=3"
    assert second.name == "lstm-0.2.json"
    for number, text in ((3, "{"), (4, "[" * 99_999), (5, '{"failure": 1}')):
        (first.parent / f"lstm-0.{number}.json").write_text(text)
    found = find_failure(tmp_path, "copy-memory/T=3", "lstm-0")
    assert found is not None
    assert found[1] == second
    assert found[0].step == 4
    assert str(found[0].losses) == str(failure.losses)


def ruin(monkeypatch: pytest.MonkeyPatch, task: str = "adding-problem") -> None:
    monkeypatch.setitem(recipes._RECIPES, (task, "smoke"), RUINOUS)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_diverged_cell_leaves_a_file_and_the_sweep_goes_on(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, jobs: str
) -> None:
    ruin(monkeypatch)
    monkeypatch.setattr("seqmem.runs.evaluate.cores", lambda: 2)
    sweep = ["eval", "rnn", "marginal", *QUICK, "--k-train", "3", "--state", "reset"]
    ran = seqmem_(*sweep, "--jobs", jobs)
    assert ran.status == 1
    assert "failed: rnn on adding-problem/T=5, k_train=3 (reset)" in ran.err
    assert "1 failed, the others are saved" in ran.err.splitlines()[-1]
    assert "marginal" in ran.out
    (path,) = record_files(tmp_path / "results" / "failures")
    assert str(path.relative_to(tmp_path)) in ran.err
    kept = json.loads(path.read_text())
    assert kept["cell"] == {
        "model": "rnn",
        "task": "adding-problem/T=5",
        "task_version": 1,
        "k_train": 3,
        "state": "reset",
        "seed": 0,
        "budget": "smoke",
    }
    assert kept["recipe"]["learning_rate"] == 1e38
    assert kept["step"] >= len(kept["losses"]) > 0
    assert kept["reason"]
    # What was measured is a record, what failed is none, and nobody stumbles over it.
    records, problems = read_records([tmp_path / "results"])
    assert [record.model["name"] for record in records] == ["marginal"]
    assert not problems
    assert not list(tmp_path.rglob("checkpoint.pt"))


def test_it_is_not_tried_again_unless_fresh(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usual = recipes._RECIPES["adding-problem", "smoke"]
    ruin(monkeypatch)
    assert seqmem_("eval", "rnn", *QUICK).status == 1

    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    with monkeypatch.context() as patch:
        patch.setattr("seqmem.runs.run_cell.train", never)
        ran = seqmem_("eval", "rnn", *QUICK, "--k", "1,full")  # measuring has no part in it
    assert ran.status == 1
    (line, total) = ran.err.splitlines()
    assert "failed: rnn on adding-problem/T=5, seed 0, budget smoke: not tried again" in line
    assert "--fresh tries again" in line
    assert "results/failures/adding-problem_T=5/rnn-" in line
    assert "1 failed, the others are saved" in total

    assert seqmem_("eval", "rnn", *QUICK, "--fresh").status == 1
    assert len(record_files(tmp_path / "results" / "failures")) == 2

    # Another recipe is another training.
    monkeypatch.setitem(recipes._RECIPES, ("adding-problem", "smoke"), usual)
    assert seqmem_("eval", "rnn", *QUICK).status == 0


def test_what_cannot_be_said_to_have_diverged_is_tried_again(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:

        def too_much(*_: object, **__: object) -> None:
            raise torch.OutOfMemoryError("out of memory")

        patch.setattr("seqmem.runs.run_cell.train", too_much)
        assert seqmem_("eval", "rnn", *QUICK).status == 1
    assert not (tmp_path / "results" / "failures").exists()
    assert seqmem_("eval", "rnn", *QUICK).status == 0
