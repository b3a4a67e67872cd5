"""The two assertions for anyone's test suite, on every baseline."""

import pytest
from torch import nn

from seqmem.baselines import BASELINES
from seqmem.baselines.training.loop import ClosedForm, seeded
from seqmem.testing import assert_causal, assert_receptive_field
from seqmem.tests.baselines.test_models import NEXT_TOKEN, build
from seqmem.tests.probe_networks import Convolution, Stack
from seqmem.tests.zoo import task_for


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_is_causal_and_declares_its_field(name: str) -> None:
    task = task_for(name, NEXT_TOKEN)
    model = build(name, task, 12)
    if isinstance(model, ClosedForm):
        model.fit(task, 0)
    assert_causal(model, task.inputs, length=48)
    field = model.receptive_field
    if field is not None and name != "marginal":  # which looks at no input, and declares one
        assert_receptive_field(model, field, task.inputs)


def test_a_wrong_field_is_named() -> None:
    with seeded(0):
        net = Stack([Convolution(8, 3, 2)], 8, ids=False)
    assert_receptive_field(net, 5)
    for wrong in (4, 6):
        with pytest.raises(AssertionError, match=rf"depend on {wrong} inputs: they depend on 5 "):
            assert_receptive_field(net, wrong)


def test_a_leak_is_named() -> None:
    with seeded(0):
        ahead = nn.Sequential(nn.ConstantPad1d((1, 1), 0.0), nn.Conv1d(3, 2, 3))
    with pytest.raises(AssertionError, match="output 0 depends on input 1, 1 later"):
        assert_causal(ahead, time=2)
    with pytest.raises(AssertionError, match="output 0 depends on input 1, 1 later"):
        assert_receptive_field(ahead, 2, time=2)
