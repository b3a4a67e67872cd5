"""The backbone with mixers that carry a state, and without."""

from collections.abc import Callable
from inspect import signature

import pytest
import torch
from torch import Tensor, nn

from seqmem.baselines import BASELINES
from seqmem.baselines.backbone import Backbone, MixerState, StatefulMixer
from seqmem.baselines.spec import model_class
from seqmem.baselines.training.loop import seeded
from seqmem.baselines.transformer import WindowedAttention
from seqmem.tasks import load_task
from seqmem.tasks.task import Tokens
from seqmem.testing import check_model, example_inputs
from seqmem.tests.baselines.test_models import TASKS, build

IDS = Tokens(7)


class Sums(StatefulMixer):
    """The sum of the features so far, and their number."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.state_floats = hidden + 1

    def forward(
        self, features: Tensor, state: MixerState | None
    ) -> tuple[Tensor, MixerState | None]:
        total = features.cumsum(1)
        count = torch.arange(1, features.shape[1] + 1.0).expand(len(features), -1)[..., None]
        if state is not None:
            total, count = total + state[0][:, None], count + state[1][:, None]
        return total / count, (total[:, -1], count[:, -1])


def backbone(*mixers: Callable[[], nn.Module]) -> Backbone:
    with seeded(0):
        return Backbone(IDS, 5, mixers, hidden=6, dropout=0.0, tied=False).eval()


@torch.inference_mode()
def test_states_of_mixers_are_carried() -> None:
    model = backbone(*[lambda: Sums(6)] * 3)
    assert model.stateful
    check_model(model, example_inputs(IDS), 5)
    _, state = model.hidden(example_inputs(IDS, 4, 9))
    assert [part.shape for part in state] == [(3, 4, 6), (3, 4, 1)]
    assert model.state_size(9) == 3 * 7


@torch.inference_mode()
def test_one_mixer_without_state_makes_a_model_without() -> None:
    model = backbone(lambda: Sums(6), lambda: WindowedAttention(6, 2, 4))
    assert not model.stateful
    assert model.state_size(9) is None
    assert model.hidden(example_inputs(IDS))[1] is None
    check_model(model, example_inputs(IDS), 5)


@pytest.mark.parametrize(
    "name", [name for name in BASELINES if issubclass(model_class(name), Backbone)]
)
def test_a_class_declares_what_its_mixers_are(name: str) -> None:
    model, declared = build(name, load_task(TASKS[0])), model_class(name)
    assert (model.stateful, model.float32_only) == (declared.stateful, declared.float32_only)
    if declared.stateful:
        assert "context" not in signature(declared).parameters
