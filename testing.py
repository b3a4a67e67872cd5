"""The contracts of tasks and models, as checks that tests of your own call like ours do.

    from seqmem.testing import check_chance, check_model, check_task

    def test_my_task():
        check_task(MyTask())
        check_chance(MyTask())

For any torch module, without tasks and data:

    from seqmem.testing import assert_causal, assert_receptive_field

    def test_my_network():
        assert_causal(MyNetwork())
        assert_receptive_field(MyNetwork(), 125)

A check raises an AssertionError with a message that names the broken rule. Any test runner works.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from seqmem.baselines.marginal import Marginal
from seqmem.baselines.training.checkpoint import load_weights, save_weights
from seqmem.errors import InputError
from seqmem.measuring.curve import measure
from seqmem.measuring.summary import summarise
from seqmem.probing.findings import Findings
from seqmem.probing.inputs import source_of
from seqmem.probing.probe import ProbeOptions, probe_network
from seqmem.tasks.model import SequenceModel, weights_sha256
from seqmem.tasks.task import Context, InputSpec, Split, Task, Tokens

__all__ = [
    "assert_causal",
    "assert_receptive_field",
    "check_chance",
    "check_model",
    "check_saved",
    "check_scores",
    "check_task",
    "example_inputs",
]


def check_task(task: Task) -> None:
    """Raise an error unless a task keeps the contract of `Task` and `Split`.

    Splits are well-formed and reproducible, context lengths ascend from 1 to the longest, the
    optimum does not increase with context and is at most chance; each kind of strata has every
    test target in one of several strata, none of them empty.

    Raises:
        AssertionError: a rule is broken.
    """
    for name, split, again in (
        ("valid", task.split("valid"), task.split("valid")),
        ("test", task.split("test"), task.split("test")),
        *_training_splits(task),
    ):
        _check_split(task, name, split)
        _require(split.fingerprint() == again.fingerprint(), f"{name}: the same data every time")
    _require(task.constant().shape == (task.outputs,), "constant() has one number per output")
    contexts = list(task.contexts)
    every: list[Context] = [*contexts, "full"]
    _require(contexts == sorted(set(contexts)), "contexts ascend")
    _require(contexts[0] == 1, "the first context length is 1")
    _require(contexts[-1] == task.longest_context, "the last context length is longest_context")
    values = [task.optimum(k) for k in every]
    known = [value for value in values if value is not None]
    _require(len(known) in (0, len(values)), "the optimum is known at every k or at none")
    _require(known == sorted(known, reverse=True), "the optimum does not increase with context")
    _require(not known or known[0] <= task.chance(), "the optimum is at most chance")
    kinds = task.strata()
    _require(len({each.by for each in kinds}) == len(kinds), "kinds of strata differ in name")
    for each in kinds:
        present = sorted(set(each.of.tolist()))
        _require(len(each.of) == len(task.split("test")), f"{each.by}: a stratum for each target")
        _require(
            present == list(range(len(set(each.labels)))) and 1 < len(present) <= 64,
            f"{each.by}: 2 to 64 labels, all different, and no stratum is empty",
        )


def check_chance(task: Task, contexts: tuple[Context, ...] = ("full",)) -> None:
    """Raise an error unless a model without memory scores chance on the test split.

    The tolerance is four standard errors.

    Raises:
        AssertionError: it does not.
    """
    blind = Marginal(task.inputs, task.outputs)
    blind.fit(task, 0)
    check_scores(blind, task, dict.fromkeys(contexts, task.chance()))


def check_scores(
    model: SequenceModel, task: Task, expected: Mapping[Context, float | None]
) -> None:
    """Raise an error unless a model's mean loss on the test split is as expected at every k.

    With an optimal model and the task's optimum this checks that the optimum is reached:
    ``check_scores(oracle, task, {k: task.optimum(k) for k in (*task.contexts, "full")})``.

    Args:
        model: the model.
        task: the task.
        expected: context length -> mean loss. The tolerance is four standard errors.

    Raises:
        AssertionError: it is not.
    """
    curve = measure(model, task, task.split("test"), list(expected))
    _require(not curve.failures, f"every k can be measured: {curve.failures}")
    for point in summarise(curve, task, model, list(expected)).points:
        value, found = expected[point.k], point.loss
        _require(value is not None, f"k = {point.k}: the expected loss is known")
        allowed = 4 * (found.standard_error or 0.0) + 1e-6
        _require(
            abs(found.mean - (value or 0.0)) <= allowed,
            f"k = {point.k}: the mean loss, {found.mean:.6g}, is {value} ± {allowed:.2g}",
        )


def _training_splits(task: Task) -> list[tuple[str, Split, Split]]:
    try:
        return [("train", task.train(3, 1), task.train(3, 1))]
    except InputError:  # a task on which only trained models can be measured
        return []


def _check_split(task: Task, name: str, split: Split) -> None:
    """Check the form of a split, and the range of its ids."""
    count = len(split.positions)
    _require(count > 0, f"{name}: there are targets")
    _require(
        count == len(split.targets) == len(split.blocks),
        f"{name}: positions, targets and blocks have the same length",
    )
    _require(split.starts[0] == 0, f"{name}: the first sequence starts at 0")
    _require(split.starts[-1] == len(split.inputs), f"{name}: the last of starts is len(inputs)")
    _require((split.starts.diff() > 0).all(), f"{name}: starts ascend, and no sequence is empty")
    _require((split.positions.diff() > 0).all(), f"{name}: positions ascend")
    _require((split.blocks.diff() >= 0).all(), f"{name}: blocks ascend")
    _require((split.available >= 1).all(), f"{name}: every target has an input")
    if isinstance(task.inputs, Tokens):
        vocabulary = task.inputs.vocabulary
        _require(split.inputs.dtype == torch.int32, f"{name}: ids are int32")
        _require(
            0 <= split.inputs.min() <= split.inputs.max() < vocabulary,
            f"{name}: ids are in [0, {vocabulary})",
        )
        _require(
            0 <= split.targets.min() <= split.targets.max() < task.outputs,
            f"{name}: targets are in [0, {task.outputs})",
        )
    else:
        _require(split.inputs.dtype == torch.float32, f"{name}: input vectors are float32")
        _require(
            split.inputs.shape[1] == task.inputs.dimension,
            f"{name}: input vectors have {task.inputs.dimension} numbers",
        )
        _require(
            not task.inputs.bounded or split.inputs.abs().max() <= 1,
            f"{name}: inputs are in [−1, 1]; if not, declare Features(…, bounded=False)",
        )


def example_inputs(spec: InputSpec, batch: int = 3, length: int = 40) -> Tensor:
    """Return random inputs of a task's type: (batch, length) ids or (batch, length, D) floats."""
    source = torch.Generator().manual_seed(3)
    if isinstance(spec, Tokens):
        return torch.randint(0, spec.vocabulary, (batch, length), generator=source).int()
    return torch.rand(batch, length, spec.dimension, generator=source)


