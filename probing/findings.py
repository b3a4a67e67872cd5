"""What a probe found, as values and as text for a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

from seqmem.leaderboard.charts.influence import influence_chart
from seqmem.leaderboard.charts.theme import Spec
from seqmem.probing.causality import Causality
from seqmem.probing.cost import Cost
from seqmem.probing.faults import Fault
from seqmem.probing.receptive_field import Look

__all__ = ["Findings", "by_octaves", "drawn", "report"]

BAR = 32  # characters of the largest bar
LABEL = 18  # characters before a value


@dataclass(frozen=True)
class Findings:
    """What a probe found.

    Attributes:
        name: of the network.
        inputs: what it was given to read.
        precision: "float64" or "float32".
        parameters: their number.
        state: (context, floats that are stored between steps after so many inputs); None: unknown.
        declared: the receptive field that the network declares, in inputs; None: none.
        causality: of outputs at all positions.
        looks: at the past of the last output, at one length after the other.
        faults: what outputs depend on and must not; the leak of causality first.
        cost: of a pass.
        share: under which older inputs count as little, as in 0.01.
    """

    name: str
    inputs: str
    precision: str
    parameters: int
    state: tuple[int, int] | None
    declared: int | None
    causality: Causality
    looks: tuple[Look, ...]
    faults: tuple[Fault, ...]
    cost: Cost
    share: float

    @property
    def causal(self) -> bool:
        """Whether no output depends on a later input."""
        return self.causality.leak is None

    @property
    def receptive_field(self) -> int | None:
        """The most inputs that an output depends on; None: more than were read, or unknown."""
        last, reach = self.looks[-1], self.causality.reach
        if not last.bounded or reach >= self.causality.length > last.field:
            return None
        return max(last.field, reach)

    @property
    def influence(self) -> tuple[float, ...]:
        """The share of each lag in what moves the last output, lag 0 first."""
        parts = self.looks[-1].influence
        return parts if self.receptive_field is None else parts[: self.receptive_field]

    @property
    def within(self) -> int:
        """The inputs beyond which all older ones together have less than `share`."""
        return self.looks[-1].within


def report(found: Findings, width: int = 120) -> str:
    """Return findings as lines of text, a bar chart of the influence by lag included.

    Args:
        found: what a probe found.
        width: the longest line, in characters.
    """
    facts = [
        ("causal", _causal(found)),
        ("receptive field", _field(found)),
        *((fault.name, fault.text) for fault in found.faults if fault.name != "causality"),
        ("state", _state(found)),
        *_costs(found.cost),
    ]
    head = (
        f"{found.name}: {found.parameters:,} parameters, read {found.inputs} in {found.precision}"
    )
    if not {fault.name for fault in found.faults} - {"causality", "receptive field"}:
        facts.insert(
            2, ("depends on", "nothing else: batch, length, earlier calls, random numbers")
        )
    lines = [
        fill(f"{name:<{LABEL}}{text}", width, subsequent_indent=" " * LABEL) for name, text in facts
    ]
    return "\n".join([fill(head, width), "", *lines, "", *_chart(found)])


def drawn(found: Findings) -> Spec:
    """Return the chart of the influence by lag."""
    return influence_chart(
        found.influence, found.name, found.receptive_field, found.within, found.share
    )


def by_octaves(parts: Sequence[float]) -> list[tuple[str, float]]:
    """Return shares by lag as sums over lags 0, 1, 2–3, 4–7 and so on, each with its lags."""
    sums, low = [], 0
    while low < len(parts):
        high = min(max(2 * low, 1), len(parts))
        name = f"{low}" if high == low + 1 else f"{low}–{high - 1}"
        sums.append((name, sum(parts[low:high])))
        low = high
    return sums


def _causal(found: Findings) -> str:
    seen, methods = found.causality, " and ".join(found.causality.methods)
    if seen.leak is not None:
        return f"NO: {seen.leak}"
    every = "all" if seen.outputs == seen.length else f"{seen.outputs:,} of"
    text = f"yes: {every} {seen.length:,} outputs, all later inputs, by {methods}"
    if seen.noise:
        text += f"; what they move is rounding, {seen.noise:.1g} of the largest"
    return text


def _field(found: Findings) -> str:
    field, last = found.receptive_field, found.looks[-1]
    if field is not None:
        declared = {None: "", field: ", as declared"}.get(
            found.declared, f"; it declares {found.declared:,}" if found.declared else ""
        )
        inputs = "input" if field == 1 else "inputs"
        return f"{field:,} {inputs}{declared} ({last.method})"
    end = (
        f"what is older than {last.field:,} is lost in rounding"
        if last.faded
        else f"all {last.length:,} that were read matter"
    )
    return (
        f"unbounded, or longer: {end}; those older than {found.within:,} have under "
        f"{_percent(found.share)} of the influence ({last.method})"
    )


def _state(found: Findings) -> str:
    if found.state is None:
        return "unknown: the network does not say what it stores between steps"
    context, floats = found.state
    return f"{floats:,} floats after {context:,} inputs"


def _costs(cost: Cost) -> list[tuple[str, str]]:
    if not cost.lengths:
        return []
    last = cost.lengths[-1]
    micro = [seconds * 1e6 for seconds in cost.seconds]
    grows = f"; a pass grows {cost.time_grows}" if cost.time_grows else ""
    facts = [
        ("time", f"{micro[0]:.3g} µs a step at {cost.lengths[0]:,} inputs, {micro[-1]:.3g} at "
                 f"{last:,}{grows}")
    ]  # fmt: skip
    if cost.memory is not None:
        kib = [size / 1024 for size in cost.memory]
        text = f"{kib[0]:.3g} KiB a step at {cost.lengths[0]:,} inputs, {kib[-1]:.3g} at {last:,}"
        facts.append(("memory", f"{text}; a pass grows {cost.memory_grows}"))
    return facts


def _chart(found: Findings) -> list[str]:
    """Return a bar for each octave of lags."""
    bars = by_octaves(found.influence)
    most = max((share for _, share in bars), default=0.0)
    if not most:
        return ["no input moves the last output"]
    width = max(len(name) for name, _ in bars)
    lines = ["influence on the last output, by lag"]
    for name, share in bars:
        bar = "█" * round(BAR * share / most)
        lines.append(f"  {name:>{width}}  {bar or '▏'} {_percent(share)}")
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share >= 1e-4 or share == 0 else "under 0.01 %"
