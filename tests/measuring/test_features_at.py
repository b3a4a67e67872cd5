"""Only the features that are scored are computed, and no pass exceeds the memory."""

import math

import pytest
import torch
from torch import Tensor, nn

from seqmem.baselines.recurrent import LSTM
from seqmem.baselines.tcn import TCN
from seqmem.baselines.training.loop import seeded
from seqmem.errors import CellError
from seqmem.measuring import reference, scoring
from seqmem.measuring.curve import measure
from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tasks.model import FullOutputs, SequenceModel, State
from seqmem.tasks.task import Context

CONTEXTS: list[Context] = [1, 2, 4, 8, 16]


class Sparse(SequenceModel):
    """Returns features at the requested positions, and never all."""

    def __init__(self, inner: SequenceModel, wrong: str = "") -> None:
        super().__init__()
        self.inner, self.wrong = inner, wrong
        self.stateful, self.receptive_field = inner.stateful, inner.receptive_field

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        raise AssertionError("all features were requested")

    def features_at(
        self, inputs: Tensor, rows: Tensor, columns: Tensor, state: State = None
    ) -> tuple[Tensor, State]:
        features, state = self.inner.hidden(inputs, state)
        chosen = features[rows, columns]
        return {"": chosen, "fewer": chosen[1:], "all": features}[self.wrong], state

    def readout(self, hidden: Tensor) -> Tensor:
        outputs: Tensor = self.inner.readout(hidden)
        return outputs


def make(kind: str) -> SequenceModel:
    task = HiddenMarkov(4)
    with seeded(3):
        if kind == "lstm":
            model: SequenceModel = LSTM(task.inputs, task.outputs, hidden=6)
        else:
            model = TCN(task.inputs, task.outputs, context=12, hidden=6, kernel=2)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.6)
    return model.eval()


@pytest.mark.parametrize("kind", ["lstm", "tcn"])
@pytest.mark.parametrize("every_k", [False, True])
def test_nothing_but_scored_positions_is_asked_for(kind: str, every_k: bool) -> None:
    task, model = HiddenMarkov(4), make(kind)
    split = task.split("valid").prefix(900)
    contexts: list[Context] = [*range(1, 20), "full"] if every_k else [*CONTEXTS, "full"]
    usual = measure(model, task, split, contexts, every_k=every_k)
    sparse = measure(Sparse(model), task, split, contexts, every_k=every_k)
    for k in contexts:
        assert sparse.at(k).losses == pytest.approx(usual.at(k).losses, abs=1e-6)
    assert sparse.steps == usual.steps


@pytest.mark.parametrize("wrong", ["fewer", "all"])
@pytest.mark.parametrize("contexts", [[4], ["full"]], ids=["window", "full"])
def test_features_elsewhere_are_an_error(wrong: str, contexts: list[Context]) -> None:
    task = HiddenMarkov(4)
    split = task.split("valid").prefix(50)
    with pytest.raises(CellError, match=r"for features at \d+ positions, the model returned"):
        measure(Sparse(make("tcn"), wrong), task, split, contexts)


class Wide(nn.Module):
    """Returns many outputs for each input, and records how many at once."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs, self.largest = outputs, 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.largest = max(self.largest, inputs.numel() * self.outputs)
        return torch.zeros(1, 1, self.outputs).expand(*inputs.shape, self.outputs)


@pytest.mark.parametrize("every_k", [False, True])
def test_full_outputs_bound_what_is_read_at_once(
    every_k: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = HiddenMarkov(4)
    task.outputs = 1000
    split = task.split("valid").prefix(3000)
    monkeypatch.setattr(scoring, "OUTPUTS", {"cpu": 512 * 1000})
    contexts: list[Context] = [*range(1, 9)] if every_k else [1, 8]
    bounded, free = Wide(1000), Wide(1000)
    curve = measure(FullOutputs(bounded, 1000), task, split, [*contexts, "full"], every_k=every_k)
    assert bounded.largest <= 512 * 1000
    assert curve.at(8).losses == pytest.approx(math.log(1000))
    measure(FullOutputs(free), task, split, contexts, every_k=every_k)
    assert free.largest > 512 * 1000  # so it was the bound that limited it


def test_a_sequence_whose_outputs_do_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    task = HiddenMarkov(4)
    split = task.split("valid").prefix(600)
    longest = int(split.starts.diff().max())
    monkeypatch.setattr(reference, "LONGEST_OUTPUTS", 32 * (longest - 1))
    model = FullOutputs(nn.Identity(), 32)
    with pytest.raises(CellError, match=f"reads at most {longest - 1:,} at once"):
        measure(model, task, split, ["full"])
