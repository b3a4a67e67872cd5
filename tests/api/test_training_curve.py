"""`seqmem.TrainingCurve`: what is logged during training, which goes on as if it were not."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seqmem
from seqmem.baselines.own.spec import model_spec
from seqmem.baselines.spec import build_model
from seqmem.baselines.training.loop import seeded
from seqmem.errors import InputError
from seqmem.tasks.task import Task

ADDING = "adding-problem/T=5"


class Net(nn.Module):
    """Dropout, a frozen part, and a mask made at the first call."""

    def __init__(self, vocabulary: int, field: int | None = None) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, 8)
        self.frozen = nn.Dropout(0.5).eval()
        self.dropout = nn.Dropout(0.5)
        self.leave = nn.Linear(8, vocabulary)
        self.scale: Tensor | None = None
        if field is not None:
            self.receptive_field = field

    def forward(self, ids: Tensor) -> Tensor:
        if self.scale is None:
            self.scale = torch.full((8,), 2.0)
        features = self.embed(ids)
        if self.leave.in_features and hasattr(self, "receptive_field"):
            shifted = F.pad(features, (0, 0, self.receptive_field - 1, 0))
            features = shifted.unfold(1, self.receptive_field, 1).mean(-1)
        else:
            features = features.cumsum(1) / torch.arange(1, ids.shape[1] + 1)[:, None]
        return self.leave(self.dropout(self.frozen(features)) * self.scale)  # type: ignore[no-any-return]


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A text of characters, whose validation part is too long for a model without state."""
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("abcab caba " * 130_000)
    return seqmem.load_task("text:a.txt?unit=char")


def by_hand(model: nn.Module, task: Task, k: int, first: int, targets: int) -> float:
    """The mean loss of some targets of a stream, each from a window of its own."""
    split = task.split("valid")
    losses = []
    for at in range(first, first + targets):
        window = split.inputs[max(at - k + 1, 0) : at + 1].long()
        scores = model(window[None])[0, -1]
        losses.append(F.cross_entropy(scores, split.targets[at].long()))
    return float(torch.stack(losses).mean())


@torch.no_grad()
def test_scores_are_those_of_windows_and_a_missing_full_is_said_once(
    text: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    with seeded(0):
        model = Net(text.outputs).eval()
        bounded = Net(text.outputs, field=5).eval()
    curve = seqmem.TrainingCurve(text, k=[1, 4, "full"], targets=20)
    found = curve(model)
    assert found == curve(model)
    name = f"seqmem/{text.id}"
    assert found == {f"{name}/k={k}": pytest.approx(by_hand(model, text, k, 4, 20)) for k in (1, 4)}
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        line == f"{text.id}: k = full is left out: it needs a state or a declared receptive field"
    )
    full = curve(bounded)
    assert list(full) == [f"{name}/k=1", f"{name}/k=4", f"{name}/full"]
    assert full[f"{name}/full"] == pytest.approx(by_hand(bounded, text, 5, 4, 20))
    longest = max(k for k in text.contexts)
    assert f"{name}/k={longest}" in seqmem.TrainingCurve(text, k=None, targets=2)(bounded)


def test_training_does_not_notice(text: Task) -> None:
    with seeded(0):
        model = Net(text.outputs)
    modes = [part.training for part in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    curve = seqmem.TrainingCurve(text, k=[2, "full"], targets=8, verbose=False)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        before = torch.get_rng_state()
        curve.check(model)
        curve(model)
        assert torch.equal(before, torch.get_rng_state())
        # What the module made at its first call is used in training.
        model(torch.zeros(1, 3, dtype=torch.int64)).sum().backward()
    assert model.embed.weight.grad is not None
    assert [part.training for part in model.modules()] == modes
    assert not model.frozen.training
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())


def test_a_model_with_state_reads_from_the_start(text: Task) -> None:
    with seeded(0):
        model, _ = build_model(model_spec("lstm:hidden=8"), text, 8, {})
    found = seqmem.TrainingCurve(text, k=[1, "full"], targets=6)(model.train())
    assert model.training
    with torch.no_grad():
        split = text.split("valid")
        scores = model.eval()(split.inputs[None, :7].long())[0]
    losses = F.cross_entropy(scores[1:7], split.targets[1:7].long(), reduction="mean")
    assert found[f"seqmem/{text.id}/full"] == pytest.approx(float(losses), rel=1e-5)


def test_training_goes_on_where_outputs_are_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    with seeded(0):
        model = nn.Linear(2, 1)
    curve = seqmem.TrainingCurve(ADDING, k=[2, "full"], targets=8)
    assert len(curve(model)) == 2
    with torch.no_grad():
        model.bias.fill_(torch.nan)
    assert curve(model) == {} == curve(model)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("outputs are not finite" in line for line in lines)


def test_a_model_with_a_tokenizer_is_scored_on_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tokenizer with one token for each word makes of words what ids make of them."""
    tiny = pytest.importorskip("seqmem.tests.tiny_models")
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("\n".join(tiny.made_up(400)))
    task = seqmem.load_task("text:a.txt?min-count=1")
    network = tiny.gpt2(task.outputs, longest=32).train()
    words = ["\n" if word == "<eos>" else word for word in task.words]  # type: ignore[attr-defined]
    tokenizer = tiny.word_level(words)
    settings: Any = {"k": [1, 3, 64], "targets": 10_000}
    ids = seqmem.TrainingCurve(task, **settings)(network)
    tokens = seqmem.TrainingCurve(task, **settings, tokenizer=tokenizer)
    tokens.check(network)
    assert tokens(network) == pytest.approx(ids, rel=1e-4)
    assert len(ids) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "reads at most 32" in lines[0]
    assert "reads at most 32" in lines[1]
    assert network.training
    assert network.config.use_cache


def linear() -> nn.Module:
    with seeded(0):
        return nn.Linear(2, 1)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: seqmem.TrainingCurve("adding"), "unknown task"),
        (lambda: seqmem.TrainingCurve(ADDING, k=0), "a context length is a whole number"),
        (lambda: seqmem.TrainingCurve(ADDING, targets=0), "targets=0: at least one"),
        (lambda: seqmem.TrainingCurve(ADDING, tokenizer=len), "is not a text"),
        (lambda: seqmem.TrainingCurve(ADDING)(SimpleNamespace()), "is no torch.nn.Module"),
        (
            lambda: seqmem.TrainingCurve("copy-memory/T=10").check(linear()),
            "model 'Linear': called with .* model=lambda trained: trained.… names it$",
        ),
        (
            lambda: seqmem.TrainingCurve(ADDING).check(linear().to("meta")),
            "is on meta; seqmem measures on cpu and cuda",
        ),
    ],
)
def test_mistakes_cost_one_line(call: Any, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("framework", ["lightning", "transformers"])
def test_a_missing_framework_costs_one_line(
    framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, f"seqmem.api.hooks.{framework}", None)
    curve = seqmem.TrainingCurve(ADDING)
    arguments = [object()] if framework == "transformers" else []
    with pytest.raises(InputError, match=r"pip install 'seqmem\[(lightning|hf)\]'"):
        getattr(curve, framework)(*arguments)


def test_trackers_take_the_numbers(tmp_path: Path) -> None:
    found = seqmem.TrainingCurve(ADDING, targets=8)(linear())
    assert all(type(name) is str and type(value) is float for name, value in found.items())
    tensorboard = pytest.importorskip("torch.utils.tensorboard", reason="needs tensorboard")
    with tensorboard.SummaryWriter(str(tmp_path)) as writer:
        for name, value in found.items():
            writer.add_scalar(name, value, 1)
    assert list(tmp_path.glob("events*"))
