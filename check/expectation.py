"""Expectations on disk: one small file for each baseline on each task, and for each renewal.

A renewal is a new file beside the older ones (``lstm.json``, ``lstm.2.json``, …); the highest
number is the valid one.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from seqmem.check.curves import Curves
from seqmem.check.margin import fresh_margin, half_widths, same_half_width, same_margin, spread
from seqmem.files import read_file
from seqmem.leaderboard.store import record_directory, write_once
from seqmem.leaderboard.validation import Number, validated

__all__ = [
    "EXPECTATIONS",
    "Expectation",
    "ExpectationError",
    "expectation_from_json",
    "expectation_to_json",
    "read_expectations",
    "write_expectation",
]

Values = npt.NDArray[np.float64]

EXPECTATIONS = Path(__file__).parent / "expectations"
FORM = 1  # the version of the file format


class ExpectationError(ValueError):
    """A file is not an expectation that this version can read; the message gives the reason."""


@dataclass(frozen=True)
class Expectation:
    """What a baseline is expected to learn on a task.

    Attributes:
        curves: its losses with each of several seeds.
        rounding: for each seed and k, the change of the loss where training starts from weights
            that differ in their last digits.
        created: time, ISO 8601, UTC.
        suite: version, git commit and whether the tree was changed.
        environment: packages, machine, threads.
    """

    curves: Curves
    rounding: tuple[tuple[Number, ...], ...]
    created: str
    suite: Mapping[str, Any]
    environment: Mapping[str, Any]

    def margins(self, seeds: int, *, same: bool) -> Values:
        """Return the margin at each k, (k,), of a mean over several seeds.

        Args:
            seeds: how many.
            same: whether they are seeds of the expectation, and training starts from its weights.
        """
        if same:
            return same_margin(self.curves, np.array(self.rounding), seeds)
        return fresh_margin(self.curves, seeds)

    def rounding_half_widths(self, seeds: int) -> Values:
        """Return half the 95 % interval at each k, (k,), of a mean over several of its seeds."""
        return same_half_width(np.array(self.rounding), seeds)


def expectation_to_json(expectation: Expectation) -> str:
    """Return an expectation as JSON, a line for each field and each run.

    Means, standard deviations and half-widths are for human readers; they follow from the runs.
    """
    curves = expectation.curves
    fields = {
        "form": FORM,
        "model": curves.model,
        "setting": asdict(curves.setting),
        "unit": curves.unit,
        "chance": curves.chance,
        "created": expectation.created,
        "suite": dict(expectation.suite),
        "environment": dict(expectation.environment),
        "losses": _short(curves.losses().mean(0)),
        "half_widths": _short(half_widths(curves)),
        "spread": _short(spread(curves)),
        "margin, two of the same seeds": _short(expectation.margins(2, same=True)),
        "margin, two fresh seeds": _short(expectation.margins(2, same=False)),
        "rounding": [_short(changes) for changes in expectation.rounding],
    }
    lines = [f'"{key}": {json.dumps(value, allow_nan=False)}' for key, value in fields.items()]
    runs = ",\n".join(json.dumps(asdict(run), allow_nan=False) for run in curves.runs)
    return "{\n" + ",\n".join(lines) + ',\n"runs": [\n' + runs + "\n]\n}\n"


def expectation_from_json(text: str) -> Expectation:
    """Return the expectation that a JSON text holds.

    Raises:
        ExpectationError: the text is not an expectation, or of a later version.
    """
    try:
        data = orjson.loads(text)
        if data["form"] > FORM:
            raise ValueError(
                f"form {data['form']} is newer than this version of seqmem reads ({FORM}); "
                "update seqmem"
            )
        expectation = validated(Expectation, {**data, "curves": data})
        curves = expectation.curves
        shape = (len(curves.runs), len(curves.setting.contexts), len(curves.setting.group_counts))
        if shape[0] < 2 or curves.sums().shape != shape:
            raise ValueError("the numbers of runs, contexts and groups do not match")
        if np.array(expectation.rounding).shape != shape[:2]:
            raise ValueError("rounding does not match the runs and contexts")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExpectationError(f"a field is missing or wrong: {error}") from None
    return expectation


def read_expectations(
    folder: Path,
) -> tuple[dict[tuple[str, str], Expectation], list[str]]:
    """Return the latest expectation of every model on every task.

    Returns:
        (task id, model) -> expectation; and one line for each file that cannot be read.
    """
    found: dict[tuple[str, str], Expectation] = {}
    problems = []
    for path in sorted(folder.rglob("*.json"), key=lambda path: (str(path.parent), _number(path))):
        try:
            expectation = expectation_from_json(read_file(path).decode())
        except (ExpectationError, OSError, UnicodeDecodeError) as error:
            problems.append(f"{path}: {error}")
        else:
            found[expectation.curves.setting.task, expectation.curves.model] = expectation
    return found, problems


def write_expectation(expectation: Expectation, folder: Path) -> Path:
    """Write an expectation to a new file of a folder, and return its path.

    Raises:
        OSError: it cannot be written; no partial file is left.
    """
    curves = expectation.curves
    stem = re.sub(r"[^A-Za-z0-9=_-]", "_", curves.model)
    directory = record_directory(folder, curves.setting.task)
    return write_once(expectation_to_json(expectation), directory, stem)


def _number(path: Path) -> int:
    """Return the number of a renewal: 1 for ``lstm.json``, 2 for ``lstm.2.json``."""
    _, _, number = path.stem.rpartition(".")
    return int(number) if "." in path.stem and number.isdecimal() else 1


def _short(values: Any) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
