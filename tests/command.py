"""The command line run within a test, and the records that it writes."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from seqmem import submit

QUICK = ["--task", "adding-problem/T=5", "--budget", "smoke"]


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


class Command:
    """Runs `seqmem …` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capsys, self._patch = capsys, patch

    def __call__(self, *arguments: str) -> Ran:
        self._patch.setattr(sys, "argv", ["seqmem", *arguments])
        try:
            submit.main()
        except SystemExit as end:
            status = int(end.code or 0)
        else:
            status = 0
        out, err = self._capsys.readouterr()
        return Ran(status, out, err)


def without_times(path: Path) -> dict[str, object]:
    record = json.loads(path.read_text())
    record["created"] = record["environment"]["peak_memory_mib"] = None
    record["measurement"]["seconds"] = None
    if record["training"]["result"] is not None:  # else nothing was trained
        record["training"]["result"]["seconds"] = None
    record["training"]["environment"]["peak_memory_mib"] = None
    return dict(record)


def record_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.json"))
