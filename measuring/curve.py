"""Measuring: the mean loss at every context length, over one fixed set of targets.

At a finite k the model is given nothing but windows of k inputs, so that a score at k cannot
depend on anything else, the target included. Where a sequence has given only a < k inputs so far,
the window holds those a. At k = full the model reads each sequence from its start, state carried.

Scoring every window costs k model steps a target. Unless that is asked for, a curve is estimated:

    L(k) = mean of c_t over all targets + mean of (l_t(k) − c_t) over a sample,

where c_t is the loss in one reference pass over the whole split. The differences are small, and the
smaller the longer the windows are; how many are needed at each k follows from their spread in a
pilot sample and the precision asked for. Where all distinct windows of k inputs are fewer than
that, all are scored, and the losses at this k serve as a control for the larger ones.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from seqmem.errors import CellError
from seqmem.measuring.estimate import Estimate, Method, Search, of_reference
from seqmem.measuring.reference import Reference, read_reference
from seqmem.measuring.sampling import PILOT
from seqmem.measuring.window_scores import ByStart, ByTarget, Scorer, WindowScores, is_dense
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Split, Task, geometric_contexts

__all__ = ["Curve", "Estimate", "measure", "search_curve"]


# Targets on which a model without state is held to what it declares, and how far, relative to their
# size, features may be from what they must be.
CHECKED = 64
SAME = 1e-3


class _OnDemand(Mapping[int, Estimate]):
    """Estimates by k, each made when it is looked at: all targets' losses at all k are many."""

    def __init__(self, contexts: Sequence[int], make: Callable[[int], Estimate]) -> None:
        """Take what there is, and what makes it."""
        self._contexts, self._make = contexts, make

    def __getitem__(self, k: int) -> Estimate:
        """Make the estimate of a k."""
        if k not in self._contexts:
            raise KeyError(k)
        return self._make(k)

    def __iter__(self) -> Iterator[int]:
        """Go through the context lengths, ascending."""
        return iter(self._contexts)

    def __len__(self) -> int:
        """Count them."""
        return len(self._contexts)


@dataclass(frozen=True)
class Curve:
    """The losses of one model on one set of targets, at each context length.

    Attributes:
        estimates: by finite context length, ascending.
        full: with the full context; None where the model cannot be measured so.
        failures: why a context length could not be measured.
        steps: model steps spent in all, the reference pass among them.
    """

    estimates: Mapping[int, Estimate]
    full: Estimate | None
    failures: Mapping[Context, str]
    steps: int

    def at(self, k: Context) -> Estimate:
        """Give the losses at one context length.

        Raises:
            KeyError: it was not measured.
        """
        if k != "full":
            return self.estimates[k]
        if self.full is None:
            raise KeyError(k)
        return self.full


@torch.inference_mode()
# Convolutions in float32 as it is: a GPU's shortcut (TF32) keeps three digits, too few to compare.
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
        model: what is measured; put into evaluation mode.
        task: says what the outputs are and how they are scored.
        split: the fixed set of targets.
        contexts: positive integers and "full", in any order.
        precision: the largest allowed half-width of the 95 % interval of each mean, in the loss's
            unit; None scores every target at every k.
        every_k: take a model at its word that it is causal, and read windows of different lengths
            in one pass; for models without state, where many k are asked for.
        seed: of the samples.
        device: where the model runs.
        progress: called with the model steps just spent.

    Raises:
        CellError: the model's outputs have the wrong shape or are not finite, or depend on inputs
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
    # From here on a window holds all that the reference pass lets a target depend on.
    reach = longest
    if not model.stateful and model.receptive_field is not None:
        reach = min(model.receptive_field, longest)
    measured = [k for k in finite if k < reach]
    reference = _reference(windows, measured, "full" in contexts, progress)
    if reference.is_full and not model.stateful:
        _check_reach(windows, reference, max(reach, 1))
    return search_curve(windows, reference, finite, reach, precision, spent)


def search_curve(
    windows: WindowScores,
    reference: Reference,
    finite: Sequence[int],
    reach: int,
    precision: float | None,
    spent: Mapping[int, int],
) -> Curve:
    """Find out about every finite context length, with what one pass over the split has given.

    Args:
        windows: scores any part of a random order of targets.
        reference: every target's loss with more context.
        finite: context lengths, ascending.
        reach: the context length from which on a window holds all that the reference depends on.
        precision: as in `measure`.
        spent: model steps by k, kept by what scores windows.
    """
    measured = [k for k in finite if k < reach]
    search = Search(windows, reference, measured, precision)
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

    return Curve(
        _OnDemand([k for k in finite if k not in failures], estimate),
        of_reference(reference, "all") if reference.is_full else None,
        failures,
        reference.steps + sum(spent.values()),
    )


def _reference(
    windows: WindowScores,
    contexts: Sequence[int],
    full: bool,
    progress: Callable[[int], object],
) -> Reference:
    """Read the split once, and keep the features that windows will be compared with."""
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
    """Hold a model without state to being causal and to its receptive field, on a few targets.

    The curve takes their losses from the reference pass where windows reach as far as the model
    sees; the features must then be those of a window.

    Raises:
        CellError: they are not.
    """
    targets = np.array(list(reference.features), np.int64)
    lengths = np.minimum(windows.available[targets], reach)
    # No more steps than a quarter of a pass, shortest windows first; but one in any case.
    order = np.argsort(lengths, kind="stable")
    affordable = np.cumsum(lengths[order]) <= len(windows.scorer.split.inputs) / 4
    affordable[0] = True
    targets, lengths = targets[order][affordable], lengths[order][affordable]
    for length in np.unique(lengths).tolist():
        chosen = targets[lengths == length]
        sink = windows.scorer.windows(chosen, length, reference.features)
        kind = reference.features[int(chosen[0])].dtype
        allowed = max(SAME, 16 * torch.finfo(kind).eps) if kind.is_floating_point else 0.0
        if sink.deviation > allowed:
            raise CellError(
                f"features after {length:,} inputs differ by {sink.deviation:.2g} (relative) from "
                "those of a window of these inputs alone: the model looks ahead, or sees further "
                "back than it declares"
            )
