"""Failures: files about cells whose training diverged. They are no records: nothing was measured.

The file name contains the hash of everything that determines the training, so that the same
training is not repeated.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import with_config

from seqmem.files import read_file
from seqmem.leaderboard.store import FAILURES, record_directory, write_once
from seqmem.leaderboard.validation import Positive, validated

__all__ = ["Failure", "find_failure", "read_failures", "write_failure"]

SCHEMA = 1


@with_config(extra="forbid")
@dataclass(frozen=True)
class Failure:
    """A training that diverged.

    Attributes:
        created: when, ISO 8601, UTC.
        reason: what was observed.
        step: the optimiser step at which it was observed, from 1 on.
        losses: mean training losses of the latest steps, in order and in the loss's unit; in JSON,
            "nan" and "inf" if they are not finite.
        cell: model, task and its version, k_train, state, seed, budget.
        recipe: how it was trained.
        suite: version, git commit and whether files were changed since.
        environment: packages, device, threads, peak memory.
    """

    created: str
    reason: str
    step: Positive
    losses: tuple[float, ...]
    cell: Mapping[str, Any]
    recipe: Mapping[str, Any]
    suite: Mapping[str, Any]
    environment: Mapping[str, Any]


def write_failure(failure: Failure, results: Path, stem: str) -> Path:
    """Write a failure below ``results/failures`` without overwriting another; return its path.

    Raises:
        OSError: it cannot be written; no file is left.
    """
    losses = [loss if math.isfinite(loss) else str(loss) for loss in failure.losses]
    content = {"failure": SCHEMA, **asdict(failure), "losses": losses}
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"
    return write_once(text, _folder(results, failure.cell["task"]), stem)


def find_failure(results: Path, task_id: str, stem: str) -> tuple[Failure, Path] | None:
    """Return the latest failure written under a stem and its path; None if there is none.

    Files that cannot be read are skipped: the training is tried again.
    """
    folder = _folder(results, task_id)
    paths = [*folder.glob(f"{stem}.json"), *folder.glob(f"{stem}.*.json")]
    return max(_read(paths), key=lambda pair: pair[0].created, default=None)


def read_failures(results: Path) -> list[Failure]:
    """Return every failure below ``results/failures``, by path; skip files that cannot be read."""
    return [failure for failure, _ in _read(sorted((results / FAILURES).rglob("*.json")))]


def _read(paths: Iterable[Path]) -> list[tuple[Failure, Path]]:
    found = []
    for path in paths:
        try:
            data = orjson.loads(read_file(path))
            data.pop("failure")
            found.append((validated(Failure, data), path))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def _folder(results: Path, task_id: str) -> Path:
    return record_directory(results / FAILURES, task_id)
