"""Checks that every model must pass."""

from pathlib import Path

import torch
from torch import Tensor

from seqmem.baselines.training.checkpoint import load_weights, save_weights
from seqmem.tasks.model import SequenceModel, weights_sha256
from seqmem.tasks.task import InputSpec, Tokens
from seqmem.testing.rules import require

__all__ = ["check_model", "check_saved", "example_inputs"]


def example_inputs(spec: InputSpec, batch: int = 3, length: int = 40, seed: int = 3) -> Tensor:
    """Return random inputs of a task's type: (batch, length) ids or (batch, length, D) floats."""
    source = torch.Generator().manual_seed(seed)
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
    require(given.shape == (batch, length, outputs), f"outputs are (B, L, {outputs})")
    require(given.isfinite().all(), "outputs are finite")
    for cut in sorted({1, length // 5 - 1, 3 * length // 5 - 1, length - 1} - {0}):
        _same(model(inputs[:, :cut]), given[:, :cut], "no output depends on later inputs")
    _same(model(inputs[1:2]), given[1:2], "no output depends on other rows of the batch")
    _same(model(inputs.flip(0)), given.flip(0), "no output depends on the order of the batch")
    require(torch.equal(model(inputs), given), "the same inputs have the same outputs")
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
    require(
        weights_sha256(model) != weights_sha256(fresh), "model and fresh model have other weights"
    )
    path, facts = folder / "weights.safetensors", {"seed": 3}
    save_weights(model, path, facts)
    require(load_weights(fresh, path) == facts, "facts are stored with the weights")
    require(torch.equal(fresh(inputs), model(inputs)), "loaded weights give the same outputs")


def _same(one: Tensor, other: Tensor, rule: str) -> None:
    torch.testing.assert_close(one, other, msg=lambda found: f"rule broken: {rule}\n{found}")
