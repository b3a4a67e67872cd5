"""The checks of a model: run on scored windows and on perturbed copies, before it enters the board.

Windows are read as in scoring, then again in random order together with perturbed copies, and at
the end once more as at first. Outputs that must agree are compared at every position. What each
check requires: `seqmem.measuring.gate.report.CHECKS`.

What these checks cannot detect: a function of the allowed inputs alone that has memorised the test
data. It is consistent, whatever is replaced. Where the optimum is known, its losses give it away
(`check_optimum`); elsewhere they may be flagged (`check_lead`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from seqmem.errors import CellError
from seqmem.measuring.arrays import Indices
from seqmem.measuring.gate.agreement import Comparisons, WindowPair
from seqmem.measuring.gate.outputs import OutputReader, WindowFeatures
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
    reader = OutputReader(model.to(device).eval(), task, device)
    comparisons = Comparisons(reader, split, np.random.default_rng([seed, 1]))
    checks = _ModelChecks(reader, Perturber(split, task.inputs, seed), comparisons, declared)
    try:
        checks.run(plan_lengths(split, contexts, declared, stateful=model.stateful))
        finite = Check("finite", True, 0.0, 0.0, reader.checked)
        context = comparisons.measured_context(checks.earlier_replaced)
    except CellError as error:
        invalid = Check("finite", False, 0.0, None, reader.checked, str(error))
        return Report((invalid,), declared, None, 0, None, {})
    found = {check.name: check for check in (finite, *comparisons.checks())}
    in_order = tuple(found[name] for name in CHECKS if name in found)
    no_context = "the model declares no receptive field"
    if declared is not None:
        no_context = f"no window that is scored is longer than the {declared:,} inputs declared"
    reasons = {"context": no_context}
    reasons |= dict.fromkeys(("causality", "twins", "window"), "no sequence is long enough")
    left_out = {name: why for name, why in reasons.items() if name not in found}
    return Report(in_order, declared, *context, comparisons.scale, left_out)


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
        scored: the features of the windows read as in scoring; of none before they are read.
    """

    plan: LengthPlan
    targets: Indices
    inputs: Tensor
    later_cuts: list[tuple[int, int]]
    earlier_cuts: list[tuple[int, int]]
    columns: Tensor
    scored: WindowFeatures

    def name(self, window: int) -> str:
        """Return which window it is, for an example."""
        target = f"target {self.targets[window]:,}"
        if self.plan.is_context:
            return f"window of {target} at k = {self.plan.length}"
        return f"run of {self.plan.length} inputs to {target}"


