"""Cells on a Ray cluster of several nodes, all of them on this machine."""

import ast
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from seqmem.baselines.spec import parse_model
from seqmem.baselines.training.recipes import recipe_for
from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.measuring.settings import MeasurementSettings
from seqmem.runs import ray_cluster
from seqmem.runs.cell import plan_cell
from seqmem.runs.evaluate import executor_of, run_cells
from seqmem.runs.local import ThisProcess
from seqmem.runs.plan import Plan, Workers
from seqmem.runs.ray_cluster import RayCluster, connected, resources
from seqmem.runs.transfer import scratch
from seqmem.tasks import load_task
from seqmem.tests import ray_nodes
from seqmem.tests.command import QUICK, Command, record_files, without_times
from seqmem.tests.processes import run_among_impostors, until
from seqmem.tests.ray_nodes import IGNORED, cluster, in_the_background

pytestmark = IGNORED


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    with cluster(2) as made:
        yield made


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def plan_of(task_id: str, *models: str, seeds: int, steps: int = 6, hidden: int = 4) -> Plan:
    task = load_task(task_id)
    usual = recipe_for(task.family, "smoke")
    recipe = replace(usual, steps=steps, validate_every=steps // 2, options={"hidden": hidden})
    measuring = MeasurementSettings(contexts=(1,))
    cells = [
        plan_cell(
            parse_model(model),
            task,
            Path("results"),
            k_train=4,
            seed=seed,
            recipe=recipe,
            measuring=measuring,
        )
        for model in models
        for seed in range(seeds)
    ]
    return Plan(tuple(cells), {task_id: task})


def stored_in(folder: Path, planned: Plan, remote: RemoteResults | None = None) -> Plan:
    cells = (replace(cell, results=folder, remote=remote) for cell in planned.cells)
    return Plan(tuple(cells), planned.tasks)


def records_in(folder: Path) -> dict[str, dict[str, object]]:
    """Records by file name, each once."""
    files = record_files(folder / "records")
    assert len({path.name for path in files}) == len(files)
    return {path.name: without_times(path) for path in files}


@pytest.mark.slow
def test_records_are_the_same_as_from_one_process(
    nodes: Any, seqmem_: Command, tmp_path: Path
) -> None:
    (tmp_path / "own.txt").write_text("the cat sat on the mat and the dog sat on the cat\n" * 200)
    sweep = ["eval", "lstm", "tcn", *QUICK, "--task", "text:own.txt", "--k", "1,2,full"]
    sweep += ["--k-train", "2,4"]
    alone = seqmem_(*sweep, "--results", "alone")
    shared = seqmem_(*sweep, "--results", "shared", "--ray", nodes.address)
    assert (alone.status, shared.status) == (0, 0), shared.err
    assert shared.out == alone.out
    records = records_in(tmp_path / "shared")
    assert len(records) == 8
    assert records == records_in(tmp_path / "alone")
    assert "1 of 8 cells done" in shared.err
    again = seqmem_(*sweep, "--results", "shared", "--ray", nodes.address)
    assert again.out == alone.out
    assert again.err.count("already measured") == 8
    assert not [*(tmp_path / "shared").glob(".sweep*")]


def test_machines_that_share_no_folder(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data go there and results come back: the text is gone, and nobody sees the folder."""
    text = tmp_path / "own.txt"
    text.write_text("the cat sat on the mat and the dog sat on the cat\n" * 200)
    planned = plan_of(f"text:{text}", "lstm", seeds=2)
    run_cells(stored_in(tmp_path / "alone", planned), ThisProcess(), print)
    text.unlink()
    said: list[str] = []
    far = tmp_path / "far"
    far.mkdir()
    with connected(Workers(ray=nodes.address), said.append) as executor:
        # As a mark that they do not find tells them.
        monkeypatch.setattr(ray_cluster, "marked", lambda results: nullcontext(tmp_path / "none"))
        run_cells(stored_in(far, planned), executor, said.append)
        assert records_in(far) == records_in(tmp_path / "alone")
        weights = sorted(far.rglob("*.safetensors"))
        assert len(weights) == 2
        # Weights that are here go there: what was trained is not trained again.
        for path in record_files(far):
            path.unlink()
        said.clear()
        run_cells(stored_in(far, planned), executor, said.append)
    assert not [line for line in said if "trained for" in line]
    assert records_in(far) == records_in(tmp_path / "alone")


@pytest.mark.slow
def test_a_worker_that_dies_costs_a_try(nodes: Any, tmp_path: Path) -> None:
    """Killed once it is tried again; killed each time it fails, and the others are kept."""
    planned = plan_of("adding-problem/T=5", "lstm", seeds=3, steps=200)
    run_cells(stored_in(tmp_path / "alone", planned), ThisProcess(), print)
    for times, name in ((1, "once"), (2, "twice")):
        said: list[str] = []
        with connected(Workers(ray=nodes.address, retries=1), said.append) as executor:
            wait = in_the_background(partial(kill_workers, executor, "seed 1", times))
            outcomes = run_cells(stored_in(tmp_path / name, planned), executor, said.append)
            wait()
        assert [outcome.number for outcome in outcomes] == [1, 2, 3]
        assert any("[2/3] its worker died: try 2 of 2" in line for line in said)
        if times == 1:
            assert records_in(tmp_path / name) == records_in(tmp_path / "alone")
            continue
        assert [bool(outcome.failures) for outcome in outcomes] == [False, True, False]
        assert "its worker died, in each of 2 tries" in outcomes[1].failures[0]
        assert outcomes[1].lines  # what Ray says of it
        assert len(records_in(tmp_path / name)) == 2


def kill_workers(executor: RayCluster, cell: str, times: int) -> None:
    killed: set[int] = set()

    def done() -> bool:
        for worker, name in executor.running().items():
            pid = int(worker.rpartition("process ")[2])
            if cell in name and pid not in killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        return len(killed) == times

    until(done)


@pytest.mark.slow
@pytest.mark.parametrize("seen", [True, False])
def test_what_is_tried_again_goes_on_from_its_checkpoint(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    """In a folder that all see, or at a URL, where nothing else is shared."""
    planned = plan_of("adding-problem/T=5", "lstm", seeds=1, steps=300)
    run_cells(stored_in(tmp_path / "alone", planned), ThisProcess(), print)
    shared, remote = tmp_path / "results", None
    workers = Workers(ray=nodes.address, retries=1)
    said: list[str] = []
    with connected(workers, said.append):
        executor = RayCluster(workers, said.append, ray_nodes.with_a_checkpoint_at_each_step)
        if not seen:
            shared = tmp_path / "shared"
            remote = RemoteResults(shared.as_uri())
            (tmp_path / "results").mkdir()
            mark = tmp_path / "none"
            monkeypatch.setattr(ray_cluster, "marked", lambda results: nullcontext(mark))

        def kill() -> None:
            until(lambda: executor.running() and [*shared.glob("checkpoints/*/checkpoint.pt")])
            (worker,) = executor.running()
            pid = int(worker.rpartition("process ")[2])
            os.kill(pid, signal.SIGSTOP)
            if not seen:  # as on another machine, nothing of it is here
                shutil.rmtree(scratch(mark, 1).parent)
            os.kill(pid, signal.SIGKILL)

        wait = in_the_background(kill)
        kept = stored_in(tmp_path / "results", planned, remote)
        (outcome,) = run_cells(kept, executor, said.append)
        wait()
    assert not outcome.failures
    assert any("its worker died: try 2 of 2" in line for line in said)
    assert any("resumes after step" in line for line in outcome.lines)
    assert records_in(shared) == records_in(tmp_path / "alone")
    assert not [*shared.rglob("*.pt")]


def test_what_is_tried_again(nodes: Any, tmp_path: Path) -> None:
    planned = plan_of("adding-problem/T=5", "marginal", seeds=2)
    workers = Workers(jobs=1, ray=nodes.address, retries=2)
    said: list[str] = []
    with connected(workers, said.append):
        for name in ("full", "memory", "bug"):
            (tmp_path / name).mkdir()
        full = RayCluster(workers, print, ray_nodes.disk_full)
        outcomes = run_cells(stored_in(tmp_path / "full", planned), full, said.append)
        assert len(outcomes) == 2
        assert all("No space left" in outcome.failures[0] for outcome in outcomes)
        assert all("each of 3 tries" in outcome.failures[0] for outcome in outcomes)
        memory = RayCluster(workers, print, ray_nodes.short_of_memory)
        outcomes = run_cells(stored_in(tmp_path / "memory", planned), memory, said.append)
        assert [outcome.failures for outcome in outcomes] == [("in the second try",)] * 2
        assert "[1/2] out of memory: try 2 of 3" in said
        bug = RayCluster(workers, print, ray_nodes.other_bug)
        with pytest.raises(ZeroDivisionError):
            run_cells(stored_in(tmp_path / "bug", planned), bug, said.append)


def test_what_a_cell_requests() -> None:
    plain = resources(Workers(ray="auto"), "cpu")
    assert plain == {"num_cpus": 1, "num_gpus": 0, "memory": None, "max_retries": 0}
    asked = resources(Workers(ray="auto", threads=4, memory=1.5, gpus=0.25), "cuda")
    assert asked["num_cpus"] == 4
    assert asked["num_gpus"] == 0.25
    assert asked["memory"] == 1.5 * 2**30

    together = resources(Workers(ray="auto", threads=4, devices=8), "cuda")
    assert (together["num_cpus"], together["num_gpus"]) == (8, 8)


def test_a_cell_that_no_node_can_hold_is_told_of(nodes: Any, tmp_path: Path) -> None:
    said: list[str] = []
    workers = Workers(ray=nodes.address, threads=64)
    with connected(workers, said.append) as executor:
        executor._check_room(resources(workers, "cpu"))
    assert said == ["--ray: no node has what a cell requests (CPU 64); cells wait for one"]


def test_no_cluster_there(seqmem_: Command) -> None:
    ran = seqmem_("eval", "marginal", *QUICK, "--ray", "127.0.0.1:1")
    assert (ran.status, ran.out) == (2, "")
    assert "--ray 127.0.0.1:1: no Ray cluster answers there" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_local_ray(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "seqmem.submit", "eval", "lstm", "--ray"]
    command += ["--task", "adding-problem/T=200", "--k-train", "diagonal", "--state", "reset"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        # A mark in the results: cells are about to be submitted.
        until(lambda: process.poll() is not None or [*tmp_path.glob("results/.sweep*")])
        time.sleep(2.0)
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        out, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + number, said
    assert "the same command resumes from there" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert "***" not in said
    assert not out
    assert not [*(tmp_path / "results").glob(".sweep*")]


@pytest.mark.slow
def test_a_node_killed_in_the_middle_of_forty_cells(tmp_path: Path) -> None:
    """The node is killed that runs the cell of a training which takes longest."""
    small = plan_of("adding-problem/T=5", "marginal", seeds=38)
    large = plan_of("adding-problem/T=5", "lstm", seeds=2, steps=400)
    planned = Plan((*small.cells[:19], *large.cells, *small.cells[19:]), small.tasks)
    run_cells(stored_in(tmp_path / "alone", planned), ThisProcess(), lambda line: None)
    alone = records_in(tmp_path / "alone")
    assert len(alone) == 40
    said: list[str] = []
    with cluster(2) as made, executor_of(Workers(ray=made.address), said.append) as executor:
        killed: list[str] = []

        def kill() -> bool:
            for worker, name in executor.running().items():
                if "lstm" in name and (node := ray_nodes.node_of(made, worker)):
                    killed.append(name)
                    made.remove_node(node, allow_graceful=False)
                    return True
            return False

        wait = in_the_background(partial(until, kill, 600))
        outcomes = run_cells(stored_in(tmp_path / "shared", planned), executor, said.append)
        wait()
    assert [outcome.number for outcome in outcomes] == [*range(1, 41)]
    assert not [outcome for outcome in outcomes if outcome.failures]
    assert records_in(tmp_path / "shared") == alone
    (number,) = (i for i, cell in enumerate(planned.cells, 1) if killed[0].endswith(str(cell)))
    lost = [line for line in said if line.endswith(": try 2 of 3")]
    assert any(line.startswith(f"[{number}/40] its ") for line in lost)


@pytest.mark.slow
def test_a_ray_of_this_machine_is_private(tmp_path: Path) -> None:
    """It listens on this machine alone, and its workers import nothing from the current folder."""
    code = """
import ray
from seqmem.runs.plan import LOCAL, Workers
from seqmem.runs.ray_cluster import connected
from seqmem.tests.processes import listening
def path():
    import sys, joblib, torch
    return sys.path
with connected(Workers(ray=LOCAL), print):
    lines = ray.get(ray.remote(path).remote()), listening("RAY_AUTH_TOKEN=of-this-test")
print(*lines, sep="\\n")"""
    ran = run_among_impostors(code, tmp_path, RAY_AUTH_TOKEN="of-this-test" + "x" * 32)
    assert ran.returncode == 0, ran.stderr
    path, found = map(ast.literal_eval, ran.stdout.splitlines())
    assert not {"", str(tmp_path / "here")} & {*path}
    assert {"raylet", "gcs_server"} <= {*found.values()}
    loopback = ("0100007F", "0000000000000000FFFF00000100007F", "0" * 24 + "01000000")
    assert not [each for each in found.items() if not each[0].startswith(loopback)]
    assert not (tmp_path / ".ray").exists()
