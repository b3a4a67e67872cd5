"""State tracking: groups, sequences, and the optimum by enumeration and by an automaton."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from seqmem.tasks import load_task
from seqmem.tasks.state_tracking import StateTracking, multiplication_table
from seqmem.tasks.task import Context
from seqmem.testing import check_scores
from seqmem.tests.memory_oracles import AutomatonOracle, Case, smallest_loss


def every_sequence(task: StateTracking) -> Iterator[Case]:
    order, length = task.order, task.length
    for marks in itertools.product((False, True), repeat=length - 1):
        probability = task.reset ** sum(marks) * (1 - task.reset) ** (length - 1 - sum(marks))
        if not probability:
            continue
        for elements in itertools.product(range(order), repeat=length):
            state, states = 0, {}
            for t, (g, mark) in enumerate(zip(elements, (True, *marks), strict=True)):
                state = states[t] = g if mark else int(task.products[state, g])
            inputs = tuple(
                g + order * mark for g, mark in zip(elements, (True, *marks), strict=True)
            )
            yield probability, inputs, states


@pytest.mark.parametrize(
    ("group", "reset", "length"),
    [("parity", 0.2, 7), ("parity", 0.0, 6), ("Z3", 0.5, 5), ("Z4", 0.1, 4), ("S3", 0.3, 4)],
)
def test_the_optimum_by_enumeration(group: str, reset: float, length: int) -> None:
    task = StateTracking(group, reset)
    task.length = length
    cases = list(every_sequence(task))
    for k in range(1, length + 2):
        assert task.optimum(k) == pytest.approx(smallest_loss(cases, k), abs=1e-12)
    assert task.optimum("full") == 0


@pytest.mark.parametrize("group", ["parity", "Z7", "S3", "A5"])
def test_an_automaton_reaches_the_optimum(group: str) -> None:
    task = StateTracking(group, 0.05)
    contexts: list[Context] = [*task.contexts, "full"]
    check_scores(AutomatonOracle(task), task, {k: task.optimum(k) for k in contexts})


@pytest.mark.parametrize(
    ("group", "order", "commutes"),
    [
        ("parity", 2, True),
        ("Z9", 9, True),
        ("S3", 6, False),
        ("A5", 60, False),
        ("S5", 120, False),
    ],
)
def test_the_tables_are_groups(group: str, order: int, commutes: bool) -> None:
    table = multiplication_table(group)
    assert table.shape == (order, order)
    numbers = np.arange(order)
    assert (table[0] == numbers).all()  # element 0 is the identity
    assert (table[:, 0] == numbers).all()
    assert (np.sort(table, 0) == numbers[:, None]).all()  # every element has an inverse
    assert (np.sort(table, 1) == numbers).all()
    rng = np.random.default_rng(0)
    a, b, c = rng.integers(0, order, (3, 500))
    assert (table[table[a, b], c] == table[a, table[b, c]]).all()
    assert (table == table.T).all() == commutes


def test_products_of_permutations_apply_the_right_one_first() -> None:
    # In lexicographic order 1 is (0, 2, 1) and 2 is (1, 0, 2): 1 after 2 maps 0 to 2.
    assert multiplication_table("S3")[1, 2] == 4  # (2, 0, 1)


def test_a5_has_no_normal_subgroup_that_a_commutator_generates() -> None:
    """The commutators of A5 and S5 are all of A5: neither is solvable; those of S3 are Z3."""
    for group, size in (("S3", 3), ("A5", 60), ("S5", 60)):
        table = multiplication_table(group)
        inverse = np.argmin(table, 1)  # the place of the identity, 0
        x, y = np.meshgrid(np.arange(len(table)), np.arange(len(table)))
        found = set(np.unique(table[table[x, y], table[inverse[x], inverse[y]]]).tolist())
        assert len(found) == size


def test_sequences_are_as_specified() -> None:
    task = StateTracking("S3", 0.1)
    for split in (task.train(2, 1), task.split("test")):
        inputs = split.inputs.reshape(-1, task.length).numpy()
        states = split.targets.reshape(inputs.shape).numpy()
        element, marked = inputs % 6, inputs >= 6
        assert marked[:, 0].all()
        for row in range(30):
            for t in range(task.length):
                begin = max(s for s in range(t + 1) if marked[row, s])
                product = 0
                for g in element[row, begin : t + 1]:
                    product = int(task.products[product, g])
                assert states[row, t] == product
        share = marked[:, 1:].mean()
        assert abs(share - 0.1) < 4 * np.sqrt(0.09 / marked[:, 1:].size)
        counts = np.bincount(element.ravel(), minlength=6) / element.size
        assert np.abs(counts - 1 / 6).max() < 4 * np.sqrt(5 / 36 / element.size)


def test_one_id_for_one_group() -> None:
    assert load_task("state-tracking/group=Z2,reset=0.10").id == (
        "state-tracking/group=parity,reset=0.1"
    )
    assert load_task("state-tracking/group=Z012,reset=0").id == "state-tracking/group=Z12,reset=0"
