"""The checks of a model: each broken model of the zoo fails its check, no honest one does."""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqmem.baselines import BASELINES
from seqmem.baselines.spec import ModelSpec, build_model, model_class
from seqmem.baselines.tcn import TCN
from seqmem.baselines.training.loop import ClosedForm, seeded
from seqmem.check.recipes import BRIEF
from seqmem.measuring.gate.model_checks import check_validity
from seqmem.measuring.gate.report import Check, Report, report_text
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel, State, as_sequence_model
from seqmem.tasks.task import Context, Task
from seqmem.tests import zoo

MARKOV = load_task("hidden-markov/dwell=20")
CONTEXTS: tuple[Context, ...] = (*MARKOV.contexts, "full")
LENGTHS = tuple(k for k in CONTEXTS if k != "full")


def examined(
    module: nn.Module,
    task: Task = MARKOV,
    *,
    declared: int | None = None,
    seed: int = 0,
    contexts: tuple[Context, ...] | None = None,
) -> Report:
    model = as_sequence_model(module)
    contexts = contexts or (*task.contexts, "full")
    return check_validity(
        model, task, task.split("test"), contexts, declared=declared, seed=seed, device="cpu"
    )


def changed(change: zoo.Change, task: Task = MARKOV) -> nn.Module:
    return zoo.Changed(zoo.honest_for(task), change)


def check_of(report: Report, name: str) -> Check:
    (check,) = (check for check in report.checks if check.name == name)
    return check


def failed(report: Report) -> set[str]:
    return {check.name for check in report.failed}


# The zoo.

CHEATS: dict[str, tuple[str, Callable[[], zoo.Change]]] = {
    "reads the next input": ("causality", zoo.peek),
    "a little of it": ("causality", lambda: zoo.peek(by=zoo.SMALL)),
    "reads five ahead": ("causality", lambda: zoo.peek(ahead=5)),
    "at position 7 of fifty": (
        "causality",
        lambda: zoo.peek(zoo.at_positions(lambda i: i % 50 == 7)),
    ),
    "at position 49 of fifty": (
        "causality",
        lambda: zoo.peek(zoo.at_positions(lambda i: i % 50 == 49)),
    ),
    "after one word in fifty": ("causality", lambda: zoo.peek(zoo.by_content)),
    "in windows of 64 only": ("causality", lambda: zoo.only_when(64, zoo.peek())),
    "in whole sequences only": ("causality", lambda: zoo.only_when(512, zoo.peek())),
    "at the 64th position only": (
        "causality",
        lambda: zoo.peek(zoo.at_positions(lambda i: i == 63)),
    ),
    "normalises over time": ("causality", lambda: zoo.average_over_time),
    "foreknows known windows": (
        "causality",
        lambda: zoo.Foreknows(MARKOV.split("test"), (64, 512)),
    ),
    "batch statistics": ("batch", lambda: zoo.batch_statistics),
    "the first row": ("batch", lambda: zoo.first_row_wins),
    "carries state between calls": ("repeat", zoo.Carries),
    "counts calls": ("repeat", zoo.Counts),
    "dropout left on": ("repeat", lambda: zoo.Draws(dropout=True)),
    "random outputs": ("repeat", lambda: zoo.Draws(dropout=False)),
    "NaN at one position": ("finite", lambda: zoo.value_at(40, torch.nan)),
    "infinity at the first": ("finite", lambda: zoo.value_at(0, torch.inf)),
    "a symbol that never comes": ("finite", lambda: zoo.never(3)),
    "scores of 1e30": ("finite", lambda: zoo.huge(1e30)),
    "scores of 3e38": ("finite", lambda: zoo.huge(3e38)),
    "wrong length": ("finite", lambda: lambda inputs, outputs: outputs[:, :-1]),
    "one output too many": ("finite", lambda: lambda inputs, outputs: outputs.repeat(1, 2, 1)),
    "wrong vocabulary": ("finite", lambda: lambda inputs, outputs: outputs[..., :-1]),
    "whole numbers": ("finite", lambda: lambda inputs, outputs: outputs.long()),
    "last output only": ("finite", lambda: lambda inputs, outputs: outputs[:, -1]),
    "knows windows by heart": (
        "twins",
        lambda: zoo.Remembers(MARKOV.split("test"), LENGTHS),
    ),
    "knows the longest by heart": (
        "twins",
        lambda: zoo.Remembers(MARKOV.split("test"), (64,)),
    ),
    "another model for each length": ("window", lambda: zoo.knows_its_length),
}


