"""A small sample has targets of the split, each with the inputs before it."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmem.measuring.small_sample import LONG, small_sample
from seqmem.measuring.windows import window_inputs
from seqmem.tasks.task import Split


def split_of(lengths: list[int], every: int) -> Split:
    """Sequences of inputs 0, 1, 2, …, all different; each `every`-th has a target, its input."""
    size = sum(lengths)
    inputs = torch.arange(size, dtype=torch.int32)
    positions = torch.arange(0, size, every)
    starts = torch.tensor([0, *lengths]).cumsum(0)
    return Split(inputs, starts, positions, inputs[positions], positions // 7)


def check(split: Split, sample: Split) -> None:
    known = dict(zip(split.targets.tolist(), split.available.tolist(), strict=True))
    assert len(set(sample.targets.tolist())) == len(sample)
    for at, (target, available) in enumerate(
        zip(sample.targets.tolist(), sample.available.tolist(), strict=True)
    ):
        assert known[target] == available
        window = window_inputs(sample, torch.tensor([at]), available)[0]
        assert window.tolist() == list(range(target - available + 1, target + 1))
    assert torch.equal(sample.blocks, sample.targets.long() // 7)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=12), st.integers(1, 4), st.integers(1, 300)
)
def test_of_short_sequences_it_is_drawn_from_all(
    lengths: list[int], every: int, targets: int
) -> None:
    split = split_of(lengths, every)
    sample = small_sample(split, targets)
    assert len(sample) == min(targets, len(split))
    check(split, sample)
    assert torch.equal(sample.targets, small_sample(split, targets, 3).targets)
    read = torch.searchsorted(sample.starts, sample.positions, right=True) - 1
    assert read.unique().tolist() == list(range(len(sample.starts) - 1))  # no others are read


def test_many_sequences_are_in_it() -> None:
    sample = small_sample(split_of([100] * 100, 1), 50)
    assert len(sample.starts) - 1 > 30


def test_of_a_corpus_it_is_the_beginning() -> None:
    split = split_of([4 * LONG], 1)
    sample = small_sample(split, 10, 5)
    check(split, sample)
    assert sample.targets.tolist() == list(range(5, 15))
    assert len(sample.inputs) == 15
    assert small_sample(split, 4 * LONG, 5).targets.tolist() == list(range(4 * LONG))
