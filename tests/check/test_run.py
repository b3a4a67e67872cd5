"""`seqmem check` on the command line: real trainings of a few steps."""

import json
import re
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from seqmem.baselines import BASELINES
from seqmem.baselines.spec import model_class
from seqmem.check import cell as check_cell
from seqmem.check.expectation import EXPECTATIONS, read_expectations
from seqmem.check.recipes import BRIEF, BRIEF_TASKS
from seqmem.check.run import CheckRequest, _plan, check, renew
from seqmem.measuring import reference, scoring
from seqmem.tasks import FAMILIES, SUITES, family_of
from seqmem.tests.command import Command, Ran
from seqmem.tests.faults import FAULTS, learning_rate

TASK = "hidden-markov/dwell=2"
STDLIB = "text:python-stdlib?unit=char"
LAYERS = """
import torch
from torch import nn

class ByHand(nn.LSTM):
    def forward(self, inputs, state=None):
        zeros = inputs.new_zeros(len(inputs), self.hidden_size)
        h, c = (zeros, zeros) if state is None else state
        features = []
        for step in inputs.unbind(1):
            entered = step @ self.weight_ih_l0.T + self.bias_ih_l0
            i, f, g, o = (entered + h @ self.weight_hh_l0.T + self.bias_hh_l0).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            features.append(h)
        return torch.stack(features, 1), (h, c)

class Right(nn.LSTM):
    pass

class Forgetful(nn.LSTM):
    def forward(self, inputs, state=None):
        return super().forward(inputs, None)

class OwnNames(nn.Module):
    def __init__(self, input_size, hidden_size, num_layers=1, batch_first=True):
        super().__init__()
        self.inner = nn.LSTM(input_size, hidden_size, num_layers, batch_first=batch_first)

    def forward(self, inputs, state=None):
        return self.inner(inputs, state)

class NoState(nn.LSTM):
    def forward(self, inputs, state=None):
        return super().forward(inputs, state)[0]

class Narrow(nn.LSTM):
    def __init__(self, input_size, hidden_size, num_layers=1, batch_first=True):
        super().__init__(input_size, hidden_size - 1, num_layers, batch_first=batch_first)
"""


