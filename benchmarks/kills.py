"""What a command leaves when it is ended at a random moment: processes, files, records.

Each kill starts a random command of `MODES`, waits for a random part of the time that the command
takes, and sends a random signal: to its process, or, as a terminal does, to its group (SIGKILL to
the process alone). Then no descendant of the command may remain, and nothing in its temporary
folder; every record in its results must be whole, and those that were there before unchanged. At
the end each command is run once more with the results that its kills left: its records must be
those of a run without kills, and no temporary file may be left beside them.

Exit status 1 if anything is left or lost. Linux only: orphans become children of this process.
"""

import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import machine, say

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
PATIENCE = 60.0  # seconds until the processes must have ended, on a machine that does other work
SHARED = ("torchinductor_",)  # what torch, not this package, puts into the temporary folder

TASK = ["--task", "copy-memory/T=10", "--k", "1,full"]
EVAL = ["eval", "marginal", "rnn", *TASK, "--budget", "smoke", "--results", "results"]
SUBMIT = ["--name", "own", *TASK, "--results", "results"]
MODES: Mapping[str, Sequence[str]] = {
    "eval": EVAL,
    "eval --jobs 2": [*EVAL, "--jobs", "2"],
    "eval --devices 2": [*EVAL, "--devices", "2"],
    "eval --ray": [*EVAL, "--ray"],
    "check --jobs 2": ["check", "lstm", "gru", *TASK[:2], "--jobs", "2"],
    "submit model.onnx": ["submit", "../model.onnx", *SUBMIT],
    "submit model.py:build": ["submit", "../model.py:build", *SUBMIT],
}
PYTHON_MODEL = """
from torch import nn

def build(inputs, outputs):
    return nn.Embedding(inputs.vocabulary, outputs)
"""


@dataclass
class Mode:
    """A command, its folder, and what a run without kills gave."""

    command: list[str]
    folder: Path
    seconds: float = 0.0
    expected: Mapping[str, Any] = field(default_factory=dict)


def started(mode: Mode, temporary: Path) -> "subprocess.Popen[bytes]":
    """Start a mode's command in a process group of its own."""
    mode.folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "seqmem", *mode.command],
        cwd=mode.folder,
        env={**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=said_by(mode).open("w"),  # a pipe would be held open by what outlives the command
        process_group=0,
    )


def said_by(mode: Mode) -> Path:
    return mode.folder.with_suffix(".stderr")


def finished(mode: Mode, temporary: Path) -> None:
    """Run a mode's command to its end.

    Raises:
        RuntimeError: it failed.
    """
    if status := started(mode, temporary).wait():
        raise RuntimeError(f"{mode.command}: status {status}: {said_by(mode).read_text()}")


def descendants() -> dict[int, str]:
    """Return the command lines of all processes below this one that have not ended, by id."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                parents[int(folder.name)] = int(fields[1]), (folder / "cmdline").read_text()
        except OSError:
            continue
    below: dict[int, str] = {}
    waiting = [os.getpid()]
    while waiting:
        parent = waiting.pop()
        found = {pid: text for pid, (above, text) in parents.items() if above == parent}
        below |= found
        waiting += found
    return {pid: text.replace("\0", " ")[:100] for pid, text in below.items()}


def reap() -> None:
    """Wait for orphans that have ended, as the system's first process does."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def records(folder: Path) -> dict[str, Any]:
    """Return every record of a mode by path, without times.

    Raises:
        ValueError: one is not whole.
    """
    found = {}
    for path in sorted(folder.glob("results/records/**/*.json")):
        record = json.loads(path.read_text())
        kept = {name: record[name] for name in ("task", "curve")}
        kept["weights"] = record["model"].get("weights_sha256")
        found[str(path.relative_to(folder))] = kept
    return found


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.glob("results/records/**/*.json")}


