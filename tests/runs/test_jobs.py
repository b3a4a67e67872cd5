"""Cells in several processes, and every k of the grid trained."""

import io
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from seqmem.baselines.spec import parse_model
from seqmem.baselines.training.recipes import recipe_for
from seqmem.errors import InputError
from seqmem.leaderboard.store import read_records
from seqmem.measuring.progress_bar import bars_reported, progress_bar
from seqmem.measuring.settings import MeasurementSettings
from seqmem.runs import evaluate, local
from seqmem.runs import processes as processes_module
from seqmem.runs.cell import Cell, plan_cell
from seqmem.runs.evaluate import run_cells
from seqmem.runs.plan import Plan, Request, plan
from seqmem.runs.processes import threads_each
from seqmem.runs.progress import Progress
from seqmem.runs.worker import Outcome
from seqmem.tasks import load_task
from seqmem.tests.command import QUICK, Command, record_files, without_times
from seqmem.tests.processes import run_among_impostors


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# The diagonal.


def planned(tmp_path: Path, *models: str, **fields: Any) -> tuple[tuple[Cell, ...], list[str]]:
    lines: list[str] = []
    request = Request(models, budget="smoke", results=tmp_path / "results", **fields)
    return plan(request, lines.append).cells, lines


def test_the_diagonal_trains_at_every_k_of_the_grid(tmp_path: Path) -> None:
    for models in (["lstm"], ["tcn"], ["transformer", "lru"]):
        cells, lines = planned(
            tmp_path, *models, tasks=("adding-problem/T=5",), k_trains=("diagonal",)
        )
        assert [cell.k_train for cell in cells] == [1, 2, 4, 5, "full"] * len(models)
        assert not lines


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"contexts": (3, "full")}, [3, "full"]),
        ({"contexts": (2, 3)}, [2, 3, "full"]),  # full can be trained, whatever is measured
        ({"every_k": True}, [1, 2, 4, 5, "full"]),  # not every number in between
        ({"k_trains": (4, "diagonal", 7)}, [4, 7, 1, 2, 5, "full"]),
        ({"k_trains": (None, "diagonal")}, ["full", 1, 2, 4, 5, "full"]),
    ],
)
def test_what_stands_beside_the_diagonal(
    tmp_path: Path, fields: dict[str, Any], expected: list[object]
) -> None:
    given = {"k_trains": ("diagonal",), **fields}
    cells, _ = planned(tmp_path, "lstm", tasks=("adding-problem/T=5",), **given)
    assert [cell.k_train for cell in cells] == expected


def test_a_diagonal_leaves_out_what_cannot_be(tmp_path: Path) -> None:
    text = tmp_path / "words.txt"
    text.write_text("the cat sat on the mat and the dog sat on the cat\n" * 400)
    stream: dict[str, Any] = {"tasks": (f"text:{text}",), "contexts": (1, 9000, "full")}
    cells, lines = planned(tmp_path, "lstm", "tcn", k_trains=("diagonal",), seeds=(0, 1), **stream)
    assert [cell.k_train for cell in cells if cell.model.name == "lstm"] == [1, 1]
    assert len([cell for cell in cells if cell.model.name == "tcn"]) == 6
    assert len(lines) == 2
    assert all(line.startswith("left out of the diagonal: --k-train ") for line in lines)
    assert "one long stream" in lines[0]
    for k_train in (9000, "full"):
        with pytest.raises(InputError, match="one long stream"):
            planned(tmp_path, "lstm", k_trains=("diagonal", k_train), **stream)
    with pytest.raises(InputError, match="with no context of the grid"):
        planned(tmp_path, "lstm", k_trains=("diagonal",), **{**stream, "contexts": (9000,)})
    # A field that is wider whatever k is asked for.
    cells, lines = planned(
        tmp_path, "tcn:levels=2", tasks=("adding-problem/T=20",), k_trains=("diagonal",)
    )
    assert [cell.k_train for cell in cells] == [16, 20, "full"]
    assert len(lines) == 4