@pytest.mark.parametrize("name", CHEATS)
def test_the_zoo_is_caught(name: str) -> None:
    check, change = CHEATS[name]
    report = examined(changed(change()))
    assert check in failed(report)
    found = check_of(report, check)
    assert found.example is not None
    assert found.example in report_text(report)
    if check != "finite":
        assert found.deviation is not None
        assert found.deviation > found.tolerance
        # The checks that it passes are passed by an honest model as well.
        assert check_of(report, "finite") in set(report.checks) - set(report.failed)


@pytest.mark.parametrize(
    "change",
    [
        zoo.peek(zoo.at_positions(lambda i: i % 50 == 23)),
        zoo.peek(zoo.at_positions(lambda i: i % 50 == 49)),
        zoo.peek(zoo.by_content),
    ],
    ids=["by position", "late", "by content"],
)
def test_rare_peeking_is_caught_whatever_the_seed(change: zoo.Change) -> None:
    seeds = range(5)
    model = changed(change)
    assert all("causality" in failed(examined(model, seed=seed)) for seed in seeds)


def test_an_example_says_what_moved() -> None:
    """Only output 63 depends on a later input, and only on the next."""
    report = examined(changed(zoo.peek(zoo.at_positions(lambda i: i == 63))))
    example = report.failed[0].example
    assert example is not None
    assert "replacing inputs 64..127 changed output 63 by" in example
    assert "at k = 64 in a run of 128" in example


