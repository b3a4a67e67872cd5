"""Older forms of a record, brought to the present one."""

import math
from typing import Any

__all__ = ["upgrade"]


def upgrade(data: dict[str, Any]) -> dict[str, Any]:
    """Give a record of an older schema in the present form.

    Raises:
        KeyError, TypeError, ValueError: it is not a record of its schema.
    """
    if data["schema"] == 1:
        data = _from_1(data)
    return _from_2(data)


def _from_2(data: dict[str, Any]) -> dict[str, Any]:
    """From schema 2, of 2026: no record said which one it corrects, as none did.

    Recipes did not say at first what is trained in shorter floats, as nothing was.
    """
    training = data["training"]
    if training.get("recipe") is not None:
        training = {**training, "recipe": {"dtype": "float32", **training["recipe"]}}
    return {**data, "training": training, "supersedes": None, "schema": 3}


def _from_1(data: dict[str, Any]) -> dict[str, Any]:
    """From schema 1, of 2026: one fixed sample of targets for all finite k.

    Sums over a sample become estimates of the sums over all targets, the way the mean was
    estimated: the full context's sum, and the excess over it once for each target it stands for.
    """
    counts = data["group_counts"]
    total, sampled = sum(counts["full"]), sum(counts["windows"])
    full = next((point for point in data["curve"] if point["k"] == "full"), None)
    if sampled < total and full is None:
        counts = {"full": counts["windows"]}  # nothing is known but the sample
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
