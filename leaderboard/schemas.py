"""Conversion of records of older schemas."""

import math
from typing import Any

__all__ = ["upgrade"]

# Units that have another name since.
RENAMED_UNITS = {"squared value per sequence": "mean squared error"}


def upgrade(data: dict[str, Any]) -> dict[str, Any]:
    """Return a record of this or an older schema in the current schema, with current names.

    Raises:
        KeyError, TypeError, ValueError: it is not a record of its schema.
    """
    if data["schema"] == 1:
        data = _from_1(data)
    if data["schema"] == 2:
        data = _from_2(data)
    unit = data["task"]["unit"]
    data["task"]["unit"] = RENAMED_UNITS.get(unit, unit)
    return data


def _from_2(data: dict[str, Any]) -> dict[str, Any]:
    """Convert from schema 2, of 2026, which has no field `supersedes`.

    Its first recipes have no dtype: all training was in float32.
    """
    training = data["training"]
    if training.get("recipe") is not None:
        training = {**training, "recipe": {"dtype": "float32", **training["recipe"]}}
    return {**data, "training": training, "supersedes": None, "schema": 3}


def _from_1(data: dict[str, Any]) -> dict[str, Any]:
    """Convert from schema 1, of 2026, which has one fixed sample of targets for all finite k.

    Sums over a sample become estimates of the sums over all targets, in the way the mean was
    estimated: the sum at full, plus the excess over it scaled to the number of all targets.
    """
    counts = data["group_counts"]
    total, sampled = sum(counts["full"]), sum(counts["windows"])
    full = next((point for point in data["curve"] if point["k"] == "full"), None)
    if sampled < total and full is None:
        counts = {"full": counts["windows"]}  # only the sample is known
    curve = []
    for point in data["curve"]:
        excess_sums = point.pop("excess_sums")
        standard_error = 0.0
        if full is None and point["n"] < total:
            standard_error = point["loss"]["standard_error"] or 0.0
        elif full is not None and point["n"] < total:
            times = total / sampled
            point["group_sums"] = [
                known + times * excess
                for known, excess in zip(full["group_sums"], excess_sums, strict=True)
            ]
            standard_error = point["excess"]["standard_error"] or 0.0
        # The error of the mean excess over a sample of targets: between groups and within them.
        half_width = 1.96 * standard_error * math.sqrt(max(0.0, 1 - point["n"] / total))
        method = "all" if point["n"] == total else "sample"
        curve.append({**point, "method": method, "half_width": half_width, "steps": None})
    return {**data, "curve": curve, "group_counts": counts["full"], "schema": 2}
