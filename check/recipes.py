"""How baselines are trained when they are checked: far shorter than any budget.

What is asked is not how well a model learns but whether it still learns in the same way: after a
few dozen steps a fault shows in the loss at some k, and the seeds have not yet drifted apart. Each
recipe is the smoke budget's, cut short; together they go through both optimisers, clipping that
binds, dropout and tied weights.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from seqmem.baselines.training.recipes import Recipe, recipe_for

__all__ = ["check_recipe"]

STEPS = 40  # of a family that is not named below

_CHANGES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # Plain gradient descent, and gradients that are nearly always clipped.
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
    """Give the recipe under which a task family's baselines are checked."""
    usual = recipe_for(family, "smoke")
    changes = dict(_CHANGES.get(family, {}))
    steps = min(int(changes.pop("steps", STEPS)), usual.steps)
    return replace(usual, **changes, steps=steps, validate_every=steps, validation_targets=256)
