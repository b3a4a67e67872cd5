"""The n-gram model against a slow implementation of the paper's formulas with dictionaries."""

import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmem.baselines.ngram import KneserNey
from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training.checkpoint import load_weights, save_weights
from seqmem.baselines.training.recipes import recipe_for
from seqmem.errors import InputError, NotApplicableError
from seqmem.measuring.curve import measure
from seqmem.runs.cell import check_trainable
from seqmem.tasks import FAMILIES, load_task
from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tasks.model import weights_sha256
from seqmem.tasks.task import Context, Split, Task, Tokens

Gram = tuple[int, ...]


class GivenSequences(HiddenMarkov):
    """A task whose training data are given sequences of tokens."""

    def __init__(self, sequences: list[list[int]], vocabulary: int) -> None:
        super().__init__(2)
        self.inputs, self.outputs = Tokens(vocabulary), vocabulary
        self.sequences = sequences

    def train(self, seed: int, epoch: int) -> Split:
        lengths = [len(tokens) - 1 for tokens in self.sequences]
        total = sum(lengths)
        flat = [token for tokens in self.sequences for token in tokens[:-1]]
        targets = [token for tokens in self.sequences for token in tokens[1:]]
        return Split(
            torch.tensor(flat, dtype=torch.int32),
            torch.tensor([0, *np.cumsum(lengths)]),
            torch.arange(total),
            torch.tensor(targets),
            torch.arange(total),
        )


class Slow:
    """p(w | h), computed recursively from counts of tuples."""

    def __init__(self, sequences: list[list[int]], vocabulary: int, order: int) -> None:
        self.vocabulary = vocabulary
        self.counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
        for tokens in sequences:
            for end in range(1, len(tokens)):
                longest = min(end, order - 1)
                self.counts[longest][tuple(tokens[end - longest : end + 1])] += 1
        for length in range(order - 1, 0, -1):
            for gram in list(self.counts[length]):  # each distinct one counts once
                self.counts[length - 1][gram[1:]] += 1
        self.discounts = [self._discounts(counts) for counts in self.counts]
        self.followers: dict[Gram, list[int]] = defaultdict(list)
        for counts in self.counts:
            for gram in counts:
                self.followers[gram[:-1]].append(gram[-1])

    @staticmethod
    def _discounts(counts: Counter[Gram]) -> list[float]:
        n = Counter(counts.values())
        if not all(n[i] for i in (1, 2, 3, 4)):
            return [0, 0.5, 1, 1.5]
        y = n[1] / (n[1] + 2 * n[2])
        d = [i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3)]
        return [0, *d] if all(0 < d[i] < i + 1 for i in range(3)) else [0, 0.5, 1, 1.5]

    def probability(self, word: int, context: Gram) -> float:
        lower = 1 / self.vocabulary if not context else self.probability(word, context[1:])
        words = self.followers.get(context)
        if words is None:
            return lower
        counts, discounts = self.counts[len(context)], self.discounts[len(context)]
        taken = {w: discounts[min(counts[*context, w], 3)] for w in words}
        total = sum(counts[*context, w] for w in words)
        rest = counts[*context, word] - taken[word] if word in taken else 0.0
        return (rest + sum(taken.values()) * lower) / total


def counted(task: Task, order: int, seed: int = 0, k_train: int | str = "full") -> KneserNey:
    model, _ = build_model(parse_model(f"kneser-ney:order={order}"), task, k_train, {})  # type: ignore[arg-type]
    assert isinstance(model, KneserNey)
    model.fit(task, seed)
    return model


sequences = st.integers(1, 6).flatmap(
    lambda symbols: st.lists(
        st.lists(st.integers(0, symbols - 1), min_size=2, max_size=60), min_size=1, max_size=5
    )
)


