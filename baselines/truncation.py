"""What cutting the context does to a network's features, measured beside what was promised."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from seqmem.baselines.certificate import FEATURE_BOUND, certificate
from seqmem.errors import InputError
from seqmem.measuring.reference import carried_passes
from seqmem.measuring.windows import window_inputs
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import Split

__all__ = ["TruncationError", "truncation_errors"]

STEPS = 1 << 14  # model steps that one forward pass of windows takes


@dataclass(frozen=True)
class TruncationError:
    """What cutting the context to k inputs did to the features, and what was promised.

    Attributes:
        k: the context length.
        measured: the largest norm of the difference over all targets.
        promised: the certificate's bound.
    """

    k: int
    measured: float
    promised: float


@torch.inference_mode()
def truncation_errors(
    model: SequenceModel, split: Split, contexts: Sequence[int], *, device: str = "cpu"
) -> tuple[TruncationError, ...]:
    """Measure how far the top features at context k are from those at full context.

    Args:
        model: a model with a certificate; put into evaluation mode.
        split: its targets say where features are compared; all full-context features are held in
            memory, so take a `prefix` or `subset` of a large one.
        contexts: context lengths, at least 1. A target with no more than k inputs sees all of
            them at k as well, and has no error.
        device: where the model runs.

    Raises:
        InputError: the model has no certificate, the inputs leave what it is about, or a context
            is not at least 1.
    """
    if wrong := [k for k in contexts if k < 1]:
        raise InputError(f"context {wrong[0]}: a context has at least 1 input")
    proof = certificate(model)
    if split.inputs.is_floating_point() and float(split.inputs.abs().max()) > FEATURE_BOUND:
        raise InputError(
            f"inputs of up to {float(split.inputs.abs().max()):g}: the certificate is about "
            f"features in [−{FEATURE_BOUND:g}, {FEATURE_BOUND:g}]; scale them"
        )
    model = model.to(device).eval()
    one, _ = model.hidden(split.inputs[None, :1].to(device))
    full = torch.empty(len(split), one.shape[-1], dtype=one.dtype)
    state: State = None
    for index, own, fresh in carried_passes(split, stateful=True, most=STEPS):
        features, state = model.hidden(split.inputs[index].to(device), None if fresh else state)
        target = torch.where(own, split.target_at[index], -1)
        row, column = (target >= 0).nonzero(as_tuple=True)
        full[target[row, column]] = features[row, column].cpu()
    order = 2 if proof.norm == "euclidean" else math.inf
    found = []
    for k in contexts:
        largest = 0.0
        longer = (split.available > k).nonzero().squeeze(1)
        for chosen in longer.split(max(STEPS // k, 1)) if len(longer) else ():
            features, _ = model.hidden(window_inputs(split, chosen, k).to(device))
            difference = (full[chosen] - features[:, -1].cpu()).norm(order, dim=1)
            largest = max(largest, float(difference.max()))
        found.append(TruncationError(k, largest, proof.bound(k)))
    return tuple(found)
