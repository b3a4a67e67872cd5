"""`import seqmem`: the same cells and records as the command line, as data frames and pictures."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seqmem
from seqmem.baselines.training.loop import seeded
from seqmem.errors import InputError, RefusedError
from seqmem.tests.command import Command, record_files, without_times

TASK = "adding-problem/T=5"
LAYER = Path(__file__).parent.parent.parent / "examples" / "mingru.py"


class Mixer(nn.Module):
    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.mix = nn.Linear(d_model, d_model)

    def forward(self, features: Tensor) -> Tensor:
        return self.mix(features).cumsum(1)  # type: ignore[no-any-return]


class Ahead(nn.Module):
    """Outputs that depend on later inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.leave = nn.Linear(2, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.leave(inputs + inputs.flip(1))  # type: ignore[no-any-return]


@pytest.fixture
def quiet(seqmem_: Command) -> dict[str, Any]:
    """Settings of short trainings, in an empty folder."""
    return {"budget": "smoke", "verbose": False}


def test_importing_it_costs_no_torch() -> None:
    code = (
        "import sys, seqmem; heavy = {'torch', 'pandas', 'numpy'} & sys.modules.keys();"
        "assert not heavy, heavy; assert set(seqmem.__all__) <= set(dir(seqmem));"
        "assert callable(seqmem.tasks) and callable(seqmem.leaderboard);"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_exist_and_others_do_not() -> None:
    for name in seqmem.__all__:
        assert getattr(seqmem, name)
    with pytest.raises(AttributeError, match="has no attribute"):
        seqmem.trainer  # noqa: B018


def test_lists_are_data_frames() -> None:
    assert "lstm" in seqmem.models().index
    assert "copy-memory/T=10" in seqmem.tasks().index  # type: ignore[operator]
    task = seqmem.load_task(TASK)
    assert repr(task) == f"{TASK}: squared error, context up to k = 5 may help"
    board = seqmem.leaderboard("adding-problem/T=50")  # type: ignore[operator]
    assert {"model", "k", "loss", "seed"} <= set(board.columns)


def test_records_equal_those_of_the_command_line(
    quiet: dict[str, Any], seqmem_: Command, tmp_path: Path
) -> None:
    model = f"{LAYER}:MinGRU:hidden=6"
    ran = seqmem_(
        "eval", model, "lstm", "--task", TASK, "--budget", "smoke", "--seed", "0", "--seed", "1",
        "--set", "learning_rate=0.01", "--results", "cli",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    recipe = {"learning_rate": 0.01}
    both = seqmem.evaluate(
        [model, "lstm"], TASK, seeds=2, recipe=recipe, results="evaluate", **quiet
    )
    assert not both.failures
    for name in (model, "lstm"):
        run = seqmem.train(name, TASK, seeds=2, recipe=recipe, results="train", **quiet)
        curve = seqmem.measure(run, verbose=False)
        assert len(curve.records) == 2
    first, second, third = (record_files(tmp_path / f) for f in ("cli", "evaluate", "train"))
    assert [p.name for p in first] == [p.name for p in second] == [p.name for p in third]
    for paths in zip(first, second, third, strict=True):
        assert without_times(paths[0]) == without_times(paths[1]) == without_times(paths[2])
    assert "MinGRU:hidden=6 (own)" in repr(both)
    assert len(both.curves) == 2


def test_threads_are_set_for_training_and_measuring(seqmem_: Command) -> None:
    usual, seen = torch.get_num_threads(), list[int]()

    class Counting(Mixer):
        def forward(self, features: Tensor) -> Tensor:
            seen.append(torch.get_num_threads())
            return super().forward(features)

    settings: dict[str, Any] = {"budget": "smoke", "verbose": False, "options": {"hidden": 4}}
    run = seqmem.train(Counting, TASK, threads=usual + 1, recipe={"steps": 2}, **settings)
    assert seen[-1] == usual + 1  # after trials
    seen.clear()
    seqmem.measure(run, k=[1], threads=usual + 1, verbose=False)
    assert set(seen) == {usual + 1}
    assert run.training[0]["environment"]["threads"] == usual + 1
    assert torch.get_num_threads() == usual


@pytest.mark.parametrize("verbose", [True, False])
def test_bars_of_a_notebook_are_silent_if_asked(
    seqmem_: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verbose: bool,
) -> None:
    kernel = SimpleNamespace(IPKernelApp=SimpleNamespace(initialized=lambda: True))
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", kernel)  # as in a notebook
    settings: dict[str, Any] = {"budget": "smoke", "recipe": {"steps": 2}, "verbose": verbose}
    run = seqmem.train("lstm:hidden=4", TASK, **settings)
    seqmem.measure(run, k=[1], verbose=verbose)
    seqmem.evaluate("lstm:hidden=4", TASK, k=[2], **settings)
    shown = capsys.readouterr().err
    assert ("train lstm" in shown, "measure lstm" in shown) == (verbose, verbose)
    assert verbose or not shown


def test_a_class_in_memory(quiet: dict[str, Any], tmp_path: Path) -> None:
    run = seqmem.train(Mixer, TASK, options={"hidden": 6}, seeds=[3], **quiet)
    assert repr(run).startswith(f"Mixer:hidden=6 on {TASK}, budget smoke, seeds 3, best")
    curve = seqmem.measure(run.model, TASK, k=[1, 3, "full"], verbose=False)
    assert curve.name == "Mixer:hidden=6"
    assert curve.records[0].training["seed"] == 3
    assert list(curve.frame["k"]) == [1, 3, "full"]
    assert curve.need.largest == 3
    flat = curve.to_dict()
    assert [*flat] == [f"seqmem/{TASK}/{name}" for name in ("k=1", "k=3", "full")]
    assert curve.need.k is None  # else it is the last
    assert all(type(value) is float for value in flat.values())
    assert flat[f"seqmem/{TASK}/full"] == curve.records[0].curve[-1].loss.mean
    assert repr(curve).startswith(f"Mixer:hidden=6 on {TASK}: mean squared error 0.")
    shown = curve._repr_html_()
    assert shown.count("<tr>") == 4
    first = curve.records[0].curve[0]
    assert f"<td>{first.loss.mean:.4f} ±" in shown
    assert f"<th>optimum</th><td>{first.optimum:.4f}</td>" in shown
    assert f"<th>chance</th><td>{curve.records[0].task.chance:.4f}</td>" in shown
    with torch.no_grad():  # it is no longer what was trained
        run.model.leave.bias += 1  # type: ignore[operator, union-attr]
    changed = seqmem.measure(run.model, TASK, k=[1, 3, "full"], verbose=False)
    assert changed.records[0].training["budget"] == "elsewhere"
    assert changed.records[0].curve[0].loss.mean > curve.records[0].curve[0].loss.mean


def test_a_curve_is_saved_once_plotted_and_compared(quiet: dict[str, Any], tmp_path: Path) -> None:
    task = "adding-problem/T=20"
    run = seqmem.train(Mixer, task, options={"hidden": 6}, **quiet)
    curve = seqmem.measure(run.model, task, name="mine", verbose=False)
    assert curve.save() == curve.save("results")
    with pytest.raises(InputError, match=r"curve.plot\(\).save\(.curve.pdf.\) writes a picture"):
        curve.save("curve.pdf")
    shown = seqmem.leaderboard(task)  # type: ignore[operator]
    assert {"mine", "lstm"} <= set(shown["model"])
    found = seqmem.compare(curve, "lstm", k=8)
    assert (found.first, found.second, found.k) == ("mine", "lstm", 8)
    assert found.better == "lstm"
    assert str(found).startswith(f"lstm is better than mine on {task} at k = 8: its loss is lower")
    pytest.importorskip("vl_convert")
    picture = curve.plot("lstm", "tcn")
    assert all(f">{name}<" in picture._repr_svg_() for name in ("mine", "lstm", "tcn"))
    assert picture.save("a.svg").read_text().startswith("<svg")
    with pytest.raises(InputError, match="did you mean lstm"):
        curve.plot("lsmt")


def test_findings_of_the_gate_are_warnings_unless_strict(quiet: dict[str, Any]) -> None:
    with seeded(0):
        model = Ahead().train()
    with pytest.warns(UserWarning, match="is refused: causality.* replacing inputs 2..3 changed"):
        curve = seqmem.measure(model, TASK, verbose=False)
    assert not all(check["passed"] for check in curve.records[0].validity["checks"])  # type: ignore[index]
    with pytest.raises(RefusedError, match="causality"):
        seqmem.measure(model, TASK, strict=True, verbose=False)
    assert model.training  # as it was


def test_a_dictionary_of_scores_is_understood(seqmem_: Command) -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 1)

        def forward(self, inputs: Tensor) -> dict[str, Tensor]:
            return {"logits": self.inner(inputs), "inputs": inputs}

    with seeded(0):
        model = Wrapped()
    found = [
        seqmem.measure(each, TASK, verbose=False).records[0].curve for each in (model, model.inner)
    ]
    assert found[0] == found[1]


class Sums(nn.Module):
    """Neither a state nor a bound on how far it looks back."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, vocabulary)

    def forward(self, ids: Tensor) -> Tensor:
        return self.embed(ids).cumsum(1)  # type: ignore[no-any-return]


def test_what_cannot_be_measured_is_said_first(
    seqmem_: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("abcab " * 250_000)
    task = seqmem.load_task("text:a.txt?unit=char")
    with seeded(0):
        model = Sums(task.outputs)
    curve = seqmem.measure(model, task, k=[1, 4, "full"], precision="5%")
    lines = capsys.readouterr().err.splitlines()
    note = next(i for i, line in enumerate(lines) if "measured to k = 4" in line)
    assert note < next(i for i, line in enumerate(lines) if "checks of validity" in line)
    assert list(curve.frame["k"]) == [1, 4]
    assert "at k = 4" in repr(curve)


def linear() -> nn.Module:
    with seeded(0):
        return nn.Linear(2, 1)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: seqmem.measure("lstm", TASK), "`seqmem eval lstm` trains it"),
        (lambda: seqmem.measure(linear(), "adding"), "unknown task"),
        (lambda: seqmem.measure(linear()), "no task is given"),
        (
            lambda: seqmem.measure(nn.Linear, TASK),  # type: ignore[arg-type]
            "a class is trained with seqmem.train",
        ),
        (lambda: seqmem.measure(linear(), "copy-memory/T=10"), "called with inputs .2, 3. it"),
        (lambda: seqmem.measure(linear(), TASK, name="lstm"), "'lstm': is a baseline of seqmem"),
        (lambda: seqmem.measure(linear(), TASK, name="a/b"), "'a/b': a name has 1 to 64"),
        (lambda: seqmem.measure(linear(), TASK, k=0), "a context length is a whole"),
        (lambda: seqmem.measure(linear(), TASK, precision="x"), "is a positive share"),
        (lambda: seqmem.train(nn.Linear, TASK, budget="smoke"), "is of no known kind"),
        (lambda: seqmem.train("lstm", TASK, recipe={"step": 3}), "'step' is not set so"),
        (lambda: seqmem.train("lstm", TASK, k=8), "k=8: is no setting of training"),
        (lambda: seqmem.train("lstm", TASK, threads=0), "threads=0: is a whole number from 1"),
        (lambda: seqmem.measure(linear(), TASK, threads=0), "threads=0: is a whole number from 1"),
        (lambda: seqmem.train("lstm", TASK, threads=1.5), "threads=1.5: is a whole"),
        (lambda: seqmem.evaluate("lstm", TASK, jobs=0), "jobs=0: is a whole number from 1"),
        (lambda: seqmem.compare("lstm", "tcn", task="x"), "unknown task among the records 'x'"),
        (lambda: seqmem.compare("lstm", None), "None is no model"),  # type: ignore[arg-type]
        (lambda: seqmem.train(linear(), TASK), r"Linear\(…\) is a module: give its class"),
        (lambda: seqmem.train("lstm", TASK, seeds=0), "seeds=0: is a whole number from 1"),
        (lambda: seqmem.measure(linear(), TASK, k=[]), "names no context length"),
        (lambda: seqmem.load_task(5), "5 is no task's id"),  # type: ignore[arg-type]
        (lambda: seqmem.compare("lstm", "tnc"), "did you mean tcn"),
    ],
)
def test_mistakes_cost_one_line(call: Any, says: str, seqmem_: Command) -> None:
    with pytest.raises(InputError, match=says):
        call()
