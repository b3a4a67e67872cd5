"""The command line, as its user meets it."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import SafetensorError
from torch import Tensor

from seqmem import submit
from seqmem.baselines import BASELINES
from seqmem.baselines import tcn as convolutional
from seqmem.baselines.certificate import OUTPUT_ERROR, certificate
from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training.checkpoint import load_weights
from seqmem.baselines.training.loop import seeded, train
from seqmem.baselines.training.recipes import recipe_for
from seqmem.errors import CellError
from seqmem.leaderboard.store import read_records
from seqmem.measuring.curve import measure
from seqmem.runs import run_cell
from seqmem.tasks import DATA, SUITES, load_task
from seqmem.tasks.model import State
from seqmem.tests.command import QUICK, Command, record_files, without_times

# What works.


def test_eval_writes_records_and_prints_the_board(seqmem_: Command, tmp_path: Path) -> None:
    ran = seqmem_("eval", "lstm", "tcn:hidden=3", *QUICK, "--seed", "0", "--seed", "1")
    assert ran.status == 0, ran.err
    assert "adding-problem/T=5: mean squared error" in ran.out
    for word in ("lstm", "tcn:hidden=3", "optimum", "chance", "k=4", "k=5", "full"):
        assert word in ran.out
    records, problems = read_records([tmp_path / "results" / "records"])
    assert not problems
    assert len(records) == 4
    (record,) = [r for r in records if r.model["name"] == "tcn" and r.training["seed"] == 1]
    assert record.model["options"] == {
        "hidden": 3, "kernel": 3, "levels": 0, "dropout": 0.0, "tied": False,
    }  # fmt: skip
    assert record.training["result"]["steps"] == 6
    assert [point.k for point in record.curve] == [1, 2, 4, 5, "full"]
    assert record.measurement["targets"] == 40_000
    assert record.curve[-1].excess is not None
    assert record.curve[-1].excess.mean == 0
    assert sum(record.group_counts) == 40_000
    assert record.training["environment"]["threads"] > 0
    assert record.training["result"]["seconds"] > 0
    for point in record.curve:
        assert sum(point.group_sums) / 40_000 == pytest.approx(point.loss.mean, rel=1e-6)


@pytest.mark.parametrize("name", ["rnn-stable", "lstm-stable"])
def test_a_record_keeps_what_the_weights_promise(
    seqmem_: Command, tmp_path: Path, name: str
) -> None:
    assert seqmem_("eval", name, name.removesuffix("-stable"), *QUICK).status == 0
    (weights,) = tmp_path.glob(f"results/checkpoints/{name}-*/weights.safetensors")
    options = recipe_for("adding-problem", "smoke").options
    with seeded(0):
        model, _ = build_model(parse_model(name), load_task("adding-problem/T=5"), "full", options)
    assert load_weights(model, weights)
    proof = certificate(model)
    records, _ = read_records([tmp_path / "results" / "records"])
    (record,) = [r for r in records if r.model["name"] == name]
    k = record.model["certificate"]["promised_k"]
    assert record.model["certificate"]["rate"] == proof.rate
    assert proof.bound(k) * proof.readout <= OUTPUT_ERROR < proof.bound(k - 1) * proof.readout
    shown = seqmem_("leaderboard", "--stable")
    assert f"{proof.rate:.4g}" in shown.out


def test_finished_cells_are_not_done_again(seqmem_: Command, tmp_path: Path) -> None:
    first = seqmem_("eval", "lstm", *QUICK)
    files = {path: path.read_bytes() for path in record_files(tmp_path)}
    again = seqmem_("eval", "lstm", *QUICK)
    assert again.out == first.out
    assert "already measured" in again.err
    assert {path: path.read_bytes() for path in record_files(tmp_path)} == files


@pytest.mark.parametrize(
    "change",
    [
        ["--seed", "1"],
        ["--k", "1,full"],
        ["--k-train", "2"],
        ["--k-train", "2", "--state", "reset"],
        ["--task", "adding-problem/T=6"],
        ["--exact"],
        ["--precision", "2%"],
        ["--all-k"],
        ["--dtype", "bfloat16"],
    ],
)
def test_what_changes_the_number_is_measured_anew(
    seqmem_: Command, tmp_path: Path, change: list[str]
) -> None:
    seqmem_("eval", "lstm", *QUICK)
    ran = seqmem_("eval", "lstm", *QUICK, *change)
    assert ran.status == 0
    assert len(record_files(tmp_path)) == 2


def test_how_it_was_measured_stands_in_the_record(seqmem_: Command, tmp_path: Path) -> None:
    task = ["--task", "hidden-markov/dwell=4", "--budget", "smoke"]
    ran = seqmem_("eval", "lstm", *task, "--precision", "20%", "--k", "2,8,4000,full")
    assert ran.status == 0, ran.err
    assert "k = 4000 equals full context: no sequence is longer" in ran.err
    assert "plain passes)" in ran.err
    (path,) = record_files(tmp_path)
    record = json.loads(path.read_text())
    how = record["measurement"]
    points = {point["k"]: point for point in record["curve"]}
    assert how["precision"] == "20%"
    assert how["reference"] == how["full"] == "state carried"
    assert how["plain_passes"] == pytest.approx(how["model_steps"] / how["targets"], abs=1e-3)
    assert how["failed"] == {}
    for k in (2, 8):
        assert points[k]["method"] in ("sample", "all")
        assert points[k]["half_width"] <= how["precision_in_loss"]
        assert points[k]["steps"] > 0
    assert points[8]["n"] < how["targets"]
    assert points[4000]["method"] == "no longer sequence"
    assert points[4000]["loss"] == points["full"]["loss"]
    assert points[4000]["steps"] == 0


def test_every_k_and_shorter_floats(seqmem_: Command, tmp_path: Path) -> None:
    ran = seqmem_("eval", "tcn", *QUICK, "--all-k", "--dtype", "bfloat16", "--format", "json")
    assert ran.status == 0, ran.err
    assert [row["k"] for row in json.loads(ran.out)] == [1, 2, 3, 4, 5, "full"]
    (path,) = record_files(tmp_path)
    record = json.loads(path.read_text())
    assert record["environment"]["dtype"] == "bfloat16"
    assert record["training"]["environment"]["dtype"] == "float32"
    assert abs(record["extras"]["full-context loss minus that in float32"]) > 0


def test_a_k_that_fails_costs_one_line_and_leaves_the_others(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usual = convolutional.TCN.hidden

    def breaks(model: convolutional.TCN, inputs: Tensor, state: State = None) -> object:
        features, state = usual(model, inputs, state)
        return features * (math.nan if inputs.shape[1] == 2 else 1), state

    monkeypatch.setattr(convolutional.TCN, "hidden", breaks)
    for _ in range(2):  # the second time from the record
        ran = seqmem_("eval", "tcn", *QUICK)
        assert ran.status == 1
        assert "k=2: the model's outputs are not finite" in ran.err
        (path,) = record_files(tmp_path)
        record = json.loads(path.read_text())
        assert [point["k"] for point in record["curve"]] == [1, 4, 5, "full"]
        assert "adding-problem/T=5" in ran.out


def test_other_contexts_need_no_new_training(seqmem_: Command) -> None:
    assert "trained" in seqmem_("eval", "lstm", *QUICK).err
    ran = seqmem_("eval", "lstm", *QUICK, "--k", "3,full")
    assert "trained" not in ran.err
    assert "measured" in ran.err


def test_same_seed_same_record(seqmem_: Command, tmp_path: Path) -> None:
    task = ["--task", "copy-memory/T=2-5", "--budget", "smoke"]
    for folder in ("a", "b"):
        assert seqmem_("eval", "lstm", *task, "--results", folder).status == 0
    (first,), (second,) = (record_files(tmp_path / folder) for folder in "ab")
    assert first.name == second.name
    assert without_times(first) == without_times(second)
    record = json.loads(first.read_text())
    assert record["extras"]["loss over all positions, full context"] > 0
    rate, low, high = record["curve"][0]["accuracy"]
    assert low < rate < high


def test_fresh_measures_again_and_keeps_the_old(seqmem_: Command, tmp_path: Path) -> None:
    seqmem_("eval", "lstm", *QUICK)
    ran = seqmem_("eval", "lstm", *QUICK, "--fresh")
    assert "trained" in ran.err
    files = record_files(tmp_path)
    assert [path.suffixes for path in files] == [[".2", ".json"], [".json"]]
    assert without_times(files[0]) == without_times(files[1])


def test_formats(seqmem_: Command) -> None:
    rows = json.loads(seqmem_("eval", "marginal", *QUICK, "--format", "json").out)
    assert {row["k"] for row in rows} == {1, 2, 4, 5, "full"}
    assert rows[0]["loss"] == pytest.approx(1 / 6, abs=0.005)
    assert seqmem_("eval", "marginal", *QUICK, "--format", "csv").out.startswith("task,")
    assert "|:---" in seqmem_("eval", "marginal", *QUICK, "--format", "markdown").out


def test_the_leaderboard_shows_own_records(seqmem_: Command, tmp_path: Path) -> None:
    seqmem_("eval", "marginal", *QUICK)
    own = seqmem_("leaderboard", "--task", "adding-problem/T=5")
    assert own.status == 0
    assert "marginal" in own.out
    ran = seqmem_("leaderboard", "--records", "results", "--format", "csv", "-o", "board.csv")
    assert ran.out == ""
    assert (tmp_path / "board.csv").read_text().startswith("task,")
    (tmp_path / "results" / "broken.json").write_text("{")
    ran = seqmem_("leaderboard", "--records", "results")
    assert ran.status == 0
    assert "skipped results/broken.json: not JSON" in ran.err


def test_the_leaderboard_shows_published_numbers(seqmem_: Command) -> None:
    usual = seqmem_("leaderboard")
    assert "not ranked" in usual.out
    assert "nothing measured" not in usual.out
    assert "not ranked" not in seqmem_("leaderboard", "--no-published").out
    only = seqmem_("leaderboard", "--task", "wikitext-103", "--format", "markdown")
    assert only.status == 0
    assert "### wikitext-103: nothing measured" in only.out
    assert "45.19" in only.out
    rows = json.loads(seqmem_("leaderboard", "--task", "wikitext-103", "--format", "json").out)
    assert {row["trust"] for row in rows} == {"published"}
    ran = seqmem_("leaderboard", "--task", "wikitext-103", "--no-published")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "unknown task among the records 'wikitext-103'" in ran.err


def test_a_suite_passes_over_what_is_not_here(seqmem_: Command) -> None:
    ran = seqmem_("eval", "marginal", "--suite", "smoke")
    assert ran.status == 0
    assert "wikitext-2 is passed over: no data directory" in ran.err
    suite = SUITES["smoke"].tasks
    shown = [line for line in ran.out.splitlines() if line.partition(": ")[0] in suite]
    made_here = [task for task in SUITES["smoke"].tasks if "=" in task]
    assert sorted(line.partition(":")[0] for line in shown) == sorted(made_here)


def test_a_suite_passes_over_models_on_tasks_they_are_not_made_for(seqmem_: Command) -> None:
    seeds = ["--seed", "0", "--seed", "1"]
    ran = seqmem_("eval", "kneser-ney", "marginal", "--suite", "smoke", *seeds)
    assert ran.status == 0, ran.err
    says = [line for line in ran.err.splitlines() if line.startswith("kneser-ney on")]
    assert [line.partition(" is passed over: ")[0] for line in says] == [
        f"kneser-ney on {task}" for task in sorted(SUITES["smoke"].tasks) if "T=" in task
    ]
    shown = [line for line in ran.out.splitlines() if "kneser-ney" in line]
    assert len(shown) == 1  # on hidden-markov


def test_listings(seqmem_: Command) -> None:
    tasks = json.loads(seqmem_("tasks", "--format", "json").out)
    assert {task_id for suite in SUITES.values() for task_id in suite.tasks} <= {
        row["task"] for row in tasks
    }
    (row,) = [row for row in tasks if row["task"] == "adding-problem/T=50"]
    assert (row["chance"], row["optimum"]) == (0.1667, 0.0)
    models = json.loads(seqmem_("models", "--format", "json").out)
    assert [row["model"] for row in models] == list(BASELINES)
    data = json.loads(seqmem_("data", "--format", "json").out)
    assert [row["data"] for row in data] == list(DATA)
    for command in ("tasks", "models", "data"):
        for form in ("table", "markdown", "csv"):
            ran = seqmem_(command, "--format", form)
            assert ran.status == 0
            assert ran.out.strip()


@pytest.mark.parametrize("command", ["", *submit.cli.commands])
def test_every_command_has_help_with_an_example(seqmem_: Command, command: str) -> None:
    ran = seqmem_(*([command] if command else []), "--help")
    assert ran.status == 0
    assert f"Example: seqmem {command}" in ran.out


def test_help_imports_nothing_heavy() -> None:
    heavy = {"torch", "pandas", "datasets", "numpy", "scipy", "tabulate"}
    code = f"import sys, seqmem.submit; print(*({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# What is wrong.


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("frob", "No such command 'frob'"),
        ("eval", "Missing argument"),
        ("eval lstm --frob", "--frob"),
        ("eval lstm", "neither given"),
        ("eval lstm --task copy-memory/T=5 --suite smoke", "both given"),
        ("eval lsmt --task copy-memory/T=5", "did you mean lstm"),
        ("eval lstm:hiden=3 --task copy-memory/T=5", "unknown option 'hiden'"),
        ("eval lstm --task copy-memry/T=5", "did you mean copy-memory"),
        ("eval lstm --task copy-memory/T=0", "out of range"),
        ("eval lstm --suite smoek", "did you mean smoke"),
        ("eval lstm --task copy-memory/T=5 --budget huge", "unknown budget 'huge'"),
        ("eval lstm --task copy-memory/T=5 --k 0", "'0' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --k -3", "'-3' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --k ten", "'ten' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --k 1,,2", "'' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --k 1.5", "'1.5' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --k-train 0", "'0' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --precision 0", "'0' is not a precision: a positive"),
        ("eval lstm --task copy-memory/T=5 --precision -1%", "'-1%' is not a precision"),
        ("eval lstm --task copy-memory/T=5 --precision 1e-9%", "less than rounding leaves"),
        ("eval lstm --task copy-memory/T=5 --dtype float16", "'float16' is not one of"),
        ("eval lstm --task copy-memory/T=5 --k-train diagonal,x", "'x' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --k-train diagonals", "full, or diagonal"),
        ("eval lstm --task copy-memory/T=5 --k diagonal", "'diagonal' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --state rest", "'rest' is not one of"),
        ("eval lstm --task copy-memory/T=5 --jobs 0", "0 is not in the range"),
        ("eval lstm --task copy-memory/T=5 --jobs two", "'two' is not a valid integer"),
        ("eval lstm --task copy-memory/T=5 --seed -1", "not in the range"),
        ("eval lstm --task copy-memory/T=5 --seed x", "not a valid integer"),
        ("eval lstm --task copy-memory/T=5 --format xml", "'xml' is not one of"),
        ("eval lstm --task copy-memory/T=5 --data-dir nowhere", "no such directory"),
        (
            "eval lstm --task wikitext-2 --data-dir .",
            "train.txt or wiki.train.tokens (or .xz, .gz) is not in",
        ),
        ("eval lstm --task copy-memory/T=5 --results file", "cannot be written"),
        ("eval lstm:tied=true --task adding-problem/T=5", "tied=true needs ids"),
        ("eval kneser-ney --task copy-memory/T=5", "next of the tokens that it reads"),
        ("eval lru:state=0 --task copy-memory/T=5", "out of range: from 1"),
        ("eval tcn:levels=40 --task copy-memory/T=5", "out of range: from 0 to 20"),
        ("leaderboard -o nowhere/x", "cannot be written"),
        ("leaderboard --records nowhere", "no such file or folder"),
        ("leaderboard --task nope", "unknown task among the records 'nope'"),
    ],
)
def test_a_wrong_line_costs_one_line(
    seqmem_: Command, tmp_path: Path, arguments: str, says: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    ran = seqmem_(*arguments.split())
    assert ran.status == 2
    assert ran.out == ""
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert not record_files(tmp_path)


def test_a_wider_field_than_k_train_is_refused(seqmem_: Command) -> None:
    ran = seqmem_("eval", "tcn:levels=4", *QUICK, "--k-train", "8")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "sees 61 inputs" in ran.err


def test_damaged_weights_are_trained_again(seqmem_: Command, tmp_path: Path) -> None:
    seqmem_("eval", "lstm", *QUICK)
    (weights,) = (tmp_path / "results" / "checkpoints").rglob("weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])
    ran = seqmem_("eval", "lstm", *QUICK, "--k", "3,full")
    assert ran.status == 0
    assert "trained" in ran.err


def test_too_little_memory_costs_one_cell(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")

    monkeypatch.setattr(run_cell, "train", too_much)
    ran = seqmem_("eval", "lstm", "marginal", *QUICK)
    assert ran.status == 1
    assert "out of memory" in ran.err
    assert "marginal" in ran.out


def test_a_full_disk_while_training_is_one_line(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("seqmem.baselines.training.checkpoint.save_model", full)
    ran = seqmem_("eval", "lstm", *QUICK)
    assert ran.status == 1
    assert "No space left on device" in ran.err.splitlines()[-1]
    assert not list(tmp_path.rglob("*.tmp"))


def test_no_gpu_is_one_line(seqmem_: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    ran = seqmem_("eval", "lstm", *QUICK, "--device", "cuda")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "no GPU" in ran.err


def test_everything_wrong_is_found_before_training(seqmem_: Command, tmp_path: Path) -> None:
    ran = seqmem_("eval", "lstm", *QUICK, "--task", "wikitext-2", "--data-dir", str(tmp_path))
    assert ran.status == 2
    assert "trained" not in ran.err


def test_a_failing_cell_leaves_the_others(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:

    def fails_for_rnn(model: object, *arguments: object, **options: object) -> object:
        if type(model).__name__ == "RNN":
            raise CellError("training diverged: the loss is nan at step 3")
        return train(model, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(run_cell, "train", fails_for_rnn)
    ran = seqmem_("eval", "rnn", "lstm", *QUICK)
    assert ran.status == 1
    assert "failed: rnn on adding-problem/T=5" in ran.err
    assert "1 failed, the others are kept" in ran.err
    assert "lstm" in ran.out
    assert len(record_files(tmp_path)) == 1


def test_a_full_disk_is_one_line(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert seqmem_("eval", "marginal", *QUICK).status == 0

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    ran = seqmem_("eval", "lstm", *QUICK)
    assert ran.status == 1
    assert "No space left on device" in ran.err.splitlines()[-1]
    assert "Traceback" not in ran.err
    assert len(record_files(tmp_path)) == 1
    assert not list((tmp_path / "results" / "records").rglob("*.tmp"))


def test_ctrl_c_goes_on_where_it_was(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = seqmem_("eval", "lstm", "tcn", *QUICK, "--results", "whole")

    def interrupted(model: object, *arguments: object, **options: object) -> object:
        if type(model).__name__ == "TCN":
            raise KeyboardInterrupt
        return measure(model, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("seqmem.measuring.record.measure", interrupted)
    ran = seqmem_("eval", "lstm", "tcn", *QUICK)
    assert ran.status == 130
    assert "resumes from there" in ran.err.splitlines()[-1]
    assert len(record_files(tmp_path / "results")) == 1
    monkeypatch.setattr("seqmem.measuring.record.measure", measure)
    ran = seqmem_("eval", "lstm", "tcn", *QUICK)
    assert "already measured" in ran.err
    assert "trained" not in ran.err  # both were
    assert ran.out == expected.out


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_kill_in_the_middle_of_training_loses_little(tmp_path: Path) -> None:
    """A real process, killed; the second run ends with the record an unbroken one gives."""
    code = (
        "from dataclasses import replace\n"
        "from seqmem.baselines.training import checkpoint, recipes\n"
        "from seqmem import submit\n"
        "recipes._RECIPES = {k: replace(r, steps=400, validate_every=50, options={'hidden': 8})"
        " for k, r in recipes._RECIPES.items()}\n"
        "checkpoint.Checkpoint.due = lambda self: True\n"
        "submit.main()\n"
    )

    def command(results: Path) -> list[str]:
        return [sys.executable, "-c", code, "eval", "rnn", *QUICK, "--results", str(results)]

    broken, whole = tmp_path / "broken", tmp_path / "whole"
    process = subprocess.Popen(command(broken), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(broken.rglob("checkpoint.pt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list(broken.rglob("checkpoint.pt"))
    assert not record_files(broken)
    for results in (broken, whole):
        subprocess.run(command(results), check=True, capture_output=True)
    (first,), (second,) = record_files(broken), record_files(whole)
    assert without_times(first) == without_times(second)
    assert not list((broken / "records").rglob("*.tmp"))
