"""Ablated windows against brute force, and models for which the right answers are known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import seqmem
from seqmem.errors import InputError
from seqmem.measuring.ablation import ABLATIONS, Ablation, _Windows, ablate
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import Split, Task
from seqmem.tests.command import Command
from seqmem.tests.trainings import StreamOfSymbols

K, NEAR = 24, 5


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """Return a generated text whose sentences end with full stops, and lines."""
    source = np.random.default_rng(0)
    words = [f"w{i}" for i in range(12)]
    lines = [
        " ".join(source.choice([*words, "."], source.integers(3, 12)).tolist()) for _ in range(900)
    ]
    file = tmp_path_factory.mktemp("text") / "generated.txt"
    file.write_text("\n".join(lines))
    return load_task(f"text:{file}")


def windows(task: Task, kind: Ablation) -> tuple[Split, np.ndarray, np.ndarray]:
    split = task.split("test")
    chosen = np.flatnonzero(split.available.numpy() >= 2 * K)[::7]
    return split, chosen, _Windows(task, chosen, K).ablated(kind, NEAR, [0])


@pytest.mark.parametrize("kind", ["sentences", "shuffle", "older"])
def test_the_nearest_inputs_stay_as_they_are(text: Task, kind: Ablation) -> None:
    split, chosen, index = windows(text, kind)
    positions = split.positions.numpy()[chosen]
    assert index.shape == (len(chosen), K)
    assert (index[:, -NEAR:] == positions[:, None] + np.arange(1 - NEAR, 1)).all()
    far = np.sort(index[:, :-NEAR], axis=1)
    if kind == "older":
        assert (np.diff(far, axis=1) == 1).all()  # a piece of text, as it is
        assert (far[:, -1] < positions + 1 - K).all()  # from before the window
        assert (far >= 0).all()
    else:  # the same inputs, each once
        assert (far == positions[:, None] + np.arange(1 - K, 1 - NEAR)).all()
        assert (index[:, :-NEAR] != far).any()


def test_sentences_stay_whole(text: Task) -> None:
    split, chosen, index = windows(text, "sentences")
    words = [text.words[i] for i in split.inputs.tolist()]  # type: ignore[attr-defined]

    def sentences(places: np.ndarray) -> list[tuple[int, ...]]:
        found: list[list[int]] = [[]]
        for place in places.tolist():
            found[-1].append(place)
            if words[place] in (".", "<eos>"):
                found.append([])
        return [tuple(each) for each in found if each]

    moved = 0
    for target, row in zip(chosen, index[:, :-NEAR], strict=True):
        position = int(split.positions[target])
        before = sentences(np.arange(position + 1 - K, position + 1 - NEAR))
        # An unfinished sentence at the end runs into the next piece.
        after = [place for piece in sentences(row) for place in piece]
        for piece in before:
            begin = after.index(piece[0])
            assert tuple(after[begin : begin + len(piece)]) == piece
        moved += after != sorted(after)
    assert moved > len(chosen) / 2


class CountsSymbols(SequenceModel):
    """Scores symbols by how often they are in the window: order does not matter to it."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        ones = torch.nn.functional.one_hot(inputs.long(), self.outputs).float()
        return torch.log1p(ones.cumsum(1)), None

    def readout(self, hidden: Tensor) -> Tensor:
        return hidden


def test_a_model_that_counts_loses_nothing_to_shuffles_and_all_to_missing_text() -> None:
    task = Drifting(2)
    found = ablate(CountsSymbols(task.outputs), task, beyond=[4], k=64, targets=400)
    by = {each.kind: each for each in found.found}
    assert by["shuffle"].excess.mean == pytest.approx(0, abs=1e-6)
    assert by["nothing"].excess.mean > 0.1
    assert by["nothing"].share is not None
    assert by["nothing"].share.mean == pytest.approx(1)
    assert by["older"].share is not None
    assert by["older"].share.mean > 1  # symbols of another run mislead it


