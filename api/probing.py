"""`seqmem.probe`: how far a network looks, from Python."""

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from torch import Tensor, nn

from seqmem.api.picture import Picture
from seqmem.errors import InputError
from seqmem.probing.findings import Findings, drawn, report
from seqmem.probing.inputs import source_of
from seqmem.probing.probe import ProbeOptions, probe_network
from seqmem.submissions.probing import open_network
from seqmem.tasks import load_task
from seqmem.tasks.task import InputSpec, Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Probe", "probe"]


@dataclass(frozen=True, repr=False)
class Probe:
    """What a probe found; printed, it is the report of `seqmem probe`.

    Attributes:
        findings: all of it, as values.
    """

    findings: Findings

    @property
    def causal(self) -> bool:
        """Whether no output depends on a later input."""
        return self.findings.causal

    @property
    def receptive_field(self) -> int | None:
        """The most inputs that an output depends on; None: unbounded, or longer than was read."""
        return self.findings.receptive_field

    @property
    def faults(self) -> dict[str, str]:
        """What outputs depend on and must not, by name: "causality", "batch", "random" …."""
        return {fault.name: fault.text for fault in self.findings.faults}

    @property
    def frame(self) -> "pd.DataFrame":
        """A data frame with the share of each lag in what moves the last output."""
        import pandas as pd

        parts = self.findings.influence
        return pd.DataFrame({"lag": range(len(parts)), "share": parts})

    def plot(self) -> Picture:
        """Return a picture of the influence by lag.

        Raises:
            InputError: the package that draws is missing.
        """
        return Picture(drawn(self.findings))

    def __repr__(self) -> str:
        """Return it in one line."""
        found = self.findings
        causal = "causal" if found.causal else "not causal"
        field = found.receptive_field
        reach = f"receptive field {field:,}" if field is not None else "unbounded receptive field"
        others = [name for name in self.faults if name != "causality"]
        return f"{found.name}: {causal}, {reach}{''.join(f', fault: {o}' for o in others)}"

    def __str__(self) -> str:
        """Return the report."""
        return report(self.findings)

    def _repr_html_(self) -> str:
        """Return the report, and the influence where it can be drawn."""
        try:
            svg = self.plot()._repr_svg_()
        except InputError:  # without the package that draws
            svg = ""
        return f"<pre>{escape(str(self))}</pre>{svg}"


def probe(
    model: nn.Module | str,
    inputs: Tensor | InputSpec | Task | str | None = None,
    *,
    length: int | None = None,
    share: float = 0.01,
    seed: int = 0,
    time: int = 1,
) -> Probe:
    """Return how far a network looks, without training: causality, receptive field, influence.

    A module is left as it is: a copy is probed, in evaluation mode and in float64 where it can be.

    Args:
        model: a module from inputs (B, L) or (B, L, D) to outputs (B, L, …); or a baseline,
            "net.onnx", "weights.safetensors", "hf:gpt2", "net.py:Net".
        inputs: an example, ids (B, L) or floats (B, L, D), of which random runs are read; a task or
            its id; or `seqmem.tasks.task.Tokens` or `Features`, for random inputs. None: random
            ones, of the kind that the first layer reads.
        length: of the sequences; None: doubled until nothing older matters, to 1,024.
        share: under which older inputs count as little.
        seed: of the inputs.
        time: the axis of time in what a module reads and returns: 2 for (B, D, L).

    Raises:
        InputError: there is no such model, or it cannot read such inputs.
        NotFiniteError: an output is not finite.
    """
    task = load_task(inputs) if isinstance(inputs, str) else inputs
    options = ProbeOptions(length=length, share=share, seed=seed, time=time)
    if isinstance(model, nn.Module):
        source = source_of(task, model)
        return Probe(probe_network(model, source, type(model).__name__, options))
    if not isinstance(model, str):
        raise InputError(f"model {model!r}: is neither a module nor a name; make a module of it")
    if task is not None and not isinstance(task, Task):
        raise InputError(f"inputs of the model '{model}' are those of a task: inputs='TASK'")
    with open_network(model, task) as (module, source):
        return Probe(probe_network(module, source, model, options))
