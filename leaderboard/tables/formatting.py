"""Text of numbers, units, context needs and states, for tables and sentences."""

import math
from collections.abc import Mapping, Sequence

from seqmem.leaderboard import OWN
from seqmem.leaderboard.record import TaskFacts
from seqmem.leaderboard.statistics.aggregate import Row, Score
from seqmem.leaderboard.statistics.context_need import ContextNeed

__all__ = [
    "checked",
    "edition",
    "half_width",
    "label",
    "marked",
    "need",
    "number",
    "rounded",
    "row_need",
    "same_models",
    "score_text",
    "state_floats",
    "trust",
    "unit",
]


def unit(facts: TaskFacts) -> str:
    """Return the name of a task's score and its unit."""
    if facts.score == "perplexity":
        return f"perplexity {facts.unit.removeprefix('nats ')}"
    return facts.unit if facts.loss in facts.unit else f"{facts.loss}, {facts.unit}"


def label(row: Row) -> str:
    """Return a row's model as a table shows it: marked where it is the user's own."""
    return marked(row.label, row)


def marked(name: str, row: Row, budget: bool = False) -> str:
    """Return a row's name, marked where the model is the user's own or its recipe was changed.

    Args:
        name: of the row.
        row: the row.
        budget: whether its budget stands beside it, which says what was changed.
    """
    text = f"{name} {OWN}" if row.records[0].model.get("own") else name
    # A budget's name is followed by what was changed of its recipe; boards may leave it out.
    _, comma, changes = row.budget.partition(", ")
    return f"{text}, {changes}" if comma and changes not in name and not budget else text


def checked(row: Row) -> bool:
    """Return whether every seed of a row passed the validity gate."""
    return all(record.validity is not None for record in row.records)


def edition(facts: TaskFacts) -> str:
    """Return what distinguishes boards of one task: its version and its data."""
    return f"version {facts.version}, data {facts.data_hash[:8]}"


def number(value: float) -> str:
    """Return a score as text: four decimals for losses, one for large perplexities."""
    if not math.isfinite(value):
        return "∞"
    return f"{value:.4f}" if abs(value) < 20 else f"{value:.1f}"


def half_width(half: float, value: float) -> str:
    """Return a half-width with the decimals of its value; one that rounds to zero as a bound."""
    digits = 4 if abs(value) < 20 else 1
    least = 10.0**-digits
    return f"{half:.{digits}f}" if half >= least / 2 else f"<{least:.{digits}f}"


def score_text(score: Score | None) -> str | None:
    """Return a score with its interval and its range over seeds, as far as they are known."""
    if score is None:
        return None
    text = number(score.value)
    if score.half is not None:
        text += f" ±{half_width(score.half, score.value)}"
    if score.seeds > 1:
        text += f" [{number(score.smallest)}, {number(score.largest)}]"
    return text


def rounded(
    values: Sequence[float], half: float | None, sign: str = "", *, exclude_zero: bool = False
) -> list[str]:
    """Return numbers to the second digit of a half-width, or to four digits if that is unknown.

    Args:
        values: the numbers, all to the same decimals.
        half: half the width of their interval; None or 0 if there is none.
        sign: "+" to write it before positive numbers as well.
        exclude_zero: whether there are more digits if one of them, but not zero, looks like zero.
    """
    largest = max(map(abs, values), default=0.0)
    # At most five digits, however small the interval: nothing is measured more precisely.
    size, digits = (max(half, largest / 1000), 1) if half else (largest, 3)
    decimals = digits - math.floor(math.log10(size)) if 0 < size < math.inf else 3
    decimals = min(max(decimals, 0), 9)
    if exclude_zero:
        least = min((abs(value) for value in values if value), default=1.0)
        decimals = max(decimals, math.ceil(-math.log10(2 * least)))
    written = [f"{value:{sign}.{decimals}f}" for value in values]
    # A number that rounds to zero has no sign.
    return [text.lstrip("+-") if float(text) == 0 else text.replace("-", "−") for text in written]


def need(value: ContextNeed) -> str:
    """Return a context need with its interval; "≥" if no measured k bounds it from above."""
    if value.state == "chance":
        return "never better than chance"
    if value.state == "small":
        return "gain below 1 %"
    if value.state == "unknown":
        return "–"
    if value.low == value.k == value.high and value.k is not None:
        return str(value.k)
    found = f"> {value.largest}" if value.state == "beyond" else str(value.k)
    if value.low is None:
        return found
    allowed = f"≥ {value.low}" if value.high is None else f"{value.low}–{value.high}"
    return f"{found} ({allowed})"


def row_need(row: Row) -> str:
    """Return a row's context need; if its seeds differ, the smallest and largest follow."""
    place = {"reached": 0, "beyond": 1, "small": 2, "chance": 3}
    known = [each for each in row.needs if each.state in place]
    known.sort(key=lambda each: (place[each.state], each.k or each.largest or 0))
    words = {"small": "below 1 %", "chance": "chance"}
    ends = [
        words.get(each.state) or (f"> {each.largest}" if each.k is None else str(each.k))
        for each in (*known[:1], *known[-1:])
    ]
    return need(row.need) + (f" [{', '.join(ends)}]" if len(set(ends)) > 1 else "")


def trust(row: Row) -> str:
    """Return who measured the seeds of a row, and whether one did not pass the validity gate."""
    by = ", ".join(sorted({record.trust for record in row.records}))
    return by if checked(row) else f"{by} (not checked)"


def same_models(others: Mapping[str, Sequence[str]]) -> str:
    """Return a sentence about models that are on a board under several labels.

    Args:
        others: the other labels of each such label.
    """
    groups = {tuple(sorted([label, *names])) for label, names in others.items()}
    listed = "; ".join(" = ".join(group) for group in sorted(groups))
    return f"One model under several names, by its hash: {listed}." if groups else ""


def state_floats(row: Row) -> int | None:
    """Return the size of the model's state after the largest k measured; None if unknown."""
    curve = [point for point in row.records[0].curve if point.k != "full"]
    sizes = [point.state_floats for point in curve if point.state_floats is not None]
    return sizes[-1] if sizes else None
