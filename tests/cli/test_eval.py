"""`seqmem eval`: records, boards, and what is reused."""

import json
from pathlib import Path

import pytest

from seqmem.baselines.certificate import OUTPUT_ERROR, certificate
from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training.checkpoint import load_weights
from seqmem.baselines.training.loop import seeded
from seqmem.baselines.training.recipes import recipe_for
from seqmem.leaderboard.store import read_records
from seqmem.tasks import SUITES, data_problem, load_task
from seqmem.tests.command import QUICK, Command, record_files, without_times


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
def test_a_record_stores_the_certificate_of_the_weights(
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


def test_finished_cells_are_not_run_again(seqmem_: Command, tmp_path: Path) -> None:
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
def test_what_changes_the_number_is_measured_again(
    seqmem_: Command, tmp_path: Path, change: list[str]
) -> None:
    seqmem_("eval", "lstm", *QUICK)
    ran = seqmem_("eval", "lstm", *QUICK, *change)
    assert ran.status == 0
    assert len(record_files(tmp_path)) == 2


def test_how_it_was_measured_is_in_the_record(seqmem_: Command, tmp_path: Path) -> None:
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


def test_fresh_measures_again_and_keeps_the_old_record(seqmem_: Command, tmp_path: Path) -> None:
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


def test_a_suite_skips_tasks_without_data(seqmem_: Command) -> None:
    ran = seqmem_("eval", "marginal", "--suite", "smoke")
    assert ran.status == 0
    assert "wikitext-2 is skipped: no data directory" in ran.err
    suite = SUITES["smoke"].tasks
    shown = [line for line in ran.out.splitlines() if line.partition(": ")[0] in suite]
    here = [task for task in suite if not data_problem(task)]
    assert sorted(line.partition(": ")[0] for line in shown) == sorted(here)


def test_a_suite_skips_models_on_tasks_that_they_cannot_do(seqmem_: Command) -> None:
    seeds = ["--seed", "0", "--seed", "1"]
    ran = seqmem_("eval", "kneser-ney", "marginal", "--suite", "smoke", *seeds)
    assert ran.status == 0, ran.err
    lines = [line for line in ran.err.splitlines() if line.startswith("kneser-ney on")]
    here = [task for task in SUITES["smoke"].tasks if not data_problem(task)]
    assert sorted(line.partition(" is skipped: ")[0] for line in lines) == sorted(
        f"kneser-ney on {task}" for task in here if not load_task(task).next_token
    )
    shown = [line for line in ran.out.splitlines() if "kneser-ney" in line]
    assert len(shown) == 1  # on hidden-markov


def test_models_are_given_the_size_that_is_asked_for(seqmem_: Command, tmp_path: Path) -> None:
    ran = seqmem_("eval", "lstm", "gru:layers=2", *QUICK, "--match", "parameters=2k")
    assert ran.status == 0, ran.err
    records, _ = read_records([tmp_path / "results" / "records"])
    sizes = {record.model["name"]: record.model for record in records}
    for name in ("lstm", "gru"):
        assert sizes[name]["parameters"] == pytest.approx(2000, rel=0.05)
        assert f"hidden={sizes[name]['options']['hidden']}" in sizes[name]["label"]
    assert sizes["gru"]["options"]["layers"] == 2
    shown = seqmem_("leaderboard", "--columns", "parameters,state", "--records", "results/records")
    assert f"{sizes['lstm']['parameters']:,}" in shown.out
    for given in ("parameters=2", "width=3"):
        refused = seqmem_("eval", "lstm", *QUICK, "--match", given)
        assert refused.status == 2
        assert f"--match {given}: " in refused.err
        assert "Traceback" not in refused.err
