"""Where each number comes from, as a page keeps it: facts that many records share stand once."""

import json
from collections.abc import Mapping
from typing import Any

from seqmem.leaderboard.record import Record

__all__ = ["SharedFacts", "facts"]

# What a page shows of a record elsewhere, or only of the whole of it.
_TRAINING = ("k_train", "state", "seed", "budget", "result", "environment")
_MODEL = ("name", "label", "weights_sha256")


class SharedFacts:
    """Facts by number; the same facts have the same number.

    Attributes:
        items: the facts, by their numbers.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.items: list[Any] = []
        self._numbers: dict[str, int] = {}

    def number(self, item: object) -> int:
        """Give the number of some facts, a new one where they are new."""
        text = json.dumps(item, sort_keys=True)
        if text not in self._numbers:
            self._numbers[text] = len(self.items)
            self.items.append(item)
        return self._numbers[text]


def facts(record: Record, shared: SharedFacts) -> dict[str, Any]:
    """Give what a record says of its own making.

    Args:
        record: any.
        shared: takes in what other records may say as well.

    Returns:
        facts of this record alone, and numbers of shared ones, each under its name.
    """
    model, training = record.model, record.training
    measurement = {k: v for k, v in record.measurement.items() if k not in _OWN_MEASUREMENT}
    return {
        "seed": training["seed"],
        "created": record.created[:19],
        "trust": record.trust,
        "schema": record.schema,
        "weights": model.get("weights_sha256") or model.get("sha256"),
        "result": training.get("result"),
        "cost": {k: record.measurement[k] for k in _OWN_MEASUREMENT if k in record.measurement},
        "extras": dict(record.extras),
        "suite": shared.number(dict(record.suite)),
        "model": shared.number({k: v for k, v in model.items() if k not in _MODEL}),
        "training": shared.number({k: v for k, v in training.items() if k not in _TRAINING}),
        "trained on": shared.number(training.get("environment")),
        "measurement": shared.number(measurement),
        "measured on": shared.number(_machine(record.environment)),
        "validity": shared.number(_verdicts(record.validity)),
    }


_OWN_MEASUREMENT = ("seconds", "model_steps", "plain_passes")


def _machine(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what differs from one measurement to the next on the same machine."""
    return {key: value for key, value in environment.items() if key != "peak_memory_mib"}


def _verdicts(validity: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Say of each check of the validity gate whether it was passed, and what it found."""
    if validity is None:
        return None
    found = {}
    for check in validity.get("checks", ()):
        verdict = "passed" if check["passed"] else "failed"
        note = check.get("example")
        found[str(check["name"])] = f"{verdict}; {note}" if note else verdict
    return found
