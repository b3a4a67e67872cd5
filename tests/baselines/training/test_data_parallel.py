"""One model trained by several processes: the result is that of one process, up to rounding."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqmem.runs.evaluate as executor_module
import seqmem.runs.plan as evaluate_module
from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training.batches import Step, batches
from seqmem.baselines.training.checkpoint import Checkpoint
from seqmem.baselines.training.data_parallel import train_data_parallel
from seqmem.baselines.training.loop import Trained, seeded, train
from seqmem.baselines.training.process_group import ProcessGroup
from seqmem.baselines.training.recipes import Recipe
from seqmem.errors import CellError, DivergedError
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel
from seqmem.tests.command import QUICK, Command, record_files
from seqmem.tests.processes import ReadByTheFirst, children, until

ADAM = Recipe(
    steps=12,
    batch=7,
    k_train="full",
    learning_rate=1e-2,
    validate_every=4,
    validation_targets=64,
    options={"hidden": 8},
)
SGD = replace(ADAM, optimizer="sgd", learning_rate=2.0, schedule="plateau", clip=0.1)
DROPOUT = replace(ADAM, options={"hidden": 8, "dropout": 0.3})


def fit(
    devices: int, name: str, task_id: str, recipe: Recipe, k: int | str, **options: object
) -> tuple[SequenceModel, Trained]:
    task = load_task(task_id)
    make = partial(build_model, parse_model(name), task, k, recipe.options)  # type: ignore[arg-type]
    with seeded(0):
        model, _ = make()
    run: Callable[..., Trained] = train
    if devices > 1:
        run, options = partial(train_data_parallel, devices, make), {"device": "cpu", **options}
        options.setdefault("progress", lambda step, validation: None)
    return model, run(model, task, recipe, k_train=k, seed=0, **options)


def furthest(one: SequenceModel, other: SequenceModel) -> float:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


def test_each_process_draws_other_dropout() -> None:
    def mask(group: ProcessGroup) -> list[float]:
        with seeded(group.seed(7)):
            return torch.rand(8).tolist()

    masks = {tuple(mask(ProcessGroup(rank, 5))) for rank in range(5)}
    assert len(masks) == 5
    with seeded(7):
        assert mask(ProcessGroup()) == mask(ProcessGroup(0, 5)) == torch.rand(8).tolist()


@given(
    size=st.integers(1, 9),
    rows=st.integers(1, 7),
    segment=st.one_of(st.none(), st.integers(1, 9)),
    seed=st.integers(0, 50),
)
def test_every_row_belongs_to_one_process(
    size: int, rows: int, segment: int | None, seed: int
) -> None:
    split = load_task("adding-problem/T=5").split("valid").prefix(20)
    order = torch.Generator().manual_seed(seed)
    for batch in batches(split, rows, segment, 0, order):
        step = Step(len(batch.targets), (batch,))
        groups = [ProcessGroup(rank, size) for rank in range(size)]
        shares = [share for group in groups for share in group.share(step).passes]
        assert torch.equal(torch.cat([share.inputs for share in shares]), batch.inputs)
        lengths = [len(share.inputs) for share in shares]
        assert max(lengths) - min(lengths) <= 1
        targets = torch.cat([share.targets for share in shares])
        read = [share.inputs[share.rows, share.columns] for share in shares]
        assert torch.equal(targets.sort(0).values, batch.targets.sort(0).values)
        whole = batch.inputs[batch.rows, batch.columns]
        pairs = {(*x.tolist(), float(y)) for x, y in zip(whole, batch.targets, strict=True)}
        assert {
            (*x.tolist(), float(y)) for x, y in zip(torch.cat(read), targets, strict=True)
        } == pairs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task", "recipe", "k", "carry"),
    [
        ("lstm", "adding-problem/T=10", ADAM, 5, True),  # a state that is carried, few targets
        ("rnn", "hidden-markov/dwell=20", SGD, 4, False),  # windows, in several passes
        ("tcn", "hidden-markov/dwell=20", replace(ADAM, batch=2), 8, True),
        ("lstm", "text:own.txt", SGD, 5, True),  # lanes of a stream, an embedding
        (
            "lstm",
            "text:own.txt",
            replace(SGD, batch=5000),
            5,
            True,
        ),  # one lane for two processes
    ],
)
def test_two_processes_equal_one_up_to_rounding(
    name: str,
    task: str,
    recipe: Recipe,
    k: int,
    carry: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.txt").write_text("the cat sat on the mat and the dog ran\n" * 100)
    curves: dict[int, dict[int, float]] = {1: {}, 2: {}}
    fitted = {}
    for devices, curve in curves.items():
        record = curve.__setitem__
        fitted[devices] = fit(devices, name, task, recipe, k, carry=carry, progress=record)
    assert curves[2].keys() == curves[1].keys() == set(range(1, 13))
    assert [*curves[2].values()] == pytest.approx([*curves[1].values()], rel=1e-6)
    (one, alone), (other, together) = fitted[1], fitted[2]
    assert replace(together, seconds=0, best_validation=0) == replace(
        alone, seconds=0, best_validation=0
    )
    untrained = fit(1, name, task, replace(recipe, learning_rate=0.0), k)[0]
    assert furthest(one, other) < 1e-6 < 1e-3 < furthest(one, untrained)


@pytest.mark.slow
def test_resumed_is_uninterrupted(tmp_path: Path) -> None:
    """With dropout, whose masks differ between processes."""
    arguments = ("lstm", "adding-problem/T=10", replace(DROPOUT, steps=40), 5)
    whole, fitted = fit(2, *arguments)
    path = tmp_path / "checkpoint.pt"
    checkpoint = Checkpoint(path, every_seconds=0)

    def interrupt(step: int, _: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    before = children()
    with pytest.raises(KeyboardInterrupt):
        fit(2, *arguments, checkpoint=checkpoint, progress=interrupt)
    assert children() == before
    steps: list[int] = []
    resumed, again = fit(
        2, *arguments, checkpoint=checkpoint, progress=lambda step, _: steps.append(step)
    )
    assert 1 < steps[0] <= 40
    assert furthest(whole, resumed) == 0
    assert replace(again, seconds=0) == replace(fitted, seconds=0)
    with pytest.raises(CellError, match="found different checkpoints"):
        fit(2, *arguments, checkpoint=ReadByTheFirst(path, every_seconds=0))


def test_the_error_of_a_process_is_raised() -> None:
    wild = replace(SGD, learning_rate=1e30, clip=1e30, options={"hidden": 8})
    with pytest.raises(DivergedError) as alone:
        fit(1, "rnn", "hidden-markov/dwell=20", wild, 8)
    with pytest.raises(DivergedError) as together:
        fit(2, "rnn", "hidden-markov/dwell=20", wild, 8)
    assert str(together.value) == str(alone.value)
    assert together.value.step == alone.value.step


def test_a_killed_process_ends_the_cell_alone(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", every_seconds=0)

    def kill(step: int, _: float) -> None:
        if step == 3:
            os.kill(int(children().split()[-1]), signal.SIGKILL)

    recipe = replace(ADAM, steps=10**6)
    before = children()
    with pytest.raises(CellError, match=r"was killed.*resumes from the last checkpoint"):
        fit(2, "lstm", "adding-problem/T=10", recipe, 5, checkpoint=checkpoint, progress=kill)
    assert children() == before
    assert checkpoint.load("cpu") is not None


@pytest.mark.parametrize("when", ["starting", "training"])
def test_the_processes_end_with_their_parent(tmp_path: Path, when: str) -> None:
    command = [sys.executable, "-m", "seqmem.submit", "eval", "lstm", "--task"]
    command += ["adding-problem/T=200", "--budget", "full", "--devices", "2", "--results"]
    environment = os.environ | {"OMP_NUM_THREADS": "2", "TMPDIR": str(tmp_path / "with a space")}
    (tmp_path / "with a space").mkdir()
    run = subprocess.Popen(
        [*command, str(tmp_path)], env=environment, stderr=subprocess.DEVNULL, cwd=tmp_path
    )
    family = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    # The two processes, Python's resource tracker, and what removes the temporary folder.
    until(lambda: len(family.read_text().split()) == 4)
    if when == "training":  # they are connected, and process 0 has removed the arguments
        until(lambda: [*tmp_path.glob("*/seqmem-*/store")])
        until(lambda: not [*tmp_path.glob("*/seqmem-*/arguments.pickle")])
    members = family.read_text().split()
    run.kill()
    run.wait()
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in members), 20)
    assert not [*tmp_path.glob("*/seqmem-*")]


def test_a_process_without_parent_does_not_wait_for_the_others(tmp_path: Path) -> None:
    code = "import pathlib, sys; from seqmem.tests.processes import orphan; "
    code += "orphan(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path)]
    ran = subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert ran.stdout == b"begins\n"  # it holds this pipe, and has ended
    assert not [*tmp_path.iterdir()]


def test_a_record_stores_the_number_of_devices(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_module, "cores", lambda: 2)
    one = seqmem_("eval", "lstm", *QUICK, "--k", "1")
    two = seqmem_("eval", "lstm", *QUICK, "--k", "1", "--devices", "2")
    assert (one.status, two.status) == (0, 0), two.err
    records = [json.loads(path.read_text()) for path in record_files(Path("results/records"))]
    assert sorted(each["training"]["environment"]["devices"] for each in records) == [1, 2]
    best = [each["training"]["result"]["best_validation"] for each in records]
    assert best[0] != best[1]
    assert best[0] == pytest.approx(best[1], rel=1e-5)
    again = seqmem_("eval", "lstm", *QUICK, "--k", "1", "--devices", "2")
    assert "already measured" in again.err


@pytest.mark.slow
def test_devices_work_in_worker_processes(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """joblib and Ray, which run cells in workers, start processes in their own ways."""
    for module in (evaluate_module, executor_module):
        monkeypatch.setattr(module, "cores", lambda: 4)
    sweep = ["eval", "lstm", "marginal", *QUICK, "--k", "1", "--devices", "2", "--threads", "2"]
    here = seqmem_(*sweep, "--results", "here")
    there = seqmem_(*sweep, "--results", "there", "--jobs", "2")
    assert (here.status, there.status) == (0, 0), there.err
    assert there.out == here.out
    for folder in ("here", "there"):
        records = [json.loads(path.read_text()) for path in record_files(tmp_path / folder)]
        devices = {
            each["model"]["name"]: each["training"]["environment"]["devices"] for each in records
        }
        assert devices == {"lstm": 2, "marginal": 1}


def test_more_devices_than_exist_are_an_error(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = seqmem_("eval", "lstm", *QUICK, "--devices", "999")
    assert ran.status == 2
    assert "--devices 999:" in ran.err
    assert "cores are here" in ran.err
    monkeypatch.setattr(evaluate_module, "cores", lambda: 999)
    ran = seqmem_("eval", "lstm", *QUICK, "--devices", "999")
    assert ran.status == 2
    assert "they share a batch of 64 on adding-problem/T=5" in ran.err
    ran = seqmem_("eval", "lstm", *QUICK, "--ray", "auto", "--gpus", "0.5", "--devices", "2")
    assert ran.status == 2
    assert "--gpus 0.5 is a share of one GPU" in ran.err