@settings(max_examples=150, deadline=None)
@given(sequences=sequences, order=st.integers(1, 5), extra=st.integers(0, 2), data=st.data())
@torch.inference_mode()
def test_it_computes_the_papers_formula(
    sequences: list[list[int]], order: int, extra: int, data: st.DataObject
) -> None:
    vocabulary = max(max(tokens) for tokens in sequences) + 1 + extra
    slow = Slow(sequences, vocabulary, order)
    model = counted(GivenSequences(sequences, vocabulary), order)
    # Contexts seen and not, and windows of all lengths.
    window = data.draw(st.lists(st.integers(0, vocabulary - 1), min_size=1, max_size=8))
    for inputs in (window, sequences[0]):
        log_probs = model(torch.tensor([inputs], dtype=torch.int32))[0].double()
        torch.testing.assert_close(
            log_probs.exp().sum(1), torch.ones(len(inputs)).double(), rtol=0, atol=1e-6
        )
        for t in range(len(inputs)):
            context = tuple(inputs[max(0, t + 2 - order) : t + 1]) if order > 1 else ()
            expected = [slow.probability(w, context) for w in range(vocabulary)]
            np.testing.assert_allclose(log_probs[t].exp().numpy(), expected, rtol=2e-6)


def test_discounts_of_real_counts_are_estimated() -> None:
    """The small corpora above often use the fallback; this one does not, at any order."""
    rng = np.random.default_rng(0)
    ranks = rng.zipf(1.4, (40, 200))
    tokens = np.minimum(ranks, 300).tolist()
    slow = Slow(tokens, 301, 3)
    assert all(discounts != [0, 0.5, 1, 1.5] for discounts in slow.discounts)
    model = counted(GivenSequences(tokens, 301), 3)
    log_probs = model(torch.tensor([tokens[7]], dtype=torch.int32))[0]
    for t in (0, 1, 5, 100):
        context = tuple(tokens[7][max(0, t - 1) : t + 1])
        expected = [slow.probability(w, context) for w in range(301)]
        np.testing.assert_allclose(log_probs[t].exp().numpy(), expected, rtol=2e-6)


def test_a_1_gram_is_the_discounted_unigram() -> None:
    """Discounted occurrences; the discounted mass is divided equally among all words."""
    tokens = [0] * 6 + [1] * 4 + [2] * 3 + [3] * 2 + [4]
    model = counted(GivenSequences([[4, *tokens]], 6), 1)
    assert model.receptive_field == 0
    found = model(torch.zeros(1, 1, dtype=torch.int32))[0, 0].exp()
    y = 1 / 3
    d1, d2, d3 = y, 2 - 3 * y, 3 - 4 * y
    uniform = (2 * d3 + d3 + d2 + d1) / 16 / 6
    expected = [(6 - d3) / 16, (4 - d3) / 16, (3 - d3) / 16, (2 - d2) / 16, (1 - d1) / 16, 0]
    torch.testing.assert_close(found, torch.tensor(expected) + uniform)


def test_contexts_do_not_cross_sequences() -> None:
    apart = counted(GivenSequences([[0, 1], [2, 3]], 4), 3)
    other = counted(GivenSequences([[2, 3], [0, 1]], 4), 3)
    joined = counted(GivenSequences([[0, 1, 2, 3]], 4), 3)
    assert weights_sha256(apart) == weights_sha256(other)
    assert weights_sha256(apart) != weights_sha256(joined)
    # No word occurs after 1.
    inputs = torch.tensor([[0, 1]], dtype=torch.int32)
    torch.testing.assert_close(apart(inputs)[0, 1], apart.unigram)


def test_n_grams_at_the_start_of_a_sequence_count_all_occurrences() -> None:
    """As for <s> in every toolkit: no preceding words exist that could be counted instead."""
    model = counted(GivenSequences([[0, 1, 3]] * 9 + [[0, 2, 3]], 4), 3)
    begun = model(torch.tensor([[0]], dtype=torch.int32))[0, 0].exp()
    assert begun[1] > 4 * begun[2]


@pytest.mark.parametrize(("k_train", "order"), [(1, 2), (2, 3), (4, 5), (30, 5), ("full", 5)])
def test_k_train_sets_the_order(k_train: int | Literal["full"], order: int) -> None:
    model, _ = build_model(parse_model("kneser-ney"), HiddenMarkov(2), k_train, {})
    assert isinstance(model, KneserNey)
    assert (model.order, model.receptive_field) == (order, order - 1)
    assert model.state_size(100) == order - 2


