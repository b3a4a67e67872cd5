"""Models of a source and a target: what each output depends on, against one row read by hand."""

from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqmem.baselines.conv_s2s import ConvS2S
from seqmem.baselines.seq2seq import Seq2Seq
from seqmem.baselines.source_target import SourceTarget, separated
from seqmem.baselines.spec import ModelSpec, build_model
from seqmem.baselines.training import loop
from seqmem.baselines.training.loop import seeded, train
from seqmem.baselines.training.recipes import Recipe
from seqmem.errors import NotApplicableError
from seqmem.measuring.curve import measure
from seqmem.tasks import load_task
from seqmem.tasks.task import Tokens
from seqmem.tests.zoo import Reversal

SEPARATOR = 10
KINDS: dict[str, type[Seq2Seq] | type[ConvS2S]] = {"seq2seq": Seq2Seq, "conv-s2s": ConvS2S}
IDS = st.integers(0, 11)
ROWS = st.lists(IDS, min_size=1, max_size=12)


def made(name: str, layers: int = 2) -> SourceTarget:
    with seeded(2):
        model = KINDS[name](Tokens(12, SEPARATOR), 12, hidden=7, layers=layers)
        for parameter in model.parameters():
            parameter.data.mul_(1.5)
    return model.eval()


MODELS = {(name, layers): made(name, layers) for name in KINDS for layers in (1, 3)}
models = pytest.mark.parametrize("model", MODELS.values(), ids=map(str, MODELS))


def ragged(rows: list[list[int]]) -> Tensor:
    """Rows side by side, filled with separators at their ends."""
    longest = max(map(len, rows))
    return torch.tensor([row + [SEPARATOR] * (longest - len(row)) for row in rows])


@given(rows=st.lists(ROWS, min_size=1, max_size=4), data=st.data())
def test_pieces_are_those_of_a_loop_over_positions(
    rows: list[list[int]], data: st.DataObject
) -> None:
    inputs = ragged(rows)
    everywhere = [(row, column) for row, ids in enumerate(rows) for column in range(len(ids))]
    wanted = data.draw(st.lists(st.sampled_from(everywhere), min_size=1))
    at, columns = torch.tensor(wanted).unbind(1)
    pieces = separated(inputs, SEPARATOR, at, columns)
    for i, (row, column) in enumerate(wanted):
        ids = rows[row]
        piece = int(pieces.piece[i])
        seen = pieces.targets[piece, : int(pieces.step[i]) + 1].tolist()
        source = []
        if piece < len(pieces.sources):
            source = pieces.sources[piece][pieces.within[piece]].tolist()
        end = ids.index(SEPARATOR) if SEPARATOR in ids else len(ids)
        assert bool(pieces.separated[piece]) == (column >= end)
        if column < end:
            assert (source, seen) == ([], ids[: column + 1])
        else:
            assert (source, seen) == (ids[:end], ids[end : column + 1])


@models
@settings(max_examples=25, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=4), data=st.data())
@torch.inference_mode()
def test_no_output_depends_on_later_inputs_or_other_rows(
    model: SourceTarget, rows: list[list[int]], data: st.DataObject
) -> None:
    inputs = ragged(rows)
    together = model(inputs)
    cut = data.draw(st.integers(1, inputs.shape[1]))
    later = data.draw(st.lists(IDS | st.just(SEPARATOR), min_size=1, max_size=6))
    for row, ids in enumerate(rows):
        alone = model(torch.tensor([ids]))[0]
        torch.testing.assert_close(alone, together[row, : len(ids)])
        changed = model(torch.tensor([ids[:cut] + later]))[0]
        seen = min(cut, len(ids))
        torch.testing.assert_close(changed[:seen], alone[:seen])


@models
@torch.inference_mode()
def test_without_a_source_the_decoder_reads_alone(model: SourceTarget) -> None:
    """What precedes a separator is read like a row that never has one, and is no source there."""
    row = [3, 1, 4, 1, 5]
    plain = model(torch.tensor([row]))[0]
    before = model(torch.tensor([[*row, SEPARATOR, 2, SEPARATOR]]))[0]
    torch.testing.assert_close(before[:5], plain)
    assert not torch.allclose(before[5], model(torch.tensor([[SEPARATOR]]))[0, 0])
    for other in ([9, *row[1:]], row[1:]):  # another source, or one word less
        changed = model(torch.tensor([[*other, SEPARATOR, 2, SEPARATOR]]))[0]
        assert not torch.allclose(changed[-3:], before[-3:])
    # A second separator is a word like any other.
    after = model(torch.tensor([[*row, SEPARATOR, 2, SEPARATOR, 7]]))[0]
    assert not torch.allclose(model(torch.tensor([[*row, SEPARATOR, 3, 3, 7]]))[0, -1], after[-1])
    assert not torch.allclose(model(torch.tensor([[2, SEPARATOR, 7]]))[0, -1], after[-1])


