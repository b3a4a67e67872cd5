"""Splits, context lengths and random generators."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from seqmem.tasks.copy_memory import CopyMemory
from seqmem.tasks.task import Split, generator, geometric_contexts


def test_fingerprint_sees_every_part() -> None:
    split = CopyMemory(3, 3).split("valid")
    changed = [split.subset(torch.arange(1, len(split)))]
    for name in ("inputs", "positions", "targets"):
        parts = {n: getattr(split, n) for n in ("inputs", "starts", "positions", "targets")}
        parts[name] = parts[name].clone()
        parts[name][-1] -= 1
        changed.append(Split(**parts, blocks=split.blocks))
    assert len({s.fingerprint() for s in [split, *changed]}) == 5


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