def kill(name: str, mode: Mode, rng: random.Random, temporary: Path) -> list[str]:
    """Start a mode's command, send it a random signal, and return what it leaves or loses."""
    if mode.expected and records(mode.folder).keys() == mode.expected.keys():
        shutil.rmtree(mode.folder)
    before = contents(mode.folder)
    number, to_group = rng.choice(SIGNALS), rng.random() < 0.5
    wait = rng.uniform(0.0, mode.seconds)
    shared_memory = {*os.listdir("/dev/shm")}
    process = started(mode, temporary)
    end = time.monotonic() + wait
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    seen = descendants()
    in_time = process.poll() is None
    if in_time:
        send = os.killpg if to_group and number != signal.SIGKILL else os.kill
        send(process.pid, number)
    sent = time.monotonic()
    problems = []
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        problems.append(f"runs {PATIENCE:.0f} s after the signal")
        process.kill()
        process.wait()
    said = said_by(mode).read_text()
    while (left := descendants()) and time.monotonic() < sent + PATIENCE:
        reap()
        time.sleep(0.05)
    took = time.monotonic() - sent
    for pid, text in left.items():
        problems.append(f"process left: {text}")
        os.kill(pid, signal.SIGKILL)
    reap()
    problems += [f"in the temporary folder: {name}" for name in files_in(temporary)]
    ours = tuple(f"-{pid}-" for pid in seen)
    problems += [
        f"in shared memory: {name}"
        for name in {*os.listdir("/dev/shm")} - shared_memory
        if any(mark in name for mark in ours)
    ]
    if "Traceback" in said:
        problems.append(f"traceback: {said[-300:]}")
    # A signal before the command has begun ends Python itself.
    if in_time and process.returncode not in (0, 128 + number, -number):
        problems.append(f"status {process.returncode}: {said[-300:]}")
    try:
        records(mode.folder)
    except ValueError as error:
        problems.append(f"half a record: {error}")
    after = contents(mode.folder)
    problems += [f"record lost: {path}" for path in before if after.get(path) != before[path]]
    whom = "the group" if to_group and number != signal.SIGKILL else "the process"
    when = f"{signal.Signals(number).name} to {whom} after {wait:.1f} s" if in_time else "had ended"
    say(
        f"{name}: {when}; status {process.returncode}, all ended {took:.1f} "
        f"s later{''.join('; ' + problem for problem in problems)}"
    )
    return problems


def files_in(temporary: Path) -> list[str]:
    return [name for name in os.listdir(temporary) if not name.startswith(SHARED)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mode", choices=MODES, action="append")
    given = parser.parse_args()
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    # Commands inherit what is ignored, as Ctrl-C is in a shell's background jobs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        root = Path(name)
        temporary = root / "tmp"
        temporary.mkdir()
        (root / "model.py").write_text(PYTHON_MODEL)
        modes = {
            text: Mode([*MODES[text]], root / f"mode{n}")
            for n, text in enumerate(given.mode or MODES)
        }
        say(f"{machine()}; load {os.getloadavg()[0]:.1f}")
        if "submit model.onnx" in modes:
            trained = Mode([*EVAL], root / "trained")
            finished(trained, temporary)
            (weights,) = trained.folder.glob("results/checkpoints/rnn-*/weights.safetensors")
            finished(Mode(["export", str(weights), "../model.onnx"], root / "x"), temporary)
        for text, mode in modes.items():
            began = time.monotonic()
            finished(mode, temporary)
            mode.seconds, mode.expected = time.monotonic() - began, records(mode.folder)
            say(f"{text}: {mode.seconds:.1f} s, {len(mode.expected)} records")
        chosen = [rng.choice([*modes]) for _ in range(given.kills)]
        bad = sum(bool(kill(text, modes[text], rng, temporary)) for text in chosen)
        say(f"{given.kills} kills; {bad} left or lost something")
        for text, mode in modes.items():
            finished(mode, temporary)
            same = records(mode.folder) == mode.expected
            files = [*mode.folder.rglob("*.tmp"), *files_in(temporary)]
            say(f"{text}, run to its end: same records: {same}; temporary files: {len(files)}")
            bad += not same or bool(files)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