class Raises(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        raise RuntimeError("shapes\ndo not match")


def test_a_model_that_raises_is_refused_in_one_line() -> None:
    (check,) = examined(Raises()).checks
    assert check.name == "finite"
    assert check.example is not None
    assert check.example.endswith("the model raised RuntimeError: shapes do not match")


class LooksAround(SequenceModel):
    """Split into hidden and readout; the readout mixes positions."""

    def __init__(self, honest: zoo.Honest) -> None:
        super().__init__()
        self.honest = honest

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        return self.honest.layers(self.honest.enter(inputs))[0], None

    def readout(self, hidden: Tensor) -> Tensor:
        outputs: Tensor = self.honest.leave(hidden - hidden.mean(0))
        return outputs


def test_a_readout_that_mixes_positions_is_caught() -> None:
    assert "batch" in failed(examined(LooksAround(zoo.honest_for(MARKOV))))


def tcn(levels: int, seed: int, task: Task = MARKOV) -> TCN:
    """With a receptive field of 1 + 2 (2^levels − 1): 3 levels see 15 inputs."""
    with seeded(seed):
        return TCN(task.inputs, task.outputs, context=1, hidden=8, kernel=2, levels=levels)


@pytest.mark.parametrize("seed", range(4))
def test_a_context_declared_one_too_small_is_caught(seed: int) -> None:
    model = tcn(3, seed)
    assert model.receptive_field == 15
    honest = examined(model, declared=15, seed=seed)
    assert honest.passed, report_text(honest)
    assert honest.measured_context == 15
    report = examined(model, declared=14, seed=seed)
    assert failed(report) >= {"context"}
    assert report.measured_context == 15
    example = next(check.example for check in report.failed if check.name == "context")
    assert example is not None
    assert "14 declared" in example


class LastOf(nn.Module):
    """Outputs depend on the input `lag` positions before, and on nothing else."""

    def __init__(self, lag: int, outputs: int) -> None:
        super().__init__()
        self.lag, self.outputs = lag, outputs

    def forward(self, inputs: Tensor) -> Tensor:
        shifted = nn.functional.pad(inputs, (self.lag, 0))[:, : inputs.shape[1]]
        return 2.0 * nn.functional.one_hot(shifted.long(), self.outputs)


@pytest.mark.parametrize("lag", [0, 1, 5, 33, 63])
@pytest.mark.parametrize("says", [True, False])
def test_the_context_is_measured(lag: int, says: bool) -> None:
    report = examined(LastOf(lag, MARKOV.outputs), declared=lag + 1 if says else None)
    assert report.passed
    assert report.measured_context == lag + 1


class Sums(nn.Module):
    """Outputs depend on all inputs so far, the first as much as the last."""

    def forward(self, inputs: Tensor) -> Tensor:
        sums = inputs.long().cumsum(1) % MARKOV.outputs
        return 2.0 * nn.functional.one_hot(sums, MARKOV.outputs)


def test_a_context_without_bound_is_not_measured() -> None:
    report = examined(Sums())
    assert report.passed, report_text(report)
    assert report.measured_context is None
    assert report.longest_tried > 64
    assert f"measured more than {report.longest_tried}" in report_text(report)


# Honest models.


@pytest.fixture(scope="module")
def text_task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """Return the characters of a generated text as a task."""
    file = tmp_path_factory.mktemp("text") / "generated.txt"
    source = torch.Generator().manual_seed(0)
    words = torch.randint(0, 40, (12_000,), generator=source).tolist()
    file.write_text("\n".join(f"w{'abcdefghij'[w % 10] * (1 + w // 10)}" for w in words))
    return load_task(f"text:{file}?unit=char")


TASKS: dict[str, Callable[[], Task]] = {
    "markov": lambda: load_task("hidden-markov/dwell=5"),
    "copy": lambda: load_task("copy-memory/T=5"),
    "adding": lambda: load_task("adding-problem/T=20"),
    "chords": zoo.Chords,
    "pairs": zoo.Reversal,
}


def built(name: str, task: Task, seed: int, gain: float = 1.5) -> SequenceModel:
    """Return a baseline with larger weights, so that outputs are far from uniform."""
    with seeded(seed):
        options: dict[str, Any] = {"hidden": 8}
        model, _ = build_model(ModelSpec(name), task, "full", options)
    if isinstance(model, ClosedForm):
        model.fit(task, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(gain)
    model.constrain()
    return model.eval()


KINDS = ["lstm", "gru", "tcn", "transformer", "lru"]  # one or two of each kind of model
# Of the newer layers two: what surrounds them is the same for all of them.
PAIRS = [
    (name, kind)
    for name in BASELINES
    for kind in (("markov", "copy", "pairs") if name in BRIEF else (*TASKS, "text"))
    if kind in ("markov", "text") or not model_class(name).next_token_only
    if (kind == "pairs") == model_class(name).needs_separator
]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_honest_models_pass(name: str, kind: str, request: pytest.FixtureRequest) -> None:
    task = request.getfixturevalue("text_task") if kind == "text" else TASKS[kind]()
    model = built(name, task, seed=3)
    report = examined(model, task, declared=model.receptive_field)
    assert report.passed, report_text(report)
    assert {"finite", "causality", "batch", "repeat"} <= {check.name for check in report.checks}
    assert all(check.compared > 0 for check in report.checks)
    if name in KINDS:  # like most submitted models: full outputs without state
        report = examined(zoo.Changed(model, lambda inputs, outputs: outputs), task)
        assert report.passed, report_text(report)


class FourierConvolution(nn.Module):
    """Causal up to rounding: a convolution by Fourier transform, as in state space models."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        source = torch.Generator().manual_seed(seed)
        self.enter = 3 * torch.randn(MARKOV.outputs, 16, generator=source)
        self.kernel = torch.randn(16, 512, generator=source) * 0.98 ** torch.arange(512)
        self.leave = torch.randn(16, MARKOV.outputs, generator=source)

    def forward(self, inputs: Tensor) -> Tensor:
        length = inputs.shape[1]
        entered = torch.fft.rfft(self.enter[inputs.long()].transpose(1, 2), n=2 * length)
        kernel = torch.fft.rfft(self.kernel[:, :length], n=2 * length)
        mixed = torch.fft.irfft(entered * kernel, n=2 * length)[..., :length]
        return torch.tanh(mixed / 3).transpose(1, 2) @ self.leave


@pytest.mark.parametrize("seed", range(3))
def test_rounding_is_no_look_ahead(seed: int) -> None:
    report = examined(FourierConvolution(seed), seed=seed)
    assert report.passed, report_text(report)
    assert check_of(report, "causality").deviation != 0.0


@pytest.mark.parametrize("name", KINDS)
def test_no_false_alarm_over_seeds(name: str) -> None:
    for seed in range(4):
        model = built(name, MARKOV, seed, gain=1 + seed / 4)
        report = examined(model, declared=model.receptive_field, seed=seed)
        assert report.passed, report_text(report)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (name, dtype)
        for name in BASELINES
        if not model_class(name).float32_only
        for dtype in (torch.float16, torch.bfloat16)[name in BRIEF :]
    ],
)
def test_shorter_floats_are_no_cheating(name: str, dtype: torch.dtype) -> None:
    """And a model that looks ahead is detected all the same."""
    task = zoo.Reversal() if model_class(name).needs_separator else MARKOV
    model = copy.deepcopy(built(name, task, 3, gain=1.0)).to(dtype)
    report = examined(model, task, declared=model.receptive_field)
    assert report.passed, report_text(report)
    if name != "marginal":
        assert check_of(report, "batch").tolerance == pytest.approx(16 * torch.finfo(dtype).eps)
    if name in KINDS:
        assert "causality" in failed(examined(zoo.Changed(model, zoo.peek()), task))


def test_a_masked_class_hides_nothing() -> None:
    """Scores far below all others are honest, and do not enlarge the scale of differences."""

    def masked(inputs: Tensor, outputs: Tensor) -> Tensor:
        return torch.cat([outputs[..., :-1], torch.full_like(outputs[..., -1:], -1e9)], -1)

    task = load_task("copy-memory/T=5")  # whose targets are never the delimiter, 9
    honest = zoo.honest_for(task)
    report = examined(zoo.Changed(honest, masked), task)
    assert report.passed, report_text(report)
    peeking = zoo.Changed(zoo.Changed(honest, zoo.peek(by=zoo.SMALL)), masked)
    assert failed(examined(peeking, task)) >= {"causality"}


# The report.


def test_a_report_is_plain_data_and_the_same_for_the_same_seed() -> None:
    model = changed(zoo.peek(zoo.by_content))
    reports = [asdict(examined(model, seed=seed)) for seed in (4, 4, 5)]
    texts = [json.dumps(report, allow_nan=False, sort_keys=True) for report in reports]
    assert texts[0] == texts[1] != texts[2]


def test_the_weights_and_the_mode_are_left_alone() -> None:
    model = built("lstm", MARKOV, 0)
    before = copy.deepcopy(model.state_dict())
    examined(model)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("contexts", [("full",), (1,), (1, 2), (64,), tuple(range(1, 40))])
def test_any_contexts_can_be_examined(contexts: tuple[Context, ...]) -> None:
    report = examined(zoo.honest_for(MARKOV), contexts=contexts)
    assert report.passed, report_text(report)
    assert "causality" in failed(examined(changed(zoo.peek()), contexts=contexts))


def test_no_longer_inputs_than_scoring_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model may be limited to the length of the longest sequence."""
    for task in (load_task("adding-problem/T=20"), load_task("copy-memory/T=5"), zoo.Chords()):
        seen: list[int] = []

        def watch(inputs: Tensor, outputs: Tensor, seen: list[int] = seen) -> Tensor:
            seen.append(inputs.shape[1])
            return outputs

        assert examined(changed(watch, task), task).passed
        assert max(seen) <= int(task.split("test").starts.diff().max())
