"""Helpers of the tests of stable networks."""

import numpy as np
import torch
from torch import Tensor

from seqmem.baselines.stable import StableLSTM, StableRNN
from seqmem.tasks.model import SequenceModel

Stable = StableRNN | StableLSTM
STABLE: list[type[Stable]] = [StableRNN, StableLSTM]


def draw(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64) * scale


def assert_inside(model: SequenceModel, slack: float = 1e-12) -> None:
    """Assert the conditions, computed from the weights without the code that projects."""
    assert isinstance(model, StableRNN | StableLSTM)
    weights = {
        name: value.detach().double().numpy() for name, value in model.layers.named_parameters()
    }
    for layer in range(model.layers.num_layers):
        recurrent = weights[f"weight_hh_l{layer}"]
        if isinstance(model, StableRNN):
            assert np.linalg.svd(recurrent)[1].max() <= model.lambda_max + slack
            continue
        rows = np.abs(recurrent).sum(1).reshape(4, -1)
        inputs = np.abs(weights[f"weight_ih_l{layer}"]).sum(1).reshape(4, -1)
        bias = (weights[f"bias_ih_l{layer}"] + weights[f"bias_hh_l{layer}"]).reshape(4, -1)
        forget = 1 / (1 + np.exp(-(rows[1] + inputs[1] + bias[1])))  # of each unit
        slowest = model.forget_slowest or model.forget_max
        constants = np.geomspace(1 / (1 - model.forget_max), 1 / (1 - slowest), len(forget))
        assert (forget <= 1 - 1 / constants + slack).all()
        # Miller & Hardt's conditions of each unit, which lambda_max tightens.
        room = 1 - forget
        norm_i, norm_f, norm_z, norm_o = rows
        assert (norm_i < room).all()
        assert (norm_o < room).all()
        assert (norm_z < room / 4).all()
        assert (norm_f < room**2).all()
        step = forget + (norm_i + norm_o + norm_f / room) / 4 + norm_z
        assert (step <= model.lambda_max + slack).all()
    if isinstance(model, StableLSTM) and model.enter.embedding is not None:
        assert float(model.enter.embedding.weight.detach().abs().max()) <= 1