class Drifting(StreamOfSymbols):
    """A stream whose frequent symbol changes every few hundred symbols."""

    def split(self, name: Any) -> Split:  # type: ignore[override]  # the usual one is cached
        source = np.random.default_rng(3)
        usual = np.repeat(source.integers(0, self.outputs, 40), 300)
        ids = np.where(
            source.random(len(usual)) < 0.7, usual, source.integers(0, self.outputs, len(usual))
        )
        stream, targets = torch.from_numpy(ids.astype(np.int32)), len(ids) - 1
        return Split(
            stream[:-1], torch.tensor([0, targets]), torch.arange(targets), stream[1:],
            torch.arange(targets) // 100,
        )  # fmt: skip


def test_losses_are_those_of_the_windows_alone(text: Task) -> None:
    model = CountsSymbols(text.outputs)
    found = ablate(model, text, beyond=[NEAR], k=K, targets=50, seed=4)
    split = text.split("test")
    able = np.flatnonzero(split.available.numpy() >= 2 * K)
    chosen = np.sort(np.random.default_rng([4, K]).choice(able, 50, replace=False))
    losses = {"whole": 0.0, "nothing": 0.0}
    for target in chosen.tolist():
        position = int(split.positions[target])
        for name, length in (("whole", K), ("nothing", NEAR)):
            window = split.inputs[position + 1 - length : position + 1]
            outputs = model(window[None])[0, -1:]
            losses[name] += float(text.loss(outputs, split.targets[target : target + 1])) / 50
    assert found.whole.mean == pytest.approx(losses["whole"], rel=1e-6)
    nothing = next(each for each in found.found if each.kind == "nothing")
    assert nothing.loss == pytest.approx(losses["nothing"], rel=1e-6)
    assert nothing.excess.mean == pytest.approx(losses["nothing"] - losses["whole"], rel=1e-4)
    again = ablate(model, text, beyond=[NEAR], k=K, targets=50, seed=4)
    assert again == found


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"beyond": [8], "k": 8}, "beyond 8: of a window of k = 8 inputs at least 1"),
        ({"beyond": [0], "k": 8}, "beyond 0: of a window"),
        ({"beyond": [], "k": 8}, "at least 1 and fewer"),
        ({"beyond": [1], "k": 10**6}, "an ablated target needs 2,000,000 inputs"),
    ],
)
def test_numbers_out_of_range_are_explained(settings: dict[str, Any], says: str) -> None:
    task = StreamOfSymbols(2)
    with pytest.raises(InputError, match=says):
        ablate(CountsSymbols(task.outputs), task, **settings)


def test_a_stream_without_sentences_says_so() -> None:
    task = StreamOfSymbols(2)
    with pytest.raises(InputError, match="has no ends of sentences"):
        ablate(CountsSymbols(task.outputs), task, beyond=[2], k=8, kinds=["sentences"])


def test_the_command_and_python_print_the_same(text: Task, seqmem_: Command) -> None:
    settings: dict[str, Any] = {"budget": "smoke", "recipe": {"steps": 3}, "verbose": False}
    run = seqmem.train("lstm:hidden=4", text, **settings)
    asked = {"beyond": (2, 4), "k": 16, "targets": 40}
    found = seqmem.ablate(run, verbose=False, **asked)  # type: ignore[arg-type]
    (weights,) = Path("results/checkpoints").rglob("weights.safetensors")
    ran = seqmem_(
        "ablate", str(weights), "--task", text.id, "--beyond", "2,4", "--k", "16",
        "--targets", "40", "--format", "json",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    rows = json.loads(ran.out)
    assert [row["ablation"] for row in rows] == [*ABLATIONS] * 2
    assert [row["loss"] for row in rows] == found.frame["loss"].tolist()
    assert "what of the far context it uses" in str(found)
    refused = seqmem_("ablate", str(weights), "--task", text.id, "--beyond", "x")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
