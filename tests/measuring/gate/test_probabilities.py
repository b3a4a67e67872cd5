"""Probabilities are not taken for scores, and scores not for probabilities."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqmem.errors import CellError
from seqmem.measuring.gate.model_checks import check_validity
from seqmem.measuring.gate.probabilities import check_scores
from seqmem.tasks import load_task
from seqmem.tasks.losses import Bernoulli, CrossEntropy, SquaredError
from seqmem.tasks.model import FullOutputs


def drawn(seed: int, classes: int, scale: float) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(6, classes, generator=rng) * scale


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 40), scale=st.floats(0.1, 20))
def test_probabilities_are_recognised(seed: int, classes: int, scale: float) -> None:
    scores = drawn(seed, classes, scale)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        with pytest.raises(CellError, match=r"probabilities.* before the softmax"):
            check_scores(scores.softmax(-1).to(dtype).double().float(), CrossEntropy())
    with pytest.raises(CellError, match=r"probabilities.* before the sigmoid"):
        check_scores(scores.clamp(-15, 15).sigmoid(), Bernoulli())


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 40), scale=st.floats(0.1, 20))
def test_scores_are_not_refused(seed: int, classes: int, scale: float) -> None:
    scores = drawn(seed, classes, scale)
    for outputs in (scores, scores.log_softmax(-1), scores.abs(), scores * 0):
        check_scores(outputs, CrossEntropy())
    for outputs in (scores, scores - 10, (scores > 0).float(), scores * 0):
        check_scores(outputs, Bernoulli())
    check_scores(scores.softmax(-1), SquaredError())


def test_the_gate_refuses_them() -> None:
    task = load_task("hidden-markov/dwell=10")

    class Net(torch.nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            chosen = torch.nn.functional.one_hot(inputs.long(), task.outputs).float()
            return (3 * chosen).softmax(-1)

    model = FullOutputs(Net())
    split = task.split("test")
    report = check_validity(model, task, split, (1, 4), declared=None, seed=0, device="cpu")
    assert not report.passed
    assert "return the scores before the softmax" in str(report.failed[0].example)