@dataclass
class _ModelChecks:
    """All checks of one model, from the first window to the last.

    Attributes:
        reader: runs the model.
        perturber: draws windows and perturbed copies.
        comparisons: compares outputs, and records differences.
        declared: the receptive field that the model declares.
        earlier_replaced: windows and copies with earlier inputs replaced, from which the context is
            measured: pairs that may differ from the last replaced input on.
    """

    reader: OutputReader
    perturber: Perturber
    comparisons: Comparisons
    declared: int | None
    earlier_replaced: list[tuple[WindowFeatures, list[WindowPair]]] = field(default_factory=list)

    def run(self, lengths: Sequence[LengthPlan]) -> None:
        """Read all windows and compare.

        Raises:
            CellError: an output is not finite, or of the wrong form.
        """
        first = self.perturber.targets(lengths[0].length, 2)
        self.reader.check_form(self.perturber.windows(first, lengths[0].length))
        groups = [self._draw(plan) for plan in lengths]
        scored = [group for group in groups if group.plan.scored]
        for group in scored:
            self._read_scored(group)
        for shorter, group in zip([groups[0], *groups], groups, strict=False):
            self._read_mixed(group, shorter)
        if self.reader.model.stateful:
            for group in scored:
                self._read_in_pieces(group, lengths)
        for group in scored:
            again = self._read_as_scored(group)
            self._compare_scored("repeat", group, again, "reading it again")

    def _draw(self, plan: LengthPlan) -> _Group:
        length, shorter = plan.length, plan.shorter
        targets = self.perturber.targets(length, plan.windows)
        later = cut_points(self.perturber.rng, len(targets), length, shorter, plan.later_cuts)
        cuts = self._earlier_cuts(length, plan.earlier_cuts)
        earlier = [(i % len(targets), cut) for i, cut in enumerate(cuts)]
        wanted = [0, length - 1, *(c - 1 for _, c in later), *({shorter - 1} if shorter else ())]
        wanted += [c + (self.declared or 0) - 1 for _, c in earlier]
        rows = len(targets) + len(later) + len(earlier) + 2 * SCORED
        columns = self.reader.columns(rows, length, [c for c in wanted if 0 <= c < length])
        windows = self.perturber.windows(targets, length)
        none = WindowFeatures(torch.empty(0, len(columns), 0), columns)
        return _Group(plan, targets, windows, later, earlier, columns, none)

    def _earlier_cuts(self, length: int, count: int) -> list[int]:
        """Choose the positions before which inputs are replaced.

        For windows within the receptive field: such that short and long contexts can be measured.
        For longer ones: the latest position that may change no output, the earliest, and random
        ones in between.
        """
        if length < 2 or count == 0:
            return []
        if self.declared is None or self.declared >= length:
            return [max(length * i // 8, 1) for i in range(count)]
        most = length - max(self.declared, 1)
        return [most, 1, *self.perturber.rng.integers(1, most + 1, count - 2).tolist()]

    def _read_as_scored(self, group: _Group) -> WindowFeatures:
        """Read windows as in scoring: one alone, the others together."""
        windows = group.inputs[: group.plan.scored]
        parts = [part for part in (windows[:1], windows[1:]) if len(part)]
        read = torch.cat([self.reader.read(part, group.columns) for part in parts])
        return WindowFeatures(read, group.columns)

    def _read_scored(self, group: _Group) -> None:
        """Read windows as in scoring, and check their losses."""
        group.scored = self._read_as_scored(group)
        features = group.scored.features
        targets = self.perturber.split.targets[group.targets[: len(features)]]
        self.reader.check_losses(features[:, -1], targets)
        count = features.shape[0] * features.shape[1]
        chosen = self.perturber.rng.integers(0, count, min(count, 64))
        self.comparisons.measure_scale(group.scored.at(chosen))

    def _read_mixed(self, group: _Group, shorter: _Group) -> None:
        """Read windows again, mixed with perturbed copies and continued shorter ones; compare."""
        length, batch = group.plan.length, list(group.inputs)

        def add(window: Tensor) -> int:
            batch.append(window)
            return len(batch) - 1

        causal = []  # outputs before a cut must not change when later inputs are replaced
        for i, cut in group.later_cuts:
            row = add(self.perturber.replaced_after(group.inputs[i], cut))
            change = f"{group.name(i)}: replacing inputs {cut}..{length - 1}"
            causal.append(WindowPair(i, row, 0, cut, change))
        earlier = []  # outputs may differ from the last replaced input on
        for i, cut in group.earlier_cuts:
            row = add(self.perturber.replaced_before(group.inputs[i], cut))
            earlier.append(WindowPair(i, row, cut - 1, length, ""))
        continued, appended, between = self._add_continued(add, shorter, group)
        order = torch.from_numpy(self.perturber.rng.permutation(len(batch)))
        read = self.reader.read(torch.stack(batch)[order], group.columns)
        mixed = WindowFeatures(read[order.argsort()], group.columns)
        beyond_declared = self._beyond_declared(group, earlier)
        compare = self.comparisons.compare
        compare("causality", mixed, mixed, causal + between)
        compare("context", mixed, mixed, beyond_declared)
        compare("window", shorter.scored, mixed, continued)
        compare("twins", shorter.scored, mixed, appended)
        change = "reading it with other windows in the batch"
        self._compare_scored("batch", group, mixed, change)
        scored = len(group.scored.features)
        last = [pair._replace(first=length - 1) for pair in beyond_declared if pair.left < scored]
        compare("twins", group.scored, mixed, last)
        if earlier:
            # Windows and copies, one after the other: the other features need not be stored.
            rows = [row for pair in earlier for row in (pair.left, pair.right)]
            stored = WindowFeatures(mixed.features[rows], group.columns)
            pairs = [p._replace(left=2 * i, right=2 * i + 1) for i, p in enumerate(earlier)]
            self.earlier_replaced.append((stored, pairs))

    def _beyond_declared(self, group: _Group, earlier: Sequence[WindowPair]) -> list[WindowPair]:
        """Return the pairs from the first position that sees no replaced input, as declared."""
        declared = self.declared
        if declared is None or declared >= group.plan.length:
            return []
        return [
            pair._replace(
                first=pair.first + declared,
                description=f"{group.name(pair.left)}, {declared:,} declared: "
                f"replacing inputs 0..{pair.first}",
            )
            for pair in earlier
        ]

    def _add_continued(
        self, add: Callable[[Tensor], int], shorter: _Group, group: _Group
    ) -> tuple[list[WindowPair], list[WindowPair], list[WindowPair]]:
        """Window: outputs of a scored window must not depend on what follows it.

        Returns:
            pairs of scored windows with their continuation in the sequence, with another
            continuation, and of the two continuations; none if the plan has no continued windows.
        """
        real: list[WindowPair] = []
        other: list[WindowPair] = []
        between: list[WindowPair] = []
        if not group.plan.continues:
            return real, other, between
        short, length = shorter.plan.length, group.plan.length
        targets = shorter.targets[: shorter.plan.scored]
        for i, run in enumerate(self.perturber.continued(targets, short, length)):
            one, two = add(run), add(self.perturber.replaced_after(run, short))
            name = shorter.name(i)
            real.append(WindowPair(i, one, 0, short, f"{name}: reading on to {length} inputs"))
            change = f"{name}: appending {length - short} other inputs"
            other.append(WindowPair(i, two, 0, short, change))
            change = f"{name} in a run of {length}: replacing inputs {short}..{length - 1}"
            between.append(WindowPair(one, two, 0, short, change))
        return real, other, between

    def _read_in_pieces(self, group: _Group, lengths: Sequence[LengthPlan]) -> None:
        """Let a model with state read windows in pieces: input by input, or up to each k."""
        length = group.plan.length
        ends = [plan.length for plan in lengths if plan.length <= length]
        change = "reading it in pieces with the state carried"
        if length <= SINGLE:
            ends, change = [*range(1, length + 1)], "reading it input by input"
        pieces = np.diff([0, *ends]).tolist()
        windows = group.inputs[: group.plan.scored]
        read = self.reader.read_in_pieces(windows, pieces, group.columns)
        self._compare_scored("window", group, WindowFeatures(read, group.columns), change)

    def _compare_scored(self, name: str, group: _Group, read: WindowFeatures, change: str) -> None:
        """Compare scored windows with the same rows of `read`, at all positions."""
        pairs = [
            WindowPair(i, i, 0, group.plan.length, f"{group.name(i)}: {change}")
            for i in range(len(group.scored.features))
        ]
        self.comparisons.compare(name, group.scored, read, pairs)