def test_the_curve_falls_up_to_its_order_and_is_flat_after() -> None:
    task = HiddenMarkov(10)
    model = counted(task, 4)
    train = task.train(0, 0).prefix(6000)
    contexts: tuple[Context, ...] = (1, 2, 3, 4, 9, "full")
    curve = measure(model, task, train, contexts)
    losses = {k: curve.at(k).losses for k in contexts}
    assert losses[1].mean() > losses[2].mean() > losses[3].mean()
    for k in contexts[3:]:
        np.testing.assert_allclose(losses[k], losses[3], atol=1e-6)
    # Another seed is another training set, so that the fit to this one is worse.
    other = measure(counted(task, 4, seed=1), task, train, ["full"]).at("full").losses
    assert other.mean() > losses[3].mean() + 0.1


def test_a_bigram_comes_near_the_optimum() -> None:
    """32 × 32 counts from a quarter of a million symbols have small sampling errors."""
    task = HiddenMarkov(10)
    loss = measure(counted(task, 2), task, task.split("test"), [1]).at(1).losses.mean()
    optimum = task.optimum(1)
    assert optimum < loss < optimum + 0.004


@pytest.mark.parametrize("order", [1, 2, 5])
def test_counts_are_saved_and_loaded(order: int, tmp_path: Path) -> None:
    task = HiddenMarkov(2)
    model = counted(task, order)
    save_weights(model, tmp_path / "weights.safetensors", {"note": 1})
    fresh, _ = build_model(parse_model(f"kneser-ney:order={order}"), task, "full", {})
    inputs = torch.arange(60, dtype=torch.int32).view(2, 30) % 32
    assert not torch.equal(fresh(inputs), model(inputs))
    assert load_weights(fresh, tmp_path / "weights.safetensors") == {"note": 1}
    assert torch.equal(fresh(inputs), model(inputs))
    assert weights_sha256(fresh) == weights_sha256(model)


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    save_weights(counted(GivenSequences([[0, 1, 0]], 2), 2), tmp_path / "w.safetensors", {})
    other, _ = build_model(parse_model("kneser-ney"), GivenSequences([[0, 1, 0]], 3), "full", {})
    assert load_weights(other, tmp_path / "w.safetensors") is None


@pytest.mark.parametrize("task_id", ["copy-memory/T=5", "adding-problem/T=5", "music/jsb"])
def test_other_tasks_are_refused(task_id: str) -> None:
    with pytest.raises(NotApplicableError, match=f"which {task_id} does not ask for"):
        build_model(parse_model("kneser-ney"), load_task(task_id), "full", {})


class Untrainable(HiddenMarkov):
    def train(self, seed: int, epoch: int) -> Split:
        raise InputError(f"{self.id} has no training split")


def test_a_task_without_training_data_is_refused() -> None:
    """Before any work starts; the marginal model needs no training data."""
    recipe = recipe_for("hidden-markov", "smoke")
    with pytest.raises(InputError, match="no training split"):
        check_trainable(parse_model("kneser-ney"), Untrainable(2), recipe, None)
    check_trainable(parse_model("marginal"), Untrainable(2), recipe, None)


def test_next_token_is_right_for_every_task() -> None:
    for family in FAMILIES.values():
        if family.data is not None or family.user_data:
            continue
        task = load_task(family.example)
        split = task.split("valid")
        ids = isinstance(task.inputs, Tokens)
        inner = split.positions[~torch.isin(split.positions + 1, split.starts)]
        targets, following = split.targets[split.target_at[inner]], split.inputs[inner + 1]
        comes_next = ids and len(inner) > 0 and torch.equal(targets.long(), following.long())
        assert task.next_token == comes_next, task.id


@pytest.mark.slow
@pytest.mark.usefixtures("data")
def test_wikitext_2() -> None:
    """The published perplexity of KN-5 is about 220 (test); here k_train sets the order."""
    task = load_task("wikitext-2")
    perplexity = {}
    for k_train in (1, 2, 4):
        model = counted(task, 5, k_train=k_train)
        losses = measure(model, task, task.split("test").prefix(60_000), ["full"]).at("full").losses
        perplexity[k_train] = math.exp(losses.mean())
        rows = model(task.split("test").inputs[None, :50])[0].double().exp().sum(1)
        torch.testing.assert_close(rows, torch.ones(50).double(), rtol=0, atol=1e-6)
    print(perplexity)
    assert 150 < perplexity[4] < perplexity[2] < perplexity[1] < 400
