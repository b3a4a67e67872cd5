"""The recipes of a check: far shorter than any budget.

The question is not how well a model learns but whether it still learns in the same way. After a few
dozen steps a fault changes the loss at some k, while seeds have not yet diverged. Each recipe is
the smoke budget's with fewer steps. Together they cover both optimisers, active gradient clipping,
dropout and tied weights.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from seqmem.baselines.training.recipes import Recipe, recipe_for

__all__ = ["BRIEF", "BRIEF_TASKS", "check_recipe"]

# Baselines that a suite checks on these of its tasks alone, so that a check takes minutes: their
# layers differ, and what they share is checked on every task by the others. Those for translation
# apply to none of them: named, they are checked on such a task.
BRIEF = frozenset(
    {
        "awd-lstm",
        "conv-s2s",
        "echo-state",
        "gla",
        "gated-deltanet",
        "mamba",
        "min-gru",
        "min-lstm",
        "mlstm",
        "s4d",
        "seq2seq",
    }
)
BRIEF_TASKS = ("copy-memory/T=10", "hidden-markov/dwell=10")

STEPS = 40  # for a family not listed below

_CHANGES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # Plain gradient descent; nearly every gradient is clipped.
        "copy-memory": {
            "steps": 40,
            "batch": 32,
            "optimizer": "sgd",
            "learning_rate": 1.0,
            "clip": 0.1,
        },
        "adding-problem": {"steps": 80},
        "hidden-markov": {
            "steps": 100,
            "learning_rate": 2e-2,
            "options": {"hidden": 32, "dropout": 0.1, "tied": True},
        },
        "wikitext-2": {"steps": 12, "options": {"hidden": 32, "tied": True}},
        "billion-word": {"steps": 12, "options": {"hidden": 32, "tied": True}},
        "music": {"steps": 30, "options": {"hidden": 32}},
    }
)


def check_recipe(family: str) -> Recipe:
    """Return the recipe with which baselines are trained on a task family."""
    usual = recipe_for(family, "smoke")
    changes = dict(_CHANGES.get(family, {}))
    steps = min(int(changes.pop("steps", STEPS)), usual.steps)
    return replace(usual, **changes, steps=steps, validate_every=steps, validation_targets=256)
