"""The losses of single targets: those that are known, as computed from their windows."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow.parquet import ParquetFile

import seqmem
from seqmem.api.model_curve import ModelCurve
from seqmem.errors import InputError
from seqmem.measuring import estimate as estimating
from seqmem.measuring import target_losses
from seqmem.measuring.curve import Curve, measure
from seqmem.measuring.target_losses import TargetLosses, known_losses
from seqmem.tasks.copy_memory import CopyMemory
from seqmem.tasks.task import Context
from seqmem.tests.command import Command, record_files
from seqmem.tests.measuring.small_models import make
from seqmem.tests.records import make_record

CONTEXTS: list[Context] = [1, 4, 13, 30, "full"]
BUILD = """
from torch import nn

class Sums(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.enter, self.leave = nn.Embedding(inputs, 4), nn.Linear(4, outputs)
    def forward(self, x):
        return self.leave(self.enter(x.long()).cumsum(1))

def build(inputs, outputs):
    return Sums(inputs.vocabulary, outputs)
"""


@pytest.fixture(scope="module")
def task() -> CopyMemory:
    return CopyMemory(2, 12)  # sequences of 22 to 32 inputs


@pytest.fixture(scope="module")
def exact(task: CopyMemory) -> Curve:
    return measure(make("lstm", task), task, task.split("test"), CONTEXTS)


def test_an_exact_curve_has_every_loss(task: CopyMemory, exact: Curve) -> None:
    frame = known_losses(exact, task, "lstm").frame()
    assert frame.k.unique().tolist() == [str(k) for k in CONTEXTS]
    for k in CONTEXTS:
        at = frame[frame.k == str(k)]
        assert at.target.tolist() == list(range(len(task.split("test"))))
        assert at.loss.to_numpy() == pytest.approx(exact.at(k).losses)
    assert frame[frame.k == "4"].scored.all()
    split = task.split("test")
    some = frame.sample(200, random_state=0)
    assert (some.position == split.positions.numpy()[some.target]).all()
    assert (some.block == split.blocks.numpy()[some.target]).all()
    assert (some.slot == [f"symbol {i % 10 + 1}" for i in some.target]).all()


def test_a_sampled_curve_has_only_losses_that_are_known(
    task: CopyMemory, exact: Curve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimating, "CHEAP", 0)
    split = task.split("test")
    curve = measure(make("lstm", task), task, split, CONTEXTS, precision=0.05)
    frame = known_losses(curve, task, "lstm").frame()
    available = split.available.numpy()
    assert curve.at(13).method == "sample"
    for k in CONTEXTS:
        at = frame[frame.k == str(k)]
        assert at.target.is_monotonic_increasing
        assert at.target.is_unique
        assert at.loss.to_numpy() == pytest.approx(exact.at(k).losses[at.target], abs=1e-5)
        if k != "full" and curve.at(k).method == "sample":
            assert set(at.target[at.scored]) == set(curve.scored.losses[k][0].tolist())
            assert set(at.target) == set(at.target[at.scored]) | set(
                np.flatnonzero(available <= k).tolist()
            )
            assert len(at) < len(split)


def test_a_file_holds_the_same_in_row_groups(
    task: CopyMemory, exact: Curve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target_losses, "ROWS", 7000)
    found = known_losses(exact, task, "lstm")
    path = tmp_path / "lstm.parquet"
    found.write(path)
    file = ParquetFile(path)
    assert file.num_row_groups == len(CONTEXTS) * 3  # of 20,000 targets
    metadata = file.schema_arrow.metadata
    assert metadata[b"seqmem.task"] == b"copy-memory/T=2-12"
    assert metadata[b"seqmem.model"] == b"lstm"
    pd.testing.assert_frame_equal(pd.read_parquet(path), found.frame())
    assert [path.name for path in tmp_path.iterdir()] == ["lstm.parquet"]
    with pytest.raises(InputError, match="cannot be written"):
        found.write(tmp_path / "none" / ".." / "lstm.parquet" / "x.parquet")


def test_models_join_on_the_target(seqmem_: Command, tmp_path: Path) -> None:
    """And groups of a file have the means of the record."""
    (tmp_path / "my.py").write_text(BUILD)
    asked = ["--task", "copy-memory/T=2-12", "--k", "1,full", "--exact"]
    for name in ("one", "two"):
        ran = seqmem_(
            *("measure", "my.py:build", *asked, "--losses", f"{name}.parquet"),
            *("--name", name, "--save", name),
        )
        assert ran.status == 0, ran.err
    one, two = (pd.read_parquet(f"{name}.parquet") for name in ("one", "two"))
    both = one.merge(two, on=["target", "k"], suffixes=("", "_two"), validate="one_to_one")
    assert len(both) == len(one) == 2 * 20_000
    assert (both.position == both.position_two).all()
    records = seqmem.leaderboard(records=[tmp_path / "one"])  # type: ignore[operator]
    assert len(record_files(tmp_path)) == 2
    means = one.groupby("k", observed=True).loss.mean()
    for k, loss in zip(records.k, records.loss, strict=True):
        assert means[str(k)] == pytest.approx(loss)


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        (["--losses", "losses.csv"], "ends in .parquet"),
        (["--losses", "none/losses.parquet"], "there is no such folder"),
        (["--losses", "a.parquet", "--task", "copy-memory/T=10"], "a file holds one task"),
    ],
)
def test_wrong_files_are_refused_before_measuring(
    losses: list[str], says: str, seqmem_: Command, tmp_path: Path
) -> None:
    (tmp_path / "my.py").write_text(BUILD)
    ran = seqmem_("measure", "my.py:build", "--task", "copy-memory/T=2-12", *losses)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert says in ran.err


def test_python_gets_them_with_the_curve(task: CopyMemory, exact: Curve) -> None:
    curve = seqmem.measure(make("lstm", task), task, k=[1, "full"], verbose=False)
    frame = curve.losses()
    full = frame[frame.k == "full"]
    assert full.loss.to_numpy() == pytest.approx(exact.at("full").losses, abs=1e-5)
    (split,) = (each for each in curve.records[0].strata if each.by == "slot")
    assert full.groupby("slot", observed=True).loss.mean()["symbol 3"] == pytest.approx(
        split.curve[-1].loss[2]
    )
    assert (frame.seed == curve.records[0].training["seed"]).all()
    again: ModelCurve = pickle.loads(pickle.dumps(curve))
    assert isinstance(again.target_losses[0], TargetLosses)
    with pytest.raises(InputError, match="measure again under a name"):
        ModelCurve((make_record({"full": 0.5}),)).losses()
