"""The validity gate: before a score enters the board, a model is examined on what it is scored on.

Windows are read as they are scored, then once more among their twins in random order, and at the
end once more as at first. What must agree is compared at every position. The checks, what each of
them asks for: `seqmem.measuring.gate.report.CHECKS`.

What cannot be seen so: a function of the allowed inputs alone that has learned the test data by
heart. It is consistent, whatever is replaced. Where the optimum is known it is found out by that
(`examine_curve`), elsewhere it may be flagged (`examine_lead`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from seqmem.measuring.gate.agreement import Indices, Ledger, Pair
from seqmem.measuring.gate.outputs import Answers, Asker, UnusableError
from seqmem.measuring.gate.plan import SCORED, Length, plan
from seqmem.measuring.gate.replaced_inputs import TwinMaker, cut_points
from seqmem.measuring.gate.report import CHECKS, Check, Report
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Split, Task

__all__ = ["examine"]

# Windows of models with state are read input by input up to this length.
SINGLE = 64


@torch.inference_mode()
# As in measuring: what is compared must be computed as what is scored.
@torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
def examine(
    model: SequenceModel,
    task: Task,
    split: Split,
    contexts: Sequence[Context],
    *,
    declared: int | None,
    seed: int,
    device: str,
) -> Report:
    """Examine a model on the windows that it is scored on.

    Takes less than three tenths of the steps that scoring the curve takes.

    Args:
        model: what is scored; put into evaluation mode.
        task: says what the outputs are and how they are scored.
        split: the targets.
        contexts: the context lengths that are scored.
        declared: how many of the latest inputs the model says that its outputs depend on; None:
            on all.
        seed: of the windows and of what replaces their inputs.
        device: where the model runs.
    """
    model = model.to(device).eval()
    asker = Asker(model, task, device)
    maker = TwinMaker(split, task.inputs, seed)
    ledger = Ledger(asker, split, np.random.default_rng([seed, 1]))
    work = _Examination(asker, maker, ledger, split, declared)
    try:
        work.run(plan(split, contexts, declared, stateful=model.stateful))
    except UnusableError as error:
        broken = Check("finite", False, 0.0, None, asker.looked_at, str(error))
        return Report((broken,), declared, None, 0, None, {})
    fine = Check("finite", True, 0.0, 0.0, asker.looked_at)
    found = {check.name: check for check in (fine, *ledger.checks())}
    checks = tuple(found[name] for name in CHECKS if name in found)
    left_out = {} if "context" in found else {"context": _why_no_context(declared)}
    left_out |= {
        name: "no sequence is long enough"
        for name in ("causality", "twins", "window")
        if name not in found
    }
    return Report(checks, declared, *work.reach(), ledger.scale, left_out)


def _why_no_context(declared: int | None) -> str:
    if declared is None:
        return "the model declares no receptive field"
    return f"no window that is scored is longer than the {declared:,} inputs declared"


@dataclass
class _Group:
    """Windows of one length, and what was answered to them.

    Attributes:
        of: how many of what.
        targets: (m,) that windows end at; those asked as scored come first.
        inputs: (m, L, …) the windows.
        columns: the positions that are compared.
        scored: the answers to those asked as scored.
    """

    of: Length
    targets: Indices
    inputs: Tensor
    cuts: list[tuple[int, int]]
    olds: list[tuple[int, int]]
    columns: Tensor
    scored: Answers | None = None

    def name(self, window: int) -> str:
        """Say which window it is, for an example."""
        target = f"target {self.targets[window]:,}"
        if self.of.is_context:
            return f"window of {target} at k = {self.of.length}"
        return f"run of {self.of.length} inputs to {target}"


@dataclass
class _Batch:
    """Windows of one length that are read together, in random order."""

    inputs: list[Tensor] = field(default_factory=list)

    def add(self, window: Tensor) -> int:
        """Give the row that the window gets."""
        self.inputs.append(window)
        return len(self.inputs) - 1


class _Examination:
    """One examination, from the first window to the last."""

    def __init__(
        self, asker: Asker, maker: TwinMaker, ledger: Ledger, split: Split, declared: int | None
    ) -> None:
        self._asker, self._maker, self._ledger = asker, maker, ledger
        self._split, self._declared = split, declared
        self._olds: list[tuple[Answers, list[Pair]]] = []
        self._longest = 0  # of the inputs that were left the same behind replaced ones

    def run(self, lengths: Sequence[Length]) -> None:
        """Ask everything.

        Raises:
            UnusableError: what the model gives is not in order.
        """
        first = self._maker.targets(lengths[0].length, 2)
        self._asker.try_out(self._maker.windows(first, lengths[0].length))
        groups = []
        before = 0
        for of in lengths:
            groups.append(self._draw(of, before))
            before = of.length
        for group in groups:
            self._score(group)
        host: _Group | None = None
        for group in groups:
            self._mix(group, host if group.of.hosts else None)
            host = group
        for group in groups:
            self._carry(group, lengths)
        for group in groups:
            self._repeat(group)

    def reach(self) -> tuple[int | None, int]:
        """Give how many of the latest inputs matter, and how many that could be at most."""
        if self._longest == 0:
            return None, 0
        return self._ledger.reach(self._olds, self._longest), self._longest

    def _draw(self, of: Length, before: int) -> _Group:
        rng, length = self._maker.rng, of.length
        targets = self._maker.targets(length, of.windows) if of.windows else np.zeros(0, np.int64)
        cuts = cut_points(rng, len(targets), length, before, of.cuts) if len(targets) else []
        olds = []
        if len(targets):
            places = self._old_cuts(length, of.olds)
            olds = [(i % len(targets), cut) for i, cut in enumerate(places)]
        wanted = [0, length - 1, *(c - 1 for _, c in cuts), *({before - 1} if before else ())]
        wanted += [c + (self._declared or 0) - 1 for _, c in olds]
        rows = len(targets) + len(cuts) + len(olds) + 2 * SCORED
        columns = self._asker.columns(rows, length, [c for c in wanted if 0 <= c < length])
        return _Group(of, targets, self._maker.windows(targets, length), cuts, olds, columns)

    def _old_cuts(self, length: int, count: int) -> list[int]:
        """Choose before which position inputs are replaced.

        Within a receptive field, such that short and long reaches can be measured. Behind one: as
        late as no output may notice, as early as can be, and in between.
        """
        if length < 2 or count == 0:
            return []
        if self._declared is None or self._declared >= length:
            return [max(length * i // 8, 1) for i in range(count)]
        most = length - max(self._declared, 1)
        return [most, 1, *self._maker.rng.integers(1, most + 1, count - 2).tolist()]

    def _ask_scored(self, group: _Group) -> Answers:
        """Ask for windows as they are scored: one alone, the others together."""
        windows = group.inputs[: group.of.scored]
        parts = [part for part in (windows[:1], windows[1:]) if len(part)]
        answers = [self._asker.ask(part, group.columns) for part in parts]
        return Answers(torch.cat([a.features for a in answers]), group.columns)

    def _score(self, group: _Group) -> None:
        if group.of.scored == 0 or len(group.targets) == 0:
            return
        group.scored = self._ask_scored(group)
        features = group.scored.features
        targets = self._split.targets[group.targets[: len(features)]]
        self._asker.check_losses(features[:, -1], targets)
        some = features.flatten(0, 1)
        chosen = self._maker.rng.integers(0, len(some), min(len(some), 64))
        self._ledger.measure_scale(some[torch.from_numpy(chosen)])

    def _mix(self, group: _Group, hosted: _Group | None) -> None:
        """Read windows again among their twins, in random order; compare."""
        batch, length = _Batch(), group.of.length
        base = [batch.add(window) for window in group.inputs]
        causal, old, reach, real, other = [], [], [], [], []
        for i, cut in group.cuts:
            row = batch.add(self._maker.replaced_after(group.inputs[i], cut))
            said = f"{group.name(i)}: replacing inputs {cut}..{length - 1}"
            causal.append(Pair(base[i], row, 0, cut, said))
        for i, cut in group.olds:
            row = batch.add(self._maker.replaced_before(group.inputs[i], cut))
            reach.append(Pair(base[i], row, cut - 1, length, ""))
            self._longest = max(self._longest, length - cut)
            if self._declared is not None and self._declared < length:
                name = f"{group.name(i)}, {self._declared:,} declared"
                said = f"{name}: replacing inputs 0..{cut - 1}"
                old.append(Pair(base[i], row, cut + self._declared - 1, length, said))
        if hosted is not None and hosted.scored is not None:
            known = len(hosted.scored.features)
            short = hosted.of.length
            runs = self._maker.continued(hosted.targets[:known], short, length)
            for i, run in enumerate(runs):
                one = batch.add(run)
                two = batch.add(self._maker.replaced_after(run, short))
                name = hosted.name(i)
                real.append(Pair(i, one, 0, short, f"{name}: reading on to {length} inputs"))
                changed = f"{name}: appending {length - short} other inputs"
                other.append(Pair(i, two, 0, short, changed))
                said = f"{name} in a run of {length}: replacing inputs {short}..{length - 1}"
                causal.append(Pair(one, two, 0, short, said))
        if not batch.inputs:
            return
        answers = self._shuffled(torch.stack(batch.inputs), group.columns)
        compare = self._ledger.compare
        compare("causality", answers, answers, causal)
        compare("context", answers, answers, old)
        if hosted is not None and hosted.scored is not None:
            compare("window", hosted.scored, answers, real)
            compare("twins", hosted.scored, answers, other)
        if group.scored is not None:
            rows = range(len(group.scored.features))
            said = "reading it with other windows beside it"
            same = [Pair(i, base[i], 0, length, f"{group.name(i)}: {said}") for i in rows]
            compare("batch", group.scored, answers, same)
            self._compare_twins_of_scored(group, answers, base, old)
        if reach:
            # Windows and twins, one after the other: what else was answered need not be kept.
            kept = answers.rows([row for pair in reach for row in (pair.left, pair.right)])
            moved = [replace(p, left=2 * i, right=2 * i + 1) for i, p in enumerate(reach)]
            self._olds.append((kept, moved))

    def _compare_twins_of_scored(
        self, group: _Group, answers: Answers, base: Sequence[int], old: Sequence[Pair]
    ) -> None:
        """Hold the scored output of a window to that of its twin with older inputs replaced."""
        assert group.scored is not None
        known = len(group.scored.features)
        window_of = {row: i for i, row in enumerate(base)}
        pairs = [
            Pair(window_of[p.left], p.right, max(p.first, p.last - 1), p.last, p.said)
            for p in old
            if window_of[p.left] < known
        ]
        self._ledger.compare("twins", group.scored, answers, pairs)

    def _shuffled(self, inputs: Tensor, columns: Tensor) -> Answers:
        """Ask for windows in random order; give the answers in theirs."""
        order = torch.from_numpy(self._maker.rng.permutation(len(inputs)))
        answers = self._asker.ask(inputs[order], columns)
        return Answers(answers.features[order.argsort()], columns)

    def _carry(self, group: _Group, lengths: Sequence[Length]) -> None:
        """Let a model with state read windows in pieces: input by input, or up to each k."""
        if group.scored is None or not self._asker.model.stateful:
            return
        length, known = group.of.length, len(group.scored.features)
        ends = [of.length for of in lengths if of.length < length] + [length]
        said = "reading it in pieces with the state carried"
        if length <= SINGLE:
            ends, said = [*range(1, length + 1)], "reading it input by input"
        pieces = np.diff([0, *ends]).tolist()
        answers = self._asker.carry(group.inputs[:known], pieces, group.columns)
        same = [Pair(i, i, 0, length, f"{group.name(i)}: {said}") for i in range(known)]
        self._ledger.compare("window", group.scored, answers, same)

    def _repeat(self, group: _Group) -> None:
        """Ask once more for what was asked at first."""
        if group.scored is None:
            return
        again = self._ask_scored(group)
        rows, length = range(len(again.features)), group.of.length
        same = [Pair(i, i, 0, length, f"{group.name(i)}: asking again") for i in rows]
        self._ledger.compare("repeat", group.scored, again, same)
