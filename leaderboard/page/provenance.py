"""The sources of a page's numbers; facts that many records share are stored once."""

import json
from collections.abc import Mapping
from typing import Any

from seqmem.leaderboard.record import Record

__all__ = ["SharedFacts", "facts", "number"]

# Facts that the page shows in another place.
_TRAINING = ("k_train", "state", "seed", "budget", "result", "environment")
_MEASUREMENT = ("seconds", "model_steps", "plain_passes")  # differs between records
_MODEL = ("name", "label", "weights_sha256")

SharedFacts = dict[str, tuple[int, Any]]  # facts with their numbers, by their text


def number(shared: SharedFacts, item: object) -> int:
    """Return the number of some facts, which are added if they are new."""
    return shared.setdefault(json.dumps(item, sort_keys=True), (len(shared), item))[0]


def facts(record: Record, shared: SharedFacts) -> dict[str, Any]:
    """Return how a record was made: its own facts, and the numbers of shared ones.

    Args:
        record: any.
        shared: the facts that records may share; new ones are added.
    """
    model, training = record.model, record.training
    machine = {k: v for k, v in record.environment.items() if k != "peak_memory_mib"}
    measurement = {k: v for k, v in record.measurement.items() if k not in _MEASUREMENT}
    return {
        "seed": training["seed"],
        "created": record.created[:19],
        "trust": record.trust,
        "schema": record.schema,
        "weights": model.get("weights_sha256") or model.get("sha256"),
        "result": training.get("result"),
        "cost": {k: record.measurement[k] for k in _MEASUREMENT if k in record.measurement},
        "extras": dict(record.extras),
        "suite": number(shared, dict(record.suite)),
        "model": number(shared, {k: v for k, v in model.items() if k not in _MODEL}),
        "training": number(shared, {k: v for k, v in training.items() if k not in _TRAINING}),
        "trained on": number(shared, training.get("environment")),
        "measurement": number(shared, measurement),
        "measured on": number(shared, machine),
        "validity": number(shared, _verdicts(record.validity)),
    }


def _verdicts(validity: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return whether each check of the validity gate passed, with an example if it has one."""
    if validity is None:
        return None
    found = {}
    for check in validity.get("checks", ()):
        verdict = "passed" if check["passed"] else "failed"
        note = check.get("example")
        found[str(check["name"])] = f"{verdict}; {note}" if note else verdict
    return found
