"""Measuring: the mean loss at every context length, over one fixed set of targets.

At a finite k the model reads nothing but windows of k inputs, so that a score at k cannot depend on
anything else, the target included. Where only a < k inputs of a sequence are available, the window
holds those a. At k = full the model reads each sequence from its start, with the state carried.

Scoring every window costs k model steps per target. Unless that is requested, a curve is estimated:

    L(k) = mean of c_t over all targets + mean of (l_t(k) − c_t) over a sample,

where c_t is the loss in one reference pass through the split. The longer the windows, the
smaller the differences; the sample size at each k follows from their spread in a pilot sample and
from the requested precision. Where there are fewer distinct windows of k inputs than that, all are
scored, and the losses at this k serve as a control variate for larger k.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from seqmem.errors import CellError
from seqmem.measuring.arrays import Floats, Indices
from seqmem.measuring.estimate import AdaptiveSampling, Estimate, Method, of_reference
from seqmem.measuring.reference import Reference, read_reference
from seqmem.measuring.sampling import PILOT
from seqmem.measuring.window_scores import ByStart, ByTarget, Scorer, WindowScores, is_dense
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Split, Task, geometric_contexts

__all__ = ["Curve", "Estimate", "Scored", "estimate_curve", "measure"]


# Number of targets on which a model without state is checked against its declared receptive field,
# and the largest allowed relative difference of features.
CHECKED = 64
SAME = 1e-3


@dataclass(frozen=True)
class Scored:
    """The scores from which a curve was computed.

    Attributes:
        scorer: what scored the windows.
        losses: k -> the targets (n,) whose windows of k inputs were scored, and their losses (n,).
        full: the targets (n,) whose loss is that of the reference pass, and their losses (n,).
        reach: the number of latest inputs on which losses of the reference pass may depend.
    """

    scorer: Scorer
    losses: Mapping[int, tuple[Indices, Floats]]
    full: tuple[Indices, Floats]
    reach: int


@dataclass(frozen=True)
class Curve:
    """The losses of one model on one set of targets, at each context length.

    Attributes:
        finite: the finite context lengths that were measured, ascending.
        estimate: returns the losses at one of them, computed at each call: all targets' losses at
            all k need much memory.
        full: at full context; None if the model cannot read it.
        failures: why a context length could not be measured.
        steps: model steps in total, including the reference pass.
        scored: the scores from which it was computed.
    """

    finite: tuple[int, ...]
    estimate: Callable[[int], Estimate]
    full: Estimate | None
    failures: Mapping[Context, str]
    steps: int
    scored: Scored

    def at(self, k: Context) -> Estimate:
        """Return the losses at one context length.

        Raises:
            KeyError: it was not measured.
        """
        if k in self.finite:
            return self.estimate(k)
        if k != "full" or self.full is None:
            raise KeyError(k)
        return self.full


@torch.inference_mode()
# Convolutions in full float32: TF32 on a GPU has three digits, too few to compare losses.
@torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
def measure(
    model: SequenceModel,
    task: Task,
    split: Split,
    contexts: Sequence[Context],
    *,
    precision: float | None = None,
    every_k: bool = False,
    seed: int = 0,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda steps: None,
) -> Curve:
    """Measure the mean loss over a split at every context length.

    Args:
        model: the model; put into evaluation mode.
        task: the task, which defines outputs and loss.
        split: the fixed set of targets.
        contexts: positive integers and "full", in any order.
        precision: the largest allowed half-width of the 95 % interval of each mean, in the loss's
            unit; None scores every target at every k.
        every_k: trust that the model is causal, and read windows of different lengths in one pass;
            for models without state, when many k are requested.
        seed: seed of the samples.
        device: where the model runs.
        progress: called with the model steps just spent.

    Raises:
        CellError: the model's outputs have the wrong shape, are not finite, or depend on inputs
            that they must not depend on.
    """
    model = model.to(device).eval()
    spent: dict[int, int] = {}

    def count(k: int, steps: int) -> None:
        spent[k] = spent.get(k, 0) + steps
        progress(steps)

    finite = sorted({k for k in contexts if k != "full"})
    scorer = Scorer(model, task, split, device, count)
    grows = is_dense(split) and (model.stateful or every_k)
    windows: WindowScores = (ByStart if grows else ByTarget)(scorer, seed)
    longest = int(windows.available.max())
    # From this length on a window holds everything that the reference loss can depend on.
    reach = longest
    if not model.stateful and model.receptive_field is not None:
        reach = min(model.receptive_field, longest)
    measured = [k for k in finite if k < reach]
    reference = _reference(windows, measured, "full" in contexts, progress)
    if reference.is_full and not model.stateful:
        _check_reach(windows, reference, max(reach, 1))
    return estimate_curve(windows, reference, finite, reach, precision, spent)


def estimate_curve(
    windows: WindowScores,
    reference: Reference,
    finite: Sequence[int],
    reach: int,
    precision: float | None,
    spent: Mapping[int, int],
) -> Curve:
    """Return the curve at every finite context length, given the reference pass.

    Args:
        windows: scores any part of a random order of targets.
        reference: every target's loss with more context.
        finite: context lengths, ascending.
        reach: the context length from which on a window holds all inputs the reference depends on.
        precision: as in `measure`.
        spent: model steps by k, updated by what scores windows.
    """
    measured = [k for k in finite if k < reach]
    search = AdaptiveSampling(windows, reference, measured, precision)
    search.run()
    longest = int(windows.available.max())
    failures: dict[Context, str] = dict(search.failures.items())
    as_full: dict[int, Method] = {}
    for k in finite[len(measured) :]:
        if reference.is_full:
            as_full[k] = "no longer sequence" if k >= longest else "receptive field"
        else:
            failures[k] = "it is the full context, which this model cannot read at once"

    def estimate(k: int) -> Estimate:
        if k in as_full:
            return of_reference(reference, as_full[k])
        return search.estimate(k, spent.get(k, 0))

    # Where no window is longer, a window is scored in the reference pass.
    whole = longest if reference.is_full else max(measured, default=0)
    of_full = np.flatnonzero(windows.available <= whole)
    return Curve(
        tuple(k for k in finite if k not in failures),
        estimate,
        of_reference(reference, "all") if reference.is_full else None,
        failures,
        reference.steps + sum(spent.values()),
        Scored(
            windows.scorer,
            search.scored(),
            (of_full, reference.scores.losses[of_full]),
            max(reach, 1),
        ),
    )


def _reference(
    windows: WindowScores,
    contexts: Sequence[int],
    full: bool,
    progress: Callable[[int], object],
) -> Reference:
    """Read the split once, and store the features with which windows are compared."""
    scorer = windows.scorer
    if scorer.model.stateful:
        usual = set(geometric_contexts(max(contexts, default=1)))
        keep = [windows.order(k)[:PILOT] for k in contexts if k in usual or len(contexts) < 64]
    else:
        keep = [windows.rng.permutation(len(scorer.split))[:CHECKED]]
    return read_reference(
        scorer.model,
        scorer.task,
        scorer.split,
        overlap=None if full else 2 * max(contexts, default=1),
        keep=torch.from_numpy(np.concatenate([*keep, np.zeros(0, np.int64)])),
        device=scorer.device,
        progress=progress,
    )


def _check_reach(windows: WindowScores, reference: Reference, reach: int) -> None:
    """Check on a few targets that a model without state is causal within its receptive field.

    Where a window is as long as the receptive field, the curve uses the loss of the reference pass;
    its features must then equal those of the window.

    Raises:
        CellError: they do not.
    """
    targets = np.array(list(reference.features), np.int64)
    lengths = np.minimum(windows.available[targets], reach)
    # At most a quarter of the steps of a pass, shortest windows first; but at least one window.
    order = np.argsort(lengths, kind="stable")
    affordable = np.cumsum(lengths[order]) <= len(windows.scorer.split.inputs) / 4
    affordable[0] = True
    targets, lengths = targets[order][affordable], lengths[order][affordable]
    for length in np.unique(lengths).tolist():
        chosen = targets[lengths == length]
        sink = windows.scorer.windows(chosen, length, reference.features)
        dtype = reference.features[int(chosen[0])].dtype
        allowed = max(SAME, 16 * torch.finfo(dtype).eps) if dtype.is_floating_point else 0.0
        if sink.deviation > allowed:
            raise CellError(
                f"features after {length:,} inputs differ by {sink.deviation:.2g} (relative) from "
                "those of a window of these inputs alone: the model looks ahead, or its receptive "
                "field is larger than declared"
            )
