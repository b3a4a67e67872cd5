"""`seqmem eval` when a cell fails, memory or disk is full, or the run is interrupted."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file
from torch import Tensor

from seqmem.baselines import tcn as convolutional
from seqmem.baselines.training.loop import train
from seqmem.errors import CellError
from seqmem.lifetime import ENDING
from seqmem.measuring.curve import measure
from seqmem.runs import run_cell
from seqmem.tasks.model import State
from seqmem.tests.command import QUICK, Command, record_files, without_times


def nan_where(monkeypatch: pytest.MonkeyPatch, broken: Callable[[Tensor], bool]) -> None:
    """Let every TCN return NaN for the inputs (B, L, …) for which `broken` is true."""
    usual = convolutional.TCN.hidden

    def breaks(model: convolutional.TCN, inputs: Tensor, state: State = None) -> object:
        features, state = usual(model, inputs, state)
        return features * (math.nan if broken(inputs) else 1), state

    monkeypatch.setattr(convolutional.TCN, "hidden", breaks)


def test_a_k_that_fails_costs_one_line_and_leaves_the_others(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nan_where(monkeypatch, lambda inputs: inputs.shape[1] == 2 and len(inputs) > 32)
    for _ in range(2):  # the second time from the record
        ran = seqmem_("eval", "tcn", *QUICK)
        assert ran.status == 1
        assert "k=2: the model's outputs are not finite" in ran.err
        (path,) = record_files(tmp_path)
        record = json.loads(path.read_text())
        assert [point["k"] for point in record["curve"]] == [1, 4, 5, "full"]
        assert "adding-problem/T=5" in ran.out


def test_a_baseline_that_fails_the_gate_gets_no_record_and_keeps_its_weights(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        nan_where(patch, lambda inputs: inputs.shape[1] == 2)
        ran = seqmem_("eval", "tcn", "marginal", *QUICK)
    assert ran.status == 1
    assert "tcn on adding-problem/T=5 is refused: finite" in ran.err
    assert "output 0 of a window of 2 inputs is not finite" in ran.err  # the report's example
    (path,) = record_files(tmp_path)  # the other model's
    assert json.loads(path.read_text())["model"]["name"] == "marginal"
    again = seqmem_("eval", "tcn", *QUICK)
    assert again.status == 0
    assert "trained" not in again.err


def test_a_record_has_the_checks_that_its_baseline_passed(seqmem_: Command, tmp_path: Path) -> None:
    ran = seqmem_("eval", "gru", *QUICK)
    assert ran.status == 0, ran.err
    (path,) = record_files(tmp_path)
    checks = json.loads(path.read_text())["validity"]["checks"]
    assert {"finite", "causality", "batch", "repeat", "optimum"} <= {c["name"] for c in checks}
    assert all(check["passed"] and check["compared"] for check in checks)


def test_a_folder_that_cannot_be_made_is_found_before_training(
    seqmem_: Command, tmp_path: Path
) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "records").write_text("in the way")
    ran = seqmem_("eval", "lstm", *QUICK)
    assert ran.status == 1
    assert "results/records" in ran.err
    assert "trained" not in ran.err


def flipped(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 64]) + content[-4:]


@pytest.mark.parametrize("damage", [lambda content: content[:100], flipped])
def test_damaged_weights_are_trained_again(
    seqmem_: Command, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    seqmem_("eval", "lstm", *QUICK)
    (weights,) = (tmp_path / "results" / "checkpoints").rglob("weights.safetensors")
    before = weights.read_bytes()
    weights.write_bytes(damage(before))
    ran = seqmem_("eval", "lstm", *QUICK, "--k", "3,full")
    assert ran.status == 0
    assert "trained" in ran.err
    after = load_file(weights)
    assert all(torch.equal(value, after[name]) for name, value in load(before).items())


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
    assert "1 failed, the others are saved" in ran.err
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


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGINT, "interrupted;"),
        (signal.SIGTERM, "ended by SIGTERM;"),
        (signal.SIGHUP, "ended by SIGHUP;"),
    ],
)
def test_a_signal_that_asks_for_the_end_is_one_line_and_the_run_resumes(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, said: str
) -> None:
    # As in a terminal, also where these tests run in the background or after nohup.
    before = [signal.signal(each, signal.SIG_DFL) for each in ENDING]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _end_and_resume(seqmem_, monkeypatch, tmp_path, number, said)
    finally:
        for each, handler in zip(ENDING, before, strict=True):
            signal.signal(each, handler)


def _end_and_resume(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, said: str
) -> None:
    handlers = [signal.getsignal(each) for each in ENDING]
    expected = seqmem_("eval", "lstm", "tcn", *QUICK, "--results", "whole")

    def interrupted(model: object, *arguments: object, **options: object) -> object:
        if type(model).__name__ == "TCN":
            try:
                os.kill(os.getpid(), number)
            finally:  # sent again while the command ends, as `timeout` and terminals do
                os.kill(os.getpid(), signal.SIGTERM)
        return measure(model, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("seqmem.measuring.record.measure", interrupted)
    ran = seqmem_("eval", "lstm", "tcn", *QUICK)
    assert ran.status == 128 + number
    assert ran.err.splitlines()[-1].startswith(f"seqmem: {said}")
    assert "resumes from there" in ran.err.splitlines()[-1]
    assert handlers == [signal.getsignal(each) for each in ENDING]
    assert len(record_files(tmp_path / "results")) == 1
    monkeypatch.setattr("seqmem.measuring.record.measure", measure)
    ran = seqmem_("eval", "lstm", "tcn", *QUICK)
    assert "already measured" in ran.err
    assert "trained" not in ran.err  # both were
    assert ran.out == expected.out


def test_a_signal_that_is_ignored_stays_ignored(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `nohup`."""

    def hung_up(*arguments: object, **options: object) -> object:
        os.kill(os.getpid(), signal.SIGHUP)
        return measure(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("seqmem.measuring.record.measure", hung_up)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert seqmem_("eval", "marginal", *QUICK).status == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_kill_in_the_middle_of_training_loses_little(tmp_path: Path) -> None:
    """A real process is killed; the second run writes the record of an uninterrupted one."""
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
