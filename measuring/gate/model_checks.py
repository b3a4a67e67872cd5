"""The checks of a model: run on scored windows and on perturbed copies, before it enters the board.

Windows are read as in scoring, then again in random order together with perturbed copies, and at
the end once more as at first. Outputs that must agree are compared at every position. What each
check requires: `seqmem.measuring.gate.report.CHECKS`.

What these checks cannot detect: a function of the allowed inputs alone that has memorised the test
data. It is consistent, whatever is replaced. Where the optimum is known, its losses give it away
(`check_optimum`); elsewhere they may be flagged (`check_lead`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from seqmem.measuring.arrays import Indices
from seqmem.measuring.gate.agreement import Comparisons, WindowPair
from seqmem.measuring.gate.outputs import InvalidOutputError, OutputReader, WindowFeatures
from seqmem.measuring.gate.perturbed_inputs import Perturber, cut_points
from seqmem.measuring.gate.plan import SCORED, LengthPlan, plan_lengths
from seqmem.measuring.gate.report import CHECKS, Check, Report
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Split, Task

__all__ = ["check_validity"]

# Models with state read windows input by input up to this length.
SINGLE = 64


@torch.inference_mode()
# As in measuring: what is compared must be computed like what is scored.
@torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
def check_validity(
    model: SequenceModel,
    task: Task,
    split: Split,
    contexts: Sequence[Context],
    *,
    declared: int | None,
    seed: int,
    device: str,
) -> Report:
    """Return a report of every check of a model, made on the windows on which it is scored.

    Takes less than 30 % of the steps of scoring the curve.

    Args:
        model: the model; put into evaluation mode.
        task: the task, which defines outputs and loss.
        split: the targets.
        contexts: the context lengths that are scored.
        declared: the receptive field that the model declares, in inputs; None: unlimited.
        seed: seed of the windows and of what replaces their inputs.
        device: where the model runs.
    """
    model = model.to(device).eval()
    reader = OutputReader(model, task, device)
    perturber = Perturber(split, task.inputs, seed)
    comparisons = Comparisons(reader, split, np.random.default_rng([seed, 1]))
    checks = _ModelChecks(reader, perturber, comparisons, split, declared)
    try:
        checks.run(plan_lengths(split, contexts, declared, stateful=model.stateful))
    except InvalidOutputError as error:
        invalid = Check("finite", False, 0.0, None, reader.checked, str(error))
        return Report((invalid,), declared, None, 0, None, {})
    finite = Check("finite", True, 0.0, 0.0, reader.checked)
    found = {check.name: check for check in (finite, *comparisons.checks())}
    in_order = tuple(found[name] for name in CHECKS if name in found)
    left_out = {} if "context" in found else {"context": _why_no_context(declared)}
    left_out |= {
        name: "no sequence is long enough"
        for name in ("causality", "twins", "window")
        if name not in found
    }
    return Report(in_order, declared, *checks.measured_context(), comparisons.scale, left_out)


def _why_no_context(declared: int | None) -> str:
    if declared is None:
        return "the model declares no receptive field"
    return f"no window that is scored is longer than the {declared:,} inputs declared"


@dataclass
class _Group:
    """Windows of one length, and their features as scored.

    Attributes:
        plan: how many windows and copies are read.
        targets: (m,) the last target of each window; windows read as in scoring come first.
        inputs: (m, L, …) the windows.
        later_cuts: (window, position from which inputs are replaced).
        earlier_cuts: (window, position before which inputs are replaced).
        columns: the positions that are compared.
        scored: the features of the windows read as in scoring.
    """

    plan: LengthPlan
    targets: Indices
    inputs: Tensor
    later_cuts: list[tuple[int, int]]
    earlier_cuts: list[tuple[int, int]]
    columns: Tensor
    scored: WindowFeatures | None = None

    def name(self, window: int) -> str:
        """Return which window it is, for an example."""
        target = f"target {self.targets[window]:,}"
        if self.plan.is_context:
            return f"window of {target} at k = {self.plan.length}"
        return f"run of {self.plan.length} inputs to {target}"

    def same_rows(
        self, windows: WindowFeatures, rows: Sequence[int], change: str
    ) -> list[WindowPair]:
        """Return pairs of each scored window and a row of `windows`, equal at all positions."""
        return [
            WindowPair(i, rows[i], 0, self.plan.length, f"{self.name(i)}: {change}")
            for i in range(len(windows.features))
        ]


@dataclass
class _Batch:
    """Windows of one length that are read together, in random order."""

    inputs: list[Tensor] = field(default_factory=list)

    def add(self, window: Tensor) -> int:
        """Add a window; return its row."""
        self.inputs.append(window)
        return len(self.inputs) - 1


class _ModelChecks:
    """All checks of one model, from the first window to the last."""

    def __init__(
        self,
        reader: OutputReader,
        perturber: Perturber,
        comparisons: Comparisons,
        split: Split,
        declared: int | None,
    ) -> None:
        self._reader, self._perturber, self._comparisons = reader, perturber, comparisons
        self._split, self._declared = split, declared
        self._earlier_replaced: list[tuple[WindowFeatures, list[WindowPair]]] = []
        self._longest = 0  # number of inputs left unchanged after replaced ones

    def run(self, lengths: Sequence[LengthPlan]) -> None:
        """Read all windows and compare.

        Raises:
            InvalidOutputError: an output is not finite, or of the wrong form.
        """
        first = self._perturber.targets(lengths[0].length, 2)
        self._reader.check_form(self._perturber.windows(first, lengths[0].length))
        groups = [self._draw(plan) for plan in lengths]
        for group in groups:
            self._read_scored(group)
        previous: _Group | None = None
        for group in groups:
            self._read_mixed(group, previous if group.plan.continues else None)
            previous = group
        for group in groups:
            self._read_in_pieces(group, lengths)
        for group in groups:
            self._read_again(group)

    def measured_context(self) -> tuple[int | None, int]:
        """Return how many of the latest inputs matter, and the largest number tried."""
        if self._longest == 0:
            return None, 0
        found = self._comparisons.measured_context(self._earlier_replaced, self._longest)
        return found, self._longest

    def _draw(self, plan: LengthPlan) -> _Group:
        rng, length, shorter = self._perturber.rng, plan.length, plan.shorter
        later: list[tuple[int, int]] = []
        earlier: list[tuple[int, int]] = []
        targets = np.zeros(0, np.int64)
        if plan.windows:
            targets = self._perturber.targets(length, plan.windows)
        if len(targets):
            later = cut_points(rng, len(targets), length, shorter, plan.later_cuts)
            cuts = self._earlier_cuts(length, plan.earlier_cuts)
            earlier = [(i % len(targets), cut) for i, cut in enumerate(cuts)]
        wanted = [0, length - 1, *(c - 1 for _, c in later), *({shorter - 1} if shorter else ())]
        wanted += [c + (self._declared or 0) - 1 for _, c in earlier]
        rows = len(targets) + len(later) + len(earlier) + 2 * SCORED
        columns = self._reader.columns(rows, length, [c for c in wanted if 0 <= c < length])
        windows = self._perturber.windows(targets, length)
        return _Group(plan, targets, windows, later, earlier, columns)

    def _earlier_cuts(self, length: int, count: int) -> list[int]:
        """Choose the positions before which inputs are replaced.

        For windows within the receptive field: such that short and long contexts can be measured.
        For longer ones: the latest position that may change no output, the earliest, and random
        ones in between.
        """
        if length < 2 or count == 0:
            return []
        if self._declared is None or self._declared >= length:
            return [max(length * i // 8, 1) for i in range(count)]
        most = length - max(self._declared, 1)
        return [most, 1, *self._perturber.rng.integers(1, most + 1, count - 2).tolist()]

    def _read_as_scored(self, group: _Group) -> WindowFeatures:
        """Read windows as in scoring: one alone, the others together."""
        windows = group.inputs[: group.plan.scored]
        parts = [part for part in (windows[:1], windows[1:]) if len(part)]
        read = [self._reader.read(part, group.columns) for part in parts]
        return WindowFeatures(torch.cat([each.features for each in read]), group.columns)

    def _read_scored(self, group: _Group) -> None:
        if group.plan.scored == 0 or len(group.targets) == 0:
            return
        group.scored = self._read_as_scored(group)
        features = group.scored.features
        targets = self._split.targets[group.targets[: len(features)]]
        self._reader.check_losses(features[:, -1], targets)
        some = features.flatten(0, 1)
        chosen = self._perturber.rng.integers(0, len(some), min(len(some), 64))
        self._comparisons.measure_scale(some[torch.from_numpy(chosen)])

    def _read_mixed(self, group: _Group, shorter: _Group | None) -> None:
        """Read windows again, mixed with perturbed copies and continued shorter ones; compare."""
        batch = _Batch()
        base = [batch.add(window) for window in group.inputs]
        causal = self._add_later_replaced(batch, base, group)
        earlier, beyond_declared = self._add_earlier_replaced(batch, base, group)
        continued: list[WindowPair] = []
        appended: list[WindowPair] = []
        known = None if shorter is None else shorter.scored
        if shorter is not None and known is not None:
            continued, appended, between = self._add_continued(batch, shorter, known, group)
            causal += between
        if not batch.inputs:
            return
        mixed = self._read_shuffled(torch.stack(batch.inputs), group.columns)
        compare = self._comparisons.compare
        compare("causality", mixed, mixed, causal)
        compare("context", mixed, mixed, beyond_declared)
        if known is not None:
            compare("window", known, mixed, continued)
            compare("twins", known, mixed, appended)
        if group.scored is not None:
            change = "reading it with other windows in the batch"
            compare("batch", group.scored, mixed, group.same_rows(group.scored, base, change))
            self._compare_with_scored(group.scored, mixed, base, beyond_declared)
        if earlier:
            # Windows and copies, one after the other: the other features need not be stored.
            stored = mixed.rows([row for pair in earlier for row in (pair.left, pair.right)])
            renumbered = [replace(p, left=2 * i, right=2 * i + 1) for i, p in enumerate(earlier)]
            self._earlier_replaced.append((stored, renumbered))

    def _add_later_replaced(
        self, batch: _Batch, base: Sequence[int], group: _Group
    ) -> list[WindowPair]:
        """Causality: outputs before a cut must not change when later inputs are replaced."""
        pairs = []
        for i, cut in group.later_cuts:
            row = batch.add(self._perturber.replaced_after(group.inputs[i], cut))
            change = f"{group.name(i)}: replacing inputs {cut}..{group.plan.length - 1}"
            pairs.append(WindowPair(base[i], row, 0, cut, change))
        return pairs

    def _add_earlier_replaced(
        self, batch: _Batch, base: Sequence[int], group: _Group
    ) -> tuple[list[WindowPair], list[WindowPair]]:
        """Context: replace earlier inputs, to measure the context and to check the declared one.

        Returns:
            pairs that may differ from the last replaced input on, and pairs that must agree at
            the positions that see no replaced input within the declared receptive field.
        """
        length = group.plan.length
        pairs, beyond_declared = [], []
        for i, cut in group.earlier_cuts:
            row = batch.add(self._perturber.replaced_before(group.inputs[i], cut))
            pairs.append(WindowPair(base[i], row, cut - 1, length, ""))
            self._longest = max(self._longest, length - cut)
            if self._declared is not None and self._declared < length:
                name = f"{group.name(i)}, {self._declared:,} declared"
                change = f"{name}: replacing inputs 0..{cut - 1}"
                first = cut + self._declared - 1
                beyond_declared.append(WindowPair(base[i], row, first, length, change))
        return pairs, beyond_declared

    def _add_continued(
        self, batch: _Batch, shorter: _Group, known: WindowFeatures, group: _Group
    ) -> tuple[list[WindowPair], list[WindowPair], list[WindowPair]]:
        """Window: outputs of a scored window must not depend on what follows it.

        Returns:
            pairs of scored windows with their continuation in the sequence, with another
            continuation, and of the two continuations.
        """
        short, length = shorter.plan.length, group.plan.length
        runs = self._perturber.continued(shorter.targets[: len(known.features)], short, length)
        real, other, between = [], [], []
        for i, run in enumerate(runs):
            one = batch.add(run)
            two = batch.add(self._perturber.replaced_after(run, short))
            name = shorter.name(i)
            real.append(WindowPair(i, one, 0, short, f"{name}: reading on to {length} inputs"))
            change = f"{name}: appending {length - short} other inputs"
            other.append(WindowPair(i, two, 0, short, change))
            change = f"{name} in a run of {length}: replacing inputs {short}..{length - 1}"
            between.append(WindowPair(one, two, 0, short, change))
        return real, other, between

    def _compare_with_scored(
        self,
        scored: WindowFeatures,
        mixed: WindowFeatures,
        base: Sequence[int],
        beyond_declared: Sequence[WindowPair],
    ) -> None:
        """Compare a window's scored output with that of its copy with older inputs replaced."""
        window_of = {row: i for i, row in enumerate(base)}
        pairs = [
            replace(p, left=window_of[p.left], first=max(p.first, p.end - 1))
            for p in beyond_declared
            if window_of[p.left] < len(scored.features)
        ]
        self._comparisons.compare("twins", scored, mixed, pairs)

    def _read_shuffled(self, inputs: Tensor, columns: Tensor) -> WindowFeatures:
        """Read windows in random order; return their features in the given order."""
        order = torch.from_numpy(self._perturber.rng.permutation(len(inputs)))
        read = self._reader.read(inputs[order], columns)
        return WindowFeatures(read.features[order.argsort()], columns)

    def _read_in_pieces(self, group: _Group, lengths: Sequence[LengthPlan]) -> None:
        """Let a model with state read windows in pieces: input by input, or up to each k."""
        if group.scored is None or not self._reader.model.stateful:
            return
        length, known = group.plan.length, len(group.scored.features)
        ends = [plan.length for plan in lengths if plan.length < length] + [length]
        change = "reading it in pieces with the state carried"
        if length <= SINGLE:
            ends, change = [*range(1, length + 1)], "reading it input by input"
        pieces = np.diff([0, *ends]).tolist()
        read = self._reader.read_in_pieces(group.inputs[:known], pieces, group.columns)
        pairs = group.same_rows(read, range(known), change)
        self._comparisons.compare("window", group.scored, read, pairs)

    def _read_again(self, group: _Group) -> None:
        """Read again what was scored at first."""
        if group.scored is None:
            return
        again = self._read_as_scored(group)
        pairs = group.same_rows(again, range(len(again.features)), "reading it again")
        self._comparisons.compare("repeat", group.scored, again, pairs)