@models
def test_every_source_word_matters(model: SourceTarget) -> None:
    source = torch.arange(10).repeat(3)  # longer than the convolutions reach
    inputs = torch.cat([source, torch.tensor([SEPARATOR, 4, 4])])[None]
    entered: list[Tensor] = []

    def keep(_: object, __: object, vectors: Tensor) -> None:
        vectors.retain_grad()
        entered.append(vectors)

    hook = model.enter.register_forward_hook(keep)
    features, _ = model.features_at(inputs, torch.tensor([0]), torch.tensor([len(source) + 2]))
    features.square().sum().backward()
    hook.remove()
    (of_source,) = (each.grad for each in entered if each.shape[:2] == (1, len(source)))
    assert of_source is not None
    assert (of_source[0].abs().sum(1) > 0).all()


def test_positions_in_the_source_do_not_depend_on_where_it_is_cut() -> None:
    """A word keeps its vector, and beyond the last one all share it."""
    with seeded(4):
        model = ConvS2S(Tokens(12, SEPARATOR), 12, hidden=6, layers=1, kernel=1, places=4).eval()
    with torch.inference_mode():
        source = [7, 7, 7, 7, 7, 7, 8]
        whole = separated(
            torch.tensor([[*source, SEPARATOR]]), SEPARATOR, *torch.tensor([[0], [7]])
        )
        keys = model._encoded(whole)[0][0]
        for cut in range(1, 7):
            rows = torch.tensor([[*source[cut:], SEPARATOR]])
            pieces = separated(rows, SEPARATOR, *torch.tensor([[0], [7 - cut]]))
            torch.testing.assert_close(model._encoded(pieces)[0][0], keys[cut:])
        torch.testing.assert_close(keys[0], keys[3])
        assert not torch.allclose(keys[3], keys[4])


@pytest.mark.parametrize("name", KINDS)
def test_what_has_no_source_is_refused(name: str) -> None:
    for task_id in ("hidden-markov/dwell=2", "adding-problem/T=9"):
        with pytest.raises(NotApplicableError, match=f"{name} translates a source, and {task_id}"):
            build_model(ModelSpec(name), load_task(task_id), "full", {})
    with pytest.raises(ValueError, match="one separates a source from its target"):
        KINDS[name](Tokens(12), 12)


@pytest.mark.slow  # ten seconds
@pytest.mark.parametrize(("name", "rate"), [("seq2seq", 1e-2), ("conv-s2s", 5e-3)])
def test_digits_are_reversed_after_300_steps(name: str, rate: float) -> None:
    task = Reversal(2048)
    recipe = Recipe(
        steps=300,
        batch=32,
        k_train="full",
        learning_rate=rate,
        validate_every=300,
        options={"hidden": 32},
    )
    with seeded(0):
        model, _ = build_model(ModelSpec(name), task, "full", recipe.options)
    train(model, task, recipe, k_train="full", seed=0)
    curve = measure(model, task, task.split("test"), [1, "full"])
    right = curve.at("full").correct
    assert right is not None
    assert right.mean() > 0.98
    assert curve.at(1).losses.mean() > 1.5  # the last word alone


@pytest.mark.parametrize(("k_train", "longest"), [("full", 17), (3, 3)])
def test_trained_on_whole_pairs_or_on_windows(
    k_train: Literal["full"] | int, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not on segments, which would have lost their separator."""
    monkeypatch.setattr(loop, "SEGMENT_WITHOUT_STATE", 4)
    task = Reversal()
    recipe = Recipe(steps=3, batch=8, k_train="full", learning_rate=1e-3, validate_every=3)
    with seeded(0):
        model, _ = build_model(ModelSpec("seq2seq"), task, "full", {"hidden": 4})
    read: list[Tensor] = []
    usual = model.features_at

    def features_at(inputs: Tensor, *others: Any) -> tuple[Tensor, object]:
        if model.training:
            read.append(inputs)
        return usual(inputs, *others)

    monkeypatch.setattr(model, "features_at", features_at)
    train(model, task, recipe, k_train=k_train, seed=0)
    assert len(read) >= 3
    assert max(inputs.shape[1] for inputs in read) == longest
    if k_train == "full":
        assert all((inputs == SEPARATOR).any(1).all() for inputs in read)