def test_other_mistakes_stay_errors_on_a_diagonal(seqmem_: Command) -> None:
    ran = seqmem_("eval", "lstm:tied=true", *QUICK, "--k-train", "diagonal")
    assert (ran.status, ran.err.count("\n")) == (2, 1)


def test_the_board_names_how_the_state_was_trained(seqmem_: Command, tmp_path: Path) -> None:
    both = ["eval", "lstm", "tcn", *QUICK, "--k", "2,full", "--k-train", "2,2,full,2"]
    assert seqmem_(*both).status == 0
    ran = seqmem_(*both, "--state", "reset")
    assert ran.status == 0, ran.err
    # Full, and models without state, are the same cells both ways.
    assert ran.err.count("already measured") == 3
    records, _ = read_records([tmp_path / "results" / "records"])
    trained = [(r.model["name"], r.training["k_train"], r.training["state"]) for r in records]
    assert sorted(trained, key=str) == [
        ("lstm", "full", "carried"),
        ("lstm", 2, "carried"),
        ("lstm", 2, "reset"),
        ("tcn", "full", None),
        ("tcn", 2, None),
    ]
    board = seqmem_("leaderboard", "--records", "results", "--format", "markdown").out
    lines = [[part.strip() for part in line.split("|")[1:-1]] for line in board.splitlines()]
    (k_train,) = {line.index("k_train") for line in lines if "k_train" in line}
    shown = [(line[0], line[k_train]) for line in lines if len(line) > k_train]
    assert {pair for pair in shown if pair[0] in ("lstm", "tcn")} == {
        ("lstm", "full"), ("lstm", "2"), ("lstm", "2 (reset)"), ("tcn", "full"), ("tcn", "2"),
    }  # fmt: skip
    flat = seqmem_("leaderboard", "--records", "results", "--format", "csv").out.splitlines()
    assert "k_train,state," in flat[0]
    assert any(",lstm,2,reset," in line for line in flat)


