"""Training flushes denormal numbers to zero and restores the mode of its caller."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from seqmem.baselines.recurrent import RNN
from seqmem.baselines.training.loop import seeded, train
from seqmem.baselines.training.process import denormals_flushed, flush_in_threads
from seqmem.baselines.training.recipes import Recipe
from seqmem.tasks import load_task
from seqmem.tasks.model import State

RECIPE = Recipe(steps=2, batch=4, k_train="full", learning_rate=1e-3)


def flushed() -> bool:
    return not bool(torch.tensor([1e-39]) * 1.0 > 0)


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = flushed()
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot flush denormal numbers")
    yield
    torch.set_flush_denormal(before)


def test_they_are_flushed_inside_only() -> None:
    with denormals_flushed():
        assert flushed()
        with denormals_flushed():
            assert flushed()
        assert flushed(), "the inner one must not end the outer one's mode"
    assert not flushed()
    with pytest.raises(KeyError), denormals_flushed():
        raise KeyError
    assert not flushed()


def test_training_flushes_them_forward_and_backward() -> None:
    seen = []

    class Looking(RNN):
        def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
            seen.append(flushed())
            features, state = super().hidden(inputs, state)
            if features.requires_grad:
                features.register_hook(lambda gradient: seen.append(flushed()))
            return features, state

    task = load_task("adding-problem/T=3")
    with seeded(0):
        model = Looking(task.inputs, task.outputs, hidden=4)
    train(model, task, replace(RECIPE, validate_every=2), k_train="full", seed=0)
    assert len(seen) >= 2 * RECIPE.steps
    assert all(seen)
    assert not flushed()


def test_started_threads_flush_and_this_thread_does_not() -> None:
    """A thread inherits the mode of the thread that starts it, and keeps it."""
    code = f"""
    import torch
    from {flush_in_threads.__module__} import denormals_flushed, flush_in_threads
    torch.set_num_threads(4)
    flush_in_threads()
    numbers = torch.full((1 << 22,), 1e-39)
    print(bool(numbers[:1].mul(1.0) > 0))
    with denormals_flushed():
        print(int((numbers * 1.0 > 0).sum()))
    """.replace("\n    ", "\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "0"]
