"""What every task must fulfil, and what each synthetic one promises."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmem.baselines.marginal import Marginal
from seqmem.errors import CellError, InputError
from seqmem.measuring.curve import measure
from seqmem.measuring.reference import full_scores
from seqmem.measuring.window_scores import Scorer
from seqmem.tasks import FAMILIES, SUITES, load_task
from seqmem.tasks.adding_problem import AddingProblem
from seqmem.tasks.copy_memory import CopyMemory
from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tasks.model import FullOutputs
from seqmem.tasks.task import Context, Split, generator, geometric_contexts
from seqmem.testing import check_chance, check_scores, check_task
from seqmem.tests.oracles import AddingOracle, CopyOracle, MarkovOracle, Peeking

SYNTHETIC = [
    "copy-memory/T=1",
    "copy-memory/T=30",
    "copy-memory/T=3-9",
    "adding-problem/T=2",
    "adding-problem/T=20",
    "hidden-markov/dwell=2",
    "hidden-markov/dwell=10",
]

REAL = [
    "wikitext-2",
    "billion-word/heldout-10-13",
    "music/jsb",
    "music/nottingham",
    "music/muse",
    "music/piano",
]


@pytest.mark.parametrize("task_id", SYNTHETIC)
def test_contract(task_id: str) -> None:
    task = load_task(task_id)
    assert task.id == task_id
    assert load_task(task.id).data_hash == task.data_hash
    check_task(task)


@pytest.mark.parametrize("task_id", REAL)
@pytest.mark.usefixtures("data")
def test_contract_on_real_data(task_id: str) -> None:
    task = load_task(task_id)
    assert load_task(task.id).data_hash == task.data_hash
    check_task(task)


@pytest.mark.parametrize("task_id", REAL)
@pytest.mark.usefixtures("data")
def test_blind_model_scores_chance_on_real_data(task_id: str) -> None:
    task = load_task(task_id)
    blind = Marginal(task.inputs, task.outputs)
    blind.fit(task, 0)
    losses = measure(blind, task, task.split("test"), ["full"]).at("full").losses
    assert losses.mean() == pytest.approx(task.chance(), rel=1e-5)


@pytest.mark.parametrize("task_id", SYNTHETIC)
def test_blind_model_scores_chance(task_id: str) -> None:
    task = load_task(task_id)
    check_chance(task, (1, task.longest_context, "full"))


@pytest.mark.parametrize("task_id", SYNTHETIC)
def test_the_optimum_is_known_at_every_k(task_id: str) -> None:
    """And falls from chance, as `check_task` tests."""
    task = load_task(task_id)
    contexts: list[Context] = [*task.contexts, "full"]
    assert all(task.optimum(k) is not None for k in contexts)


@pytest.mark.parametrize("task_id", SYNTHETIC)
def test_streams_are_apart(task_id: str) -> None:
    task = load_task(task_id)
    parts = [task.train(0, 0), task.train(0, 1), task.train(1, 0)]
    parts += [task.split("valid"), task.split("test")]
    seen: set[bytes] = set()
    for part in parts:
        bounds = zip(part.starts[:-1].tolist(), part.starts[1:].tolist(), strict=True)
        sequences = {part.inputs[a:b].numpy().tobytes() for a, b in bounds}
        # Of the 8^10 symbol sequences of copy memory, two streams may draw one alike by chance.
        assert len(sequences & seen) <= (3 if task.family == "copy-memory" else 0)
        seen |= sequences
    assert task.train(0, 1).fingerprint() == parts[1].fingerprint()


def test_fingerprint_sees_every_part() -> None:
    split = CopyMemory(3, 3).split("valid")
    changed = [split.subset(torch.arange(1, len(split)))]
    for name in ("inputs", "positions", "targets"):
        parts = {n: getattr(split, n) for n in ("inputs", "starts", "positions", "targets")}
        parts[name] = parts[name].clone()
        parts[name][-1] -= 1
        changed.append(Split(**parts, blocks=split.blocks))
    assert len({s.fingerprint() for s in [split, *changed]}) == 5


# Copy memory.


@given(st.integers(1, 40), st.integers(0, 40), st.integers(1, 120))
def test_copy_memory_optimum_is_the_share_of_delays_out_of_reach(
    shortest: int, extra: int, k: int
) -> None:
    delays = range(shortest, shortest + extra + 1)
    out_of_reach = np.mean([delay + 10 >= k for delay in delays])
    task = CopyMemory(delays[0], delays[-1])
    assert task.optimum(k) == pytest.approx(math.log(8) * out_of_reach)


def test_copy_memory_cliff_and_ramp() -> None:
    cliff = CopyMemory(30, 30)
    assert cliff.optimum(40) == pytest.approx(math.log(8))
    assert cliff.optimum(41) == 0
    assert cliff.contexts[-2:] == (40, 41)
    ramp = CopyMemory(10, 19)
    assert [ramp.optimum(k) for k in (20, 25, 30)] == pytest.approx(
        [math.log(8), math.log(8) / 2, 0], abs=1e-12
    )


@pytest.mark.parametrize("delays", [(1, 1), (6, 6), (5, 12)])
def test_copy_memory_oracle_reaches_the_optimum(delays: tuple[int, int]) -> None:
    task = CopyMemory(*delays)
    contexts: list[Context] = [1, 2, *range(delays[0] + 8, delays[1] + 13), 100, "full"]
    check_scores(FullOutputs(CopyOracle()), task, {k: task.optimum(k) for k in contexts})


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 99))
def test_copy_memory_sequences_are_as_specified(shortest: int, extra: int, seed: int) -> None:
    task = CopyMemory(shortest, shortest + extra)
    for split, everywhere in ((task.train(seed, 0), True), (task.split("valid"), False)):
        for s in range(0, 40, 7):
            begin, end = split.starts[s], split.starts[s + 1]
            inputs = split.inputs[begin:end].tolist()
            delay = len(inputs) - 20
            assert shortest <= delay <= shortest + extra
            symbols = inputs[:10]
            assert set(symbols) <= set(range(1, 9))
            assert inputs[10:] == [0] * (delay - 1) + [9] * 11
            mine = (split.positions >= begin) & (split.positions < end)
            positions = (split.positions[mine] - begin).tolist()
            targets = split.targets[mine].tolist()
            assert positions == list(range(0 if everywhere else delay + 10, len(inputs)))
            assert targets == [0] * (len(targets) - 10) + symbols


# The adding problem.


@pytest.mark.parametrize("length", [2, 20, 50])
def test_adding_oracle_reaches_the_optimum(length: int) -> None:
    task = AddingProblem(length)
    contexts: list[Context] = sorted({1, length // 4 + 1, length // 2, length - 1, length})
    contexts = [k for k in contexts if k != 0] + [2 * length, "full"]
    line = {k: max(0, length - (length if k == "full" else k)) / (6 * length) for k in contexts}
    assert {k: task.optimum(k) for k in contexts} == pytest.approx(line)
    check_scores(FullOutputs(AddingOracle()), task, line)


def test_adding_sequences_are_as_specified() -> None:
    task = AddingProblem(7)
    split = task.split("test")
    value, marker = split.inputs.reshape(-1, 7, 2).unbind(-1)
    assert ((value >= 0) & (value < 1)).all()
    assert (marker.sum(1) == 2).all()
    assert set(marker.unique().tolist()) == {0.0, 1.0}
    assert torch.equal((value * marker).sum(1), split.targets)
    # Every pair of positions is as likely as any other: chi-squared over the 21 pairs.
    pairs = [tuple(row) for row in marker.nonzero()[:, 1].reshape(-1, 2).tolist()]
    counts = [pairs.count(pair) for pair in itertools.combinations(range(7), 2)]
    expected = len(pairs) / 21
    assert sum((count - expected) ** 2 / expected for count in counts) < 45.3  # p = 0.001, 20 d.f.


# Hidden Markov topics.


def brute_force(task: HiddenMarkov, window: list[int], target: int) -> float:
    """p(target | window), by summing over every path of topics."""
    joint = np.zeros(2)
    for path in itertools.product(range(8), repeat=len(window) + 1):
        p = 1 / 8
        for a, b in itertools.pairwise(path):
            p *= task.transition[a, b]
        for topic, symbol in zip(path, window, strict=False):
            p *= task.emission[topic, symbol]
        joint += p * np.array([task.emission[path[-1], target], 1.0])
    return float(joint[0] / joint[1])


def test_markov_optimum_is_the_sum_over_all_paths() -> None:
    task = HiddenMarkov(3)
    split = task.split("valid")
    for k in (1, 2, 3):
        losses = task.optimal_losses(split, k)
        for target in (0, 1, 2, 500):  # the first ones have fewer than k inputs
            position = int(split.positions[target])
            begin = max(position - k + 1, int(split.starts[position // task.length]))
            window = split.inputs[begin : position + 1].tolist()
            p = brute_force(task, window, int(split.targets[target]))
            assert losses[target] == pytest.approx(-math.log(p), rel=1e-9)


def test_markov_full_is_the_longest_window() -> None:
    task = HiddenMarkov(2)
    split = task.split("valid")
    longest = task.optimal_losses(split, task.length)
    assert task.optimal_losses(split, "full") == pytest.approx(longest, rel=1e-9)


def test_markov_oracle_reaches_the_optimum() -> None:
    task = HiddenMarkov(4)
    contexts: list[Context] = [1, 3, 8, "full"]
    curve = measure(FullOutputs(MarkovOracle(task)), task, task.split("test"), contexts)
    for k in contexts:
        assert curve.at(k).losses.mean() == pytest.approx(task.optimum(k), abs=1e-5)


def test_markov_sequences_are_as_specified() -> None:
    task = HiddenMarkov(20)
    assert task.emission.sum(1) == pytest.approx(np.ones(8))
    assert task.transition.sum(1) == pytest.approx(np.ones(8))
    assert 1 / (1 - task.transition[0, 0]) == pytest.approx(20)
    assert task.emission[2, 8] / task.emission[2, 9] == pytest.approx(math.sqrt(2))
    split = task.train(0, 0)
    counts = torch.bincount(split.inputs, minlength=32).numpy() / len(split.inputs)
    assert counts == pytest.approx(task.emission.mean(0), abs=0.004)
    # Pairs at a distance follow the chain: E[e(x_t) T^lag e(x_{t+lag})].
    symbols = split.inputs.reshape(-1, task.length)
    for lag in (1, 20):
        joint = task.emission.T @ np.linalg.matrix_power(task.transition, lag) / 8 @ task.emission
        first, second = symbols[:, :-lag].reshape(-1), symbols[:, lag:].reshape(-1)
        found = torch.bincount(first.long() * 32 + second, minlength=1024).numpy() / len(first)
        assert found == pytest.approx(
            joint.reshape(-1), abs=4 * math.sqrt(joint.max() / len(first))
        )
        # Not only close cell by cell: dependent, where independence would show none.
        independent = np.outer(task.emission.mean(0), task.emission.mean(0)).reshape(-1)
        assert np.dot(found - independent, joint.reshape(-1) - independent) > 0
    inputs, targets = split.inputs[1 : task.length], split.targets[: task.length - 1]
    assert torch.equal(inputs.long(), targets)


def test_looking_ahead_gains_nothing_from_a_window() -> None:
    task = HiddenMarkov(4)
    split = task.split("valid")
    model = FullOutputs(Peeking(32))
    scorer = Scorer(model, task, split, "cpu", lambda k, steps: None)
    able = np.flatnonzero(split.available.numpy() >= 4)
    assert scorer.windows(able, 4).scores().losses.mean() > task.chance()
    # Reading the whole sequence does not hide the targets; the check finds the looking ahead.
    assert full_scores(model, task, split).losses.mean() < task.chance()
    with pytest.raises(CellError, match="looks ahead"):
        measure(model, task, split, [1, 4, "full"])


# Ids, suites, generators.


@pytest.mark.parametrize(
    ("task_id", "says"),
    [
        ("nonsense", "unknown task"),
        ("copy-memroy/T=30", "did you mean copy-memory"),
        ("copy-memory", "T is missing"),
        ("copy-memory/T=0", "out of range: 1 to 10000"),
        ("copy-memory/T=20-10", "write T=10-20"),
        ("copy-memory/T=-5", "not a whole number"),
        ("copy-memory/T=1e3", "not a whole number"),
        ("copy-memory/T=٣", "not a whole number"),
        ("copy-memory/T=10,T=20", "given twice"),
        ("copy-memory/T", "not parameter=value"),
        ("copy-memory/T=5,x=1", "unknown parameter 'x'"),
        ("adding-problem/T=1", "out of range: 2 to 5000"),
        ("adding-problem/T=99999999999999999999", "not a whole number"),
        ("hidden-markov/dwell=1", "out of range: 2 to 1000"),
        ("wikitext-2/T=3", "has no parameters"),
    ],
)
def test_wrong_ids_are_explained(task_id: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        load_task(task_id)
    assert task_id in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task_id", [f.example for f in FAMILIES.values()])
def test_examples_load(task_id: str) -> None:
    assert load_task(task_id).id == task_id


def test_suites_name_tasks_that_exist() -> None:
    for suite in SUITES.values():
        assert [load_task(task_id).id for task_id in suite.tasks] == list(suite.tasks)
        assert len(set(suite.tasks)) == len(suite.tasks)


def test_ids_are_canonical() -> None:
    assert load_task("copy-memory/T=010-010").id == "copy-memory/T=10"


@given(st.integers(1, 5000))
def test_geometric_contexts(longest: int) -> None:
    contexts = geometric_contexts(longest)
    assert contexts[0] == 1
    assert contexts[-1] == longest
    assert all(b <= 2 * a for a, b in itertools.pairwise(contexts))
    assert all(k & (k - 1) == 0 for k in contexts[:-1])


def test_generators_differ_by_name() -> None:
    draws = {generator(name, "test").integers(1 << 60) for name in ("a", "b", "c")}
    assert len(draws) == 3


def test_importing_the_suite_brings_in_no_torch() -> None:
    code = "import sys, seqmem.tasks, seqmem.baselines; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