# Several processes.


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_records_are_the_same_from_several_processes(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With one thread each: another number of threads may round sums differently."""
    monkeypatch.setattr(evaluate, "cores", lambda: 2)
    (tmp_path / "own.txt").write_text("the cat sat on the mat and the dog sat on the cat\n" * 200)
    sweep = ["eval", "lstm", "tcn", *QUICK, "--task", "text:own.txt", "--k", "1,2,full"]
    sweep += ["--k-train", "diagonal", "--state", "reset"]
    ran = {n: seqmem_(*sweep, "--jobs", str(n), "--results", f"with{n}") for n in (1, 2)}
    assert (ran[1].status, ran[2].status) == (0, 0), ran[2].err
    assert ran[1].out == ran[2].out
    files = {n: record_files(tmp_path / f"with{n}") for n in (1, 2)}
    names = {n: [path.name for path in files[n]] for n in (1, 2)}
    assert names[1] == names[2]
    assert len(names[1]) == 11  # text has no full for the LSTM
    for alone, shared in zip(files[1], files[2], strict=True):
        first, second = without_times(alone), without_times(shared)
        assert first["environment"]["threads"] == second["environment"]["threads"] == 1  # type: ignore[index]
        assert first == second
    # Every line is whole, and the cells that said the same things said all of them.
    said = {n: sorted(untimed(line) for line in ran[n].err.splitlines()) for n in (1, 2)}
    assert said[1] == said[2]
    assert "1 of 11 cells done" in ran[2].err
    again = seqmem_(*sweep, "--jobs", "2", "--results", "with1")
    assert again.err.count("already measured") == 11
    assert again.out == ran[1].out


def untimed(line: str) -> str:
    line = re.sub(r" in \d+ s", "", re.sub(r", \d+ running", "", line))
    return re.sub(r", about .* left$", "", line)


def test_no_data_goes_to_another_process(tmp_path: Path) -> None:
    task = load_task("adding-problem/T=50")
    task.split("test")
    model = parse_model("lstm")
    cells = [plan_cell(model, task, tmp_path, k_train=4, seed=seed) for seed in range(3)]
    assert all(len(pickle.dumps(cell)) < 3000 for cell in cells)
    assert [cell.task_id for cell in cells] == ["adding-problem/T=50"] * 3


def test_threads_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes_module, "cores", lambda: 8)
    for usual, processes, each in [
        (8, 1, 8),
        (8, 2, 4),
        (8, 3, 2),
        (8, 8, 1),
        (8, 99, 1),
        (1, 2, 1),
    ]:
        monkeypatch.setattr(torch, "get_num_threads", lambda usual=usual: usual)
        assert threads_each(processes) == each


def test_no_more_processes_than_cores(seqmem_: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "cores", lambda: 1)
    ran = seqmem_("eval", "marginal", *QUICK, "--k-train", "1,2", "--jobs", "2")
    assert ran.status == 0
    assert "--jobs 2: there are 1 cores here" in ran.err


def killing(executor: local.LocalProcesses, cell: str, times: int) -> threading.Thread:
    """Kill the process that runs a cell, so many times, as soon as it does."""

    def kill() -> None:
        killed: set[int] = set()
        deadline = time.monotonic() + 120
        while len(killed) < times and time.monotonic() < deadline:
            for worker, name in executor.running().items():
                pid = int(worker.removeprefix("process "))
                if cell in name and pid not in killed:
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            time.sleep(0.002)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_a_killed_process_costs_a_try_of_its_cell(tmp_path: Path, times: int) -> None:
    """With one retry: the first time the cell is tried again, the second it fails, alone."""
    task = load_task("adding-problem/T=5")
    recipe = replace(recipe_for(task.family, "smoke"), steps=200, validate_every=100)
    model = parse_model("lstm")
    measuring = MeasurementSettings(contexts=(1,))
    cells = [
        plan_cell(model, task, tmp_path, k_train=4, seed=seed, recipe=recipe, measuring=measuring)
        for seed in range(4)
    ]
    executor = local.LocalProcesses(2, 1, retries=1)
    thread = killing(executor, "seed 2", times)
    said: list[str] = []
    outcomes = run_cells(Plan(tuple(cells), {task.id: task}), executor, said.append)
    thread.join()
    assert [outcome.number for outcome in outcomes] == [1, 2, 3, 4]
    failed = [outcome.number for outcome in outcomes if outcome.failures]
    assert failed == ([] if times == 1 else [3])
    assert len(record_files(tmp_path / "records")) == (4 if times == 1 else 3)
    assert any("[3/4] a process was killed: try 2 of 2" in line for line in said)
    if times == 2:
        assert "fewer --jobs" in outcomes[2].failures[0]
    assert not executor.running()


# How far it is.


def test_bars_of_processes_are_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    with bars_reported(texts.append), progress_bar(total=8) as bar:
        bar.set_description("train lstm on toy/T=3")
        bar.update(4)
        bar.refresh()
    assert texts[-1] == "train ######...... 50%"
    with bars_reported(texts.append), progress_bar(unit="step") as bar:
        bar.set_description("measure lstm on toy/T=3")
    assert texts[-1] == "measure"
    executor = local.LocalProcesses(2, 1, retries=0)
    monkeypatch.setattr(executor, "_notes", tmp_path)
    monkeypatch.setattr(executor, "_names", {1: "lstm on a", 2: "tcn on b"})
    (tmp_path / local.BARS).mkdir()
    (tmp_path / local.BARS / "71").write_text(texts[-2], encoding="utf-8")
    for name in ("1.70", "2.71"):
        (tmp_path / name).touch()
    assert executor.running() == {
        "process 70": "lstm on a", "process 71": f"{texts[-2]}, tcn on b"
    }  # fmt: skip


@pytest.mark.slow
def test_processes_show_how_far_their_cells_are(tmp_path: Path) -> None:
    """While a cell is trained, `running` has its bar, which moves."""
    task = load_task("adding-problem/T=5")
    recipe = replace(recipe_for(task.family, "smoke"), steps=4000, validate_every=4000)
    cells = [
        plan_cell(parse_model("lstm"), task, tmp_path, k_train=4, seed=seed, recipe=recipe,
                  measuring=MeasurementSettings(contexts=(1,)))
        for seed in range(2)
    ]  # fmt: skip
    executor, seen = local.LocalProcesses(2, 1, retries=0), set[str]()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            seen.update(name.partition(",")[0] for name in executor.running().values())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    run_cells(Plan(tuple(cells), {task.id: task}), executor, lambda line: None)
    over.set()
    thread.join()
    assert len([text for text in seen if text.endswith("%")]) > 1


def test_progress_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    lines: list[str] = []
    with Progress([1.0] * 5, lines.append) as progress:
        progress.done(Outcome(1, None, seconds=0.0))  # known before: no time, but a failure
        now[0] = 160.0
        progress.done(Outcome(2, None, ("k=3: no",), seconds=60.0))
        for number in (3, 4, 5):
            now[0] += 60
            progress.done(Outcome(number, record=..., seconds=60.0))  # type: ignore[arg-type]
    assert lines == [
        "1 of 5 cells done, 1 failed",
        "2 of 5 cells done, 2 failed, about 3 min left",
        "3 of 5 cells done, 2 failed, about 2 min left",
        "4 of 5 cells done, 2 failed, about 60 s left",
    ]


def test_progress_in_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    lines: list[str] = []
    with Progress([1.0] * 3, lines.append) as progress:
        progress.log("a line")
        progress.done(Outcome(1, None, ("no",), seconds=5.0))
    assert lines == ["a line"]
    assert "1/3" in terminal.getvalue()
    assert "failed=1" in terminal.getvalue()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_ends_all_processes_and_says_how_to_go_on(tmp_path: Path) -> None:
    """As in a terminal: the whole process group is told."""
    code = "from seqmem import submit; from seqmem.runs import evaluate as e; "
    code += "e.cores = lambda: 2; submit.main()"
    command = [sys.executable, "-c", code, "eval", "lstm", "--task", "adding-problem/T=200"]
    command += ["--k-train", "diagonal", "--state", "reset", "--jobs", "2"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # In a terminal nobody ignores it; what a shell starts in the background does.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if len(children(process.pid)) >= 2:
            break
        time.sleep(0.1)
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=180)
    assert process.returncode == 130, said
    assert "the same command resumes from there" in said.splitlines()[-1]
    assert "Traceback" not in said
    while children(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)  # the one that clears up after the others ends last
    assert not children(process.pid)


def children(group: int) -> list[int]:
    """The processes of a group but its first; as /proc tells it."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if int(fields[2]) == group and entry.name != str(group) and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def test_ray_that_is_missing_is_one_line(seqmem_: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    ran = seqmem_("eval", "marginal", *QUICK, "--ray")
    assert (ran.status, ran.out) == (2, "")
    assert "pip install 'seqmem[ray]'" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("option", [["--memory", "2"], ["--gpus", "0.5"]])
def test_what_only_ray_can_give(seqmem_: Command, option: list[str]) -> None:
    ran = seqmem_("eval", "marginal", *QUICK, *option)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert f"{option[0]} is for --ray alone" in ran.err


def test_a_cell_takes_the_threads_it_was_given(seqmem_: Command, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    for jobs in ("1", "2"):
        assert (
            seqmem_(
                "eval", "lstm", "tcn", *QUICK, "--jobs", jobs, "--threads", "3", "--results", jobs
            ).status
            == 0
        )
        for path in record_files(tmp_path / jobs):
            record = without_times(path)
            assert record["environment"]["threads"] == 3  # type: ignore[index]
            assert record["training"]["environment"]["threads"] == 3  # type: ignore[index]
    assert torch.get_num_threads() == before


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--jobs", "--devices"])
def test_other_processes_import_nothing_from_the_current_folder(
    option: str, tmp_path: Path
) -> None:
    command = [
        "eval",
        "rnn",
        "marginal",
        "--task",
        "adding-problem/T=5",
        "--k",
        "1",
        "--budget",
        "smoke",
    ]
    code = f"""
from seqmem.runs import evaluate
evaluate.cores = lambda: 2
from seqmem.submit import cli
cli.main({[*command, "--k", "1", option, "2"]!r})"""
    ran = run_among_impostors(code, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "PYTHONSAFEPATH" not in os.environ