@torch.inference_mode()
def check_model(model: SequenceModel, inputs: Tensor, outputs: int) -> None:
    """Raise an error unless a model keeps the contract of `SequenceModel`.

    Outputs have the right shape and are finite; they do not depend on later inputs, on other rows
    of the batch, on inputs older than the declared receptive field, or on earlier calls; the
    forward pass is `hidden`, then `readout`; and reading in pieces with the state carried equals
    one pass.

    Args:
        model: the model, in evaluation mode.
        inputs: (B, L) ids or (B, L, D) floats, with B ≥ 2 and L ≥ 5, as from `example_inputs`.
        outputs: how many numbers the model returns for each position.

    Raises:
        AssertionError: a rule is broken.
    """
    batch, length = inputs.shape[:2]
    given = model(inputs)
    _require(given.shape == (batch, length, outputs), f"outputs are (B, L, {outputs})")
    _require(given.isfinite().all(), "outputs are finite")
    for cut in sorted({1, length // 5 - 1, 3 * length // 5 - 1, length - 1} - {0}):
        _same(model(inputs[:, :cut]), given[:, :cut], "no output depends on later inputs")
    _same(model(inputs[1:2]), given[1:2], "no output depends on other rows of the batch")
    _same(model(inputs.flip(0)), given.flip(0), "no output depends on the order of the batch")
    _require(torch.equal(model(inputs), given), "the same inputs have the same outputs")
    features, _ = model.hidden(inputs)
    _same(model.readout(features), given, "the forward pass is hidden, then readout")
    rows, columns = torch.arange(batch), torch.full((batch,), length - 1)
    _same(
        model.features_at(inputs, rows, columns)[0],
        features[:, -1],
        "features_at returns the features of hidden",
    )
    field = model.receptive_field
    if field is not None and field < length:
        older = inputs.flip(0)[:, : length - field]
        changed = model(torch.cat([older, inputs[:, length - field :]], 1))
        _same(changed[:, -1], given[:, -1], f"no output depends on more than {field} inputs")
    if model.stateful:
        state, pieces = None, []
        for piece in inputs.split([1, length // 2, 2, length - length // 2 - 3], 1):
            part, state = model.hidden(piece, state)
            pieces.append(part)
        _same(torch.cat(pieces, 1), features, "pieces with the state carried equal one pass")


def assert_causal(
    module: nn.Module,
    inputs: Tensor | InputSpec | Task | None = None,
    *,
    length: int = 128,
    time: int = 1,
    seed: int = 0,
) -> None:
    """Raise an error if an output of any module depends on a later input.

    Every output is checked against every later input, by gradients and by replaced inputs, in
    evaluation mode and where possible in float64; see docs/probe.md.

    Args:
        module: from inputs (B, L) or (B, L, D) to outputs (B, L, …); it is left as it is.
        inputs: an example of them, their type, or a task; None: random ones, of the kind that the
            first layer reads.
        length: of the sequences.
        time: the axis of time in what the module reads and returns: 2 for (B, D, L).
        seed: of the inputs.

    Raises:
        AssertionError: an output depends on a later input; the message names the first.
        InputError: the module cannot read such inputs.
    """
    found = _probed(module, inputs, ProbeOptions(length=length, time=time, seed=seed, cost=False))
    leak = found.causality.leak
    _require(leak is None, f"no output of {found.name} depends on later inputs: {leak}")


def assert_receptive_field(
    module: nn.Module,
    field: int,
    inputs: Tensor | InputSpec | Task | None = None,
    *,
    time: int = 1,
    seed: int = 0,
) -> None:
    """Raise an error unless outputs of any module depend on exactly so many of the latest inputs.

    Args:
        module: as in `assert_causal`.
        field: the receptive field in inputs, the current one included.
        inputs: as in `assert_causal`.
        time: as in `assert_causal`.
        seed: of the inputs.

    Raises:
        AssertionError: outputs depend on fewer or more inputs, or on later ones.
        InputError: the module cannot read such inputs.
    """
    options = ProbeOptions(declared=field, longest=2 * field, time=time, seed=seed, cost=False)
    found = _probed(module, inputs, options)
    leak, last = found.causality.leak, found.looks[-1]
    _require(leak is None, f"no output of {found.name} depends on later inputs: {leak}")
    seen = found.receptive_field
    text = f"all {last.length:,} that were read" if seen is None else f"{seen:,}"
    _require(
        seen == field,
        f"outputs of {found.name} depend on {field:,} inputs: they depend on {text} "
        f"({last.method})",
    )


def _probed(
    module: nn.Module, inputs: Tensor | InputSpec | Task | None, options: ProbeOptions
) -> Findings:
    return probe_network(module, source_of(inputs, module), type(module).__name__, options)


@torch.inference_mode()
def check_saved(model: SequenceModel, fresh: SequenceModel, inputs: Tensor, folder: Path) -> None:
    """Raise an error unless stored weights, loaded into a fresh model, give the same outputs.

    Args:
        model: the model, in evaluation mode.
        fresh: a model of the same architecture with other weights, in evaluation mode.
        inputs: (B, L) ids or (B, L, D) floats.
        folder: where the weights are written.

    Raises:
        AssertionError: they do not.
    """
    _require(
        weights_sha256(model) != weights_sha256(fresh), "model and fresh model have other weights"
    )
    path, facts = folder / "weights.safetensors", {"seed": 3}
    save_weights(model, path, facts)
    _require(load_weights(fresh, path) == facts, "facts are stored with the weights")
    _require(torch.equal(fresh(inputs), model(inputs)), "loaded weights give the same outputs")


def _same(one: Tensor, other: Tensor, rule: str) -> None:
    torch.testing.assert_close(one, other, msg=lambda found: f"rule broken: {rule}\n{found}")


def _require(holds: bool | Tensor, rule: str) -> None:
    """Raise an error unless a rule holds; unlike ``assert``, with ``python -O`` as well.

    Args:
        holds: whether it holds; a tensor with one truth value is accepted.
        rule: the rule in words.

    Raises:
        AssertionError: it does not hold.
    """
    if not holds:
        raise AssertionError(f"rule broken: {rule}")