@pytest.fixture
def checked(seqmem_: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return the command, with few targets, and an expectation of lstm in ./expected."""
    monkeypatch.setattr(check_cell, "TARGETS", 256)
    ran = seqmem_("check", "lstm", "--task", TASK, "--expectations", "expected", "--update")
    assert ran.status == 0, ran.err
    assert re.search(r"full +– +– +3\.", ran.out)
    return seqmem_


def run(command: Command, *arguments: str) -> Ran:
    return command("check", "--task", TASK, "--expectations", "expected", *arguments)


def files() -> list[str]:
    return sorted(path.name for path in Path("expected").rglob("*.json"))


def test_every_baseline_of_a_suite_has_an_expectation() -> None:
    """Those of BRIEF on two tasks, as no check has minutes to spare; named, they are on all."""
    synthetic = [task for task in SUITES["smoke"].tasks if FAMILIES[family_of(task)].data is None]
    known = {key for key in read_expectations(EXPECTATIONS)[0] if key[0] in synthetic}
    cells, *_ = _plan(CheckRequest(EXPECTATIONS, suite="smoke"), lambda line: None)
    planned = {cell.key for cell in cells if cell.task_id in synthetic}
    assert planned <= known
    assert {task for task, model in planned if model == "gla"} == set(BRIEF_TASKS)
    assert {task for task, model in planned if model == "lstm"} >= set(synthetic) - {STDLIB}
    needless = {name for name in BASELINES if not model_class(name).needs_separator}
    assert {model for _, model in planned} == needless
    assert set(BASELINES) >= BRIEF
    named, *_ = _plan(CheckRequest(EXPECTATIONS, ("gla",), suite="smoke"), lambda line: None)
    assert {cell.task_id for cell in named} >= set(synthetic) - {STDLIB}


def test_what_did_not_change_is_green(checked: Command) -> None:
    ran = run(checked, "lstm", "-o", "out.json", "-o", "out.xml", "-o", "out.md")
    assert ran.status == 0, ran.err
    assert "same to rounding" in Path("out.md").read_text()
    assert "1 green." in ran.out
    (cell,) = json.loads(Path("out.json").read_text())["cells"]
    assert [at["k"] for at in cell["points"]] == [1, 2, 4, "full"]
    assert all(at["difference"] == 0 for at in cell["points"])
    assert cell["speed"]["model_steps"] == 1
    root = ElementTree.parse("out.xml").getroot()
    assert root.find(".//testcase").get("name") == "lstm"  # type: ignore[union-attr]
    assert root.find(".//failure") is None
    assert Path("out.md").read_text().startswith("| task")


@pytest.mark.slow
def test_other_numerics_are_green_and_fresh_seeds_are_not_red(
    checked: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run(checked, "lstm", "--seed", "71", "--seed", "72")
    assert ran.status == 0 or "differ too much" in ran.err, ran.err
    assert " red" not in ran.out
    monkeypatch.setitem(scoring.STEPS, "cpu", 512)
    monkeypatch.setattr(reference, "STREAMS", 3)
    monkeypatch.setattr(check_cell, "THREADS", 2)
    request = CheckRequest(Path("expected"), ("lstm",), (TASK,))
    (verdict,) = check(request, lambda line: None).verdicts
    assert verdict.state == "green"


@pytest.mark.parametrize(
    "name",
    [
        "forget gate inverted",
        "state not carried",
        "targets off by one",
        "dropout left on in evaluation",
        "weight tying lost",
        "learning rate ten times too large",
    ],
)
def test_faults_are_red(checked: Command, name: str) -> None:
    with FAULTS[name].inject():
        ran = run(checked, "lstm", "--format", "github")
    assert ran.status == 1
    assert "::error title=seqmem check::lstm on hidden-markov/dwell=2: red: at " in ran.out
    assert "1 red" in ran.err


def test_a_training_that_diverges_is_red(checked: Command) -> None:
    with learning_rate(1e30)():
        ran = run(checked, "lstm")
    assert ran.status == 1
    assert "diverged" in ran.err


def test_what_is_missing_is_no_success(checked: Command) -> None:
    ran = run(checked, "lstm", "gru")
    assert ran.status == 1
    assert "gru on hidden-markov/dwell=2: missing: there is no expectation" in ran.err
    assert "1 green, 1 missing" in ran.err
    ran = run(checked, "gru")
    assert ran.status == 1


def test_data_that_changed_are_not_compared(checked: Command) -> None:
    (path,) = Path("expected").rglob("*.json")
    text = path.read_text()
    path.write_text(re.sub(r'("data_hash": ")....', r"\g<1>0000", text))
    ran = run(checked, "lstm")
    assert ran.status == 1
    assert "the test data changed and the expectation was not renewed" in ran.err
    path.write_text("{}")
    assert run(checked, "lstm").status == 2


def test_renewals_are_added_and_only_where_something_changed(checked: Command) -> None:
    again = run(checked, "lstm", "--update")
    assert again.status == 0
    assert "as before" in again.err
    assert files() == ["lstm.json"]
    with FAULTS["learning rate ten times too large"].inject():
        ran = run(checked, "lstm", "--update")
        assert ran.status == 0, ran.err
        assert "old loss" in ran.out
        assert files() == ["lstm.2.json", "lstm.json"]
        assert run(checked, "lstm").status == 0
    assert run(checked, "lstm").status == 1


def test_a_layer_of_ones_own(checked: Command) -> None:
    Path("layers.py").write_text(LAYERS)

    def against(name: str, *arguments: str) -> Ran:
        return run(checked, "--model", f"layers.py:{name}", "--against", "lstm", *arguments)

    for right in ("Right", "ByHand"):
        ran = against(right)
        assert ran.status == 0, ran.err
        assert "same to rounding" in ran.out
    assert against("Forgetful").status == 1
    own = against("OwnNames", "--seed", "0", "--seed", "1", "--seed", "2")
    assert own.status == 0 or "differ too much" in own.err, own.err
    assert "same to rounding" not in own.out
    for name, rule in (
        ("NoState", "must return a pair, features and the state after them"),
        ("Narrow", "must return (2, 3, 32)"),
        ("Missing", "there is no 'Missing' in layers"),
    ):
        ran = against(name)
        assert ran.status == 2
        assert rule in ran.err
        assert len(ran.err.strip().splitlines()) == 1
    wrong = checked("check", "--model", "layers.py:Right", "--task", TASK)
    assert wrong.status == 2
    assert "--against" in wrong.err
    tcn = run(checked, "--model", "layers.py:Right", "--against", "tcn")
    assert tcn.status == 2
    assert "rnn, lstm or gru" in tcn.err


def test_without_an_expectation_a_layer_is_compared_with_the_baseline_trained_here(
    checked: Command,
) -> None:
    Path("layers.py").write_text(LAYERS)
    task = ["--task", "adding-problem/T=5", "--expectations", "none"]
    ran = checked("check", *task, "--model", "layers.py:Right", "--against", "lstm")
    assert ran.status == 0, ran.err
    assert not Path("none").exists()


def test_other_processes_return_the_same(checked: Command) -> None:
    ran = run(checked, "lstm", "--format", "json")
    cells = ["lstm", "gru"]
    shared = run(checked, *cells, "--jobs", "2", "--format", "json")
    first, second = (json.loads(each.out)["cells"][0] for each in (ran, shared))
    assert second["model"] == "lstm"
    # Another process has only the recipe of the cell.
    assert [at["found"] for at in second["points"]] == [at["found"] for at in first["points"]]


def test_a_killed_process_costs_one_line(checked: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> Iterator[object]:
        raise BrokenProcessPool
        yield

    monkeypatch.setattr("seqmem.check.run.in_processes", killed)
    ran = run(checked, "lstm", "gru", "--jobs", "2", "--update")
    assert ran.status == 1
    assert ran.err == (
        "seqmem: a process was killed, as happens when memory runs out: fewer --jobs use less\n"
    )


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["lstm"], "no task is given"),
        (["lstm", "--suite", "smokes"], "unknown suite 'smokes'"),
        (["lsmt", "--task", TASK], "unknown model 'lsmt'"),
        (["lstm", "--task", TASK, "-o", "x.pdf"], "the ending chooses the format"),
        (
            ["lstm", "--task", TASK, "--update", "--seed", "3"],
            "a standard deviation needs two or more",
        ),
    ],
)
def test_wrong_input_costs_one_line(seqmem_: Command, arguments: list[str], rule: str) -> None:
    ran = seqmem_("check", *arguments)
    assert ran.status == 2
    assert rule in ran.err
    assert len(ran.err.strip().splitlines()) == 1


@pytest.mark.slow
def test_every_planted_fault_is_red(tmp_path: Path) -> None:
    """The first cell of each fault, under the recipes of the check as they are."""
    cells = sorted({fault.cells[0] for fault in FAULTS.values()})
    for model, task in cells:
        (renewal,) = renew(CheckRequest(tmp_path, (model,), (task,), seeds=(0, 1)), print)
        assert renewal.path is not None
    states = {}
    with torch.random.fork_rng():
        for name, fault in FAULTS.items():
            model, task = fault.cells[0]
            with fault.inject():
                report = check(CheckRequest(tmp_path, (model,), (task,)), print)
            (verdict,) = report.verdicts
            states[name] = verdict.state
    assert set(states.values()) == {"red"}, states
    assert len(states) >= 12
