"""A curve as one line of text."""

import math
from collections.abc import Sequence

__all__ = ["sparkline"]

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], low: float, high: float) -> str:
    """Return a bar for each value: the lowest for `low` or less, the highest for `high` or more.

    Args:
        values: None for a missing one, which is shown as a space.
        low: the value of the lowest bar.
        high: the value of the highest bar; above `low`, or all bars are the lowest.
    """
    return "".join(" " if value is None else _bar(value, low, high) for value in values)


def _bar(value: float, low: float, high: float) -> str:
    if math.isnan(value) or high <= low:
        return BARS[0]
    share = (value - low) / (high - low)
    return BARS[round(min(max(share, 0.0), 1.0) * (len(BARS) - 1))]
