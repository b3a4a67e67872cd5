"""Training recipes: one for each task family and budget, the same for all models.

Budgets are numbers of optimiser steps, not seconds, so that a slow machine trains the same model:
`smoke` takes seconds and tests the code, `small` takes minutes on a laptop's CPU, `medium` takes an
hour or more and comes near convergence, and `full` takes hours on a GPU and follows published
settings where one recipe suits every model.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from seqmem.baselines.options import Option

__all__ = ["BUDGETS", "Recipe", "recipe_for"]

BUDGETS = ("smoke", "small", "medium", "full")
_NEWER = ("classes", "pool", "warmup")  # than the first records, whose recipes do not name them


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of a training.

    Attributes:
        steps: largest number of optimiser steps.
        batch: sequences, or lanes of a stream, side by side.
        k_train: the default context to train with.
        learning_rate: the highest learning rate.
        optimizer: "adam" (Kingma & Ba 2015) or "sgd".
        schedule: "cosine" falls to zero over `steps`; "plateau" divides by four when validation
            does not improve; "constant".
        warmup: first steps over which the learning rate rises from zero, in proportion; at most a
            tenth of `steps` count.
        clip: largest gradient norm, applied after the backward pass.
        validate_every: steps between validations.
        patience: validations without improvement after which training ends.
        validation_targets: number of scored validation targets, from the start of the split.
        dtype: the dtype of matrix products in training (torch's autocast); weights and validation
            are in float32.
        classes: how many classes of a cross-entropy are summed at each step of training
            (`sampled_classes`); None: all.
        pool: how many batches of sequences are sorted by length together (`batches`); 0: none.
        options: defaults of model options, for the models that have them.
    """

    steps: int
    batch: int
    k_train: int | Literal["full"]
    learning_rate: float
    optimizer: Literal["adam", "sgd"] = "adam"
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup: int = 0
    clip: float = 1.0
    validate_every: int = 250
    patience: int = 8
    validation_targets: int = 8192
    dtype: Literal["float32", "bfloat16"] = "float32"
    classes: int | None = None
    pool: int = 0
    options: Mapping[str, Option] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return the hyperparameters as records store them; newer ones only if set."""
        facts = asdict(self)
        return {name: value for name, value in facts.items() if value or name not in _NEWER}


_SMOKE = Recipe(
    steps=250,
    batch=64,
    k_train="full",
    learning_rate=5e-3,
    validate_every=125,
    options={"hidden": 32},
)
_RECURRENT_MEMORY = Recipe(
    steps=4000, batch=64, k_train="full", learning_rate=2e-3, options={"hidden": 64}
)
_MEMORY_MEDIUM = replace(_RECURRENT_MEMORY, steps=40_000, validate_every=1000, patience=20)
_WORDS = Recipe(
    steps=2400,
    batch=20,
    k_train=35,
    learning_rate=3e-3,
    validate_every=600,
    validation_targets=32_768,
    options={"hidden": 160, "dropout": 0.2, "tied": True},
)
_WORDS_SMOKE = Recipe(
    steps=120,
    batch=20,
    k_train=16,
    learning_rate=1e-2,
    validate_every=60,
    validation_targets=4096,
    options={"hidden": 64, "tied": True},
)
# The size of pytorch/examples word_language_model, 2 × 200, with Adam; 24 epochs of WikiText-2.
# On a CPU, scoring all 33,278 classes in float32 at each step would take most of the time.
_WORDS_MEDIUM = Recipe(
    steps=71_616,
    batch=20,
    k_train=35,
    learning_rate=4e-3,
    warmup=1000,
    validate_every=5968,
    validation_targets=65_536,
    dtype="bfloat16",
    classes=2048,
    options={"hidden": 200, "layers": 2, "dropout": 0.3, "tied": True},
)
# pytorch/examples word_language_model: 2 × 650, dropout 0.5, tied, 40 epochs of WikiText-2.
_WORDS_FULL = Recipe(
    steps=119_360,
    batch=20,
    k_train=35,
    learning_rate=20.0,
    optimizer="sgd",
    schedule="plateau",
    clip=0.25,
    validate_every=2984,
    patience=10,
    validation_targets=217_645,
    options={"hidden": 650, "layers": 2, "dropout": 0.5, "tied": True},
)
_WORDS_FULL_ADAM = replace(_WORDS_FULL, optimizer="adam", learning_rate=1e-3, schedule="cosine")
# Longer and larger. Bai et al. 2018 tune each model separately; here all share a recipe.
_MEMORY_FULL = Recipe(
    steps=50_000, batch=32, k_train="full", learning_rate=5e-4, options={"hidden": 128}
)
# What is asked back or tracked. Half the steps of copying: suite memory has nine tasks.
_HOW_MUCH = {
    "smoke": _SMOKE,
    "small": replace(_RECURRENT_MEMORY, steps=2000, validate_every=200),
    "medium": _MEMORY_MEDIUM,
    "full": replace(_MEMORY_FULL, learning_rate=1e-3),
}

# One target in 784 inputs: few sequences a step, and many steps. 55,000 images are 1,719 steps.
_IMAGES = {
    "smoke": replace(_SMOKE, steps=120, batch=32, validate_every=60, validation_targets=200),
    "small": Recipe(
        steps=4000,
        batch=32,
        k_train="full",
        learning_rate=3e-3,
        warmup=100,
        validate_every=400,
        validation_targets=1000,
        options={"hidden": 64},
    ),
    "medium": Recipe(
        steps=17_190,
        batch=32,
        k_train="full",
        learning_rate=2e-3,
        warmup=500,
        validate_every=1719,
        validation_targets=5000,
        options={"hidden": 64},
    ),
    # Bai et al. 2018 and their code: Adam at 2e-3 with batches of 64 images, 20 epochs.
    "full": Recipe(
        steps=17_200,
        batch=64,
        k_train="full",
        learning_rate=2e-3,
        warmup=500,
        validate_every=860,
        validation_targets=5000,
        options={"hidden": 128},
    ),
}

# Every sample is a target, and neighbours are alike: few lanes, long segments, many steps. At 8,000
# samples a second, 1,024 of them, a segment or a receptive field, are an eighth of a second.
_SOUND = {
    "smoke": replace(
        _SMOKE, steps=60, batch=8, k_train=256, validate_every=30, validation_targets=4096
    ),
    "small": Recipe(
        steps=4000,
        batch=4,
        k_train=1024,
        learning_rate=5e-3,
        warmup=200,
        validate_every=400,
        validation_targets=32_768,
        options={"hidden": 64},
    ),
    "medium": Recipe(
        steps=16_000,
        batch=4,
        k_train=2048,
        learning_rate=3e-3,
        warmup=500,
        validate_every=800,
        validation_targets=65_536,
        options={"hidden": 64},
    ),
    # Half a second; WaveNet's experiment with speech alone has 300 ms (van den Oord et al. 2016,
    # section 3.1).
    "full": Recipe(
        steps=50_000,
        batch=8,
        k_train=4096,
        learning_rate=1e-3,
        warmup=1000,
        validate_every=2500,
        validation_targets=1 << 20,
        options={"hidden": 256},
    ),
}

_RECIPES: Mapping[tuple[str, str], Recipe] = MappingProxyType(
    {
        ("copy-memory", "smoke"): _SMOKE,
        ("copy-memory", "small"): _RECURRENT_MEMORY,
        ("copy-memory", "medium"): _MEMORY_MEDIUM,
        ("copy-memory", "full"): _MEMORY_FULL,
        ("adding-problem", "smoke"): replace(_SMOKE, steps=500, validate_every=250),
        ("adding-problem", "small"): _RECURRENT_MEMORY,
        ("adding-problem", "medium"): _MEMORY_MEDIUM,
        ("adding-problem", "full"): replace(_MEMORY_FULL, learning_rate=2e-3),
        ("hidden-markov", "smoke"): replace(_SMOKE, k_train=32),
        ("hidden-markov", "small"): replace(
            _RECURRENT_MEMORY, steps=1500, k_train=64, learning_rate=4e-3, validate_every=150
        ),
        ("hidden-markov", "medium"): replace(
            _MEMORY_MEDIUM, steps=15_000, k_train=64, learning_rate=4e-3
        ),
        ("hidden-markov", "full"): Recipe(
            steps=20_000, batch=64, k_train=256, learning_rate=2e-3, options={"hidden": 128}
        ),
        **{
            (family, budget): recipe
            for family in ("associative-recall", "state-tracking", "selective-copy", "induction")
            for budget, recipe in _HOW_MUCH.items()
        },
        **{
            (family, budget): recipe
            for family in ("sequential-image", "permuted-image")
            for budget, recipe in _IMAGES.items()
        },
        **{
            (family, budget): recipe
            for family in ("speech", "audio")
            for budget, recipe in _SOUND.items()
        },
        # 255 inputs for 32 keys, every other one with a target: half as many sequences.
        ("associative-recall", "small"): replace(_HOW_MUCH["small"], batch=32),
        # 512 values in a sequence; each of them is a target.
        ("long-memory", "smoke"): replace(_SMOKE, k_train=64),
        ("long-memory", "small"): replace(
            _RECURRENT_MEMORY, steps=2000, batch=32, k_train=256, validate_every=200
        ),
        ("long-memory", "medium"): replace(_MEMORY_MEDIUM, steps=20_000, batch=32),
        ("long-memory", "full"): replace(_MEMORY_FULL, learning_rate=1e-3),
        ("wikitext-2", "smoke"): _WORDS_SMOKE,
        ("wikitext-2", "small"): _WORDS,
        ("wikitext-2", "medium"): _WORDS_MEDIUM,
        ("wikitext-2", "full"): _WORDS_FULL,
        # The readout dominates and is eight times as large, hence an eighth of the steps.
        ("wikitext-103", "smoke"): replace(_WORDS_SMOKE, steps=10, validate_every=10),
        ("wikitext-103", "small"): replace(
            _WORDS, steps=300, validate_every=100, validation_targets=8192
        ),
        ("wikitext-103", "medium"): _WORDS_MEDIUM,  # half an epoch
        # No published recipe of this size: that of WikiText-2 with Adam, for two epochs of 103
        # million words.
        ("wikitext-103", "full"): replace(
            _WORDS_FULL_ADAM,
            steps=92_000,
            batch=64,
            validate_every=4600,
            options={**_WORDS_FULL.options, "dropout": 0.2},
        ),
        # Whole sentences side by side, short ones padded to the longest.
        ("billion-word", "smoke"): replace(_WORDS_SMOKE, k_train="full"),
        ("billion-word", "small"): replace(
            _WORDS,
            steps=2000,
            batch=32,
            k_train="full",
            validate_every=500,
            validation_targets=16_384,
        ),
        ("billion-word", "medium"): replace(
            _WORDS_MEDIUM, steps=13_656, batch=32, k_train="full", validate_every=569
        ),
        # seqmem's slice of the corpus is small: 40 epochs as on WikiText-2.
        ("billion-word", "full"): replace(
            _WORDS_FULL_ADAM, steps=36_400, k_train="full", validate_every=910
        ),
        # Pairs side by side, like sentences. Half of the inputs would be padding if pairs of any
        # length were, and most of an LSTM's time would go into scores of 18,146 classes.
        ("translation", "smoke"): replace(_WORDS_SMOKE, k_train="full"),
        ("translation", "small"): replace(
            _WORDS,
            steps=3600,
            batch=32,
            k_train="full",
            validate_every=450,
            validation_targets=1 << 17,
            classes=2048,
            pool=50,
        ),
        ("translation", "medium"): replace(
            _WORDS_MEDIUM,
            steps=18_000,
            batch=32,
            k_train="full",
            validate_every=900,
            pool=50,
        ),
        ("translation", "full"): replace(
            _WORDS_FULL_ADAM, steps=36_000, batch=32, k_train="full", validate_every=900, pool=50
        ),
        ("text", "smoke"): _WORDS_SMOKE,
        ("text", "small"): _WORDS,
        ("text", "medium"): _WORDS_MEDIUM,
        ("text", "full"): _WORDS_FULL,
        # Usually characters, of which a context has to be longer.
        ("python-stdlib", "smoke"): replace(_WORDS_SMOKE, k_train=32),
        ("python-stdlib", "small"): replace(_WORDS, k_train=100),
        ("python-stdlib", "medium"): replace(_WORDS_MEDIUM, k_train=100),
        ("python-stdlib", "full"): replace(_WORDS_FULL_ADAM, k_train=100),
        ("music", "smoke"): replace(
            _SMOKE, batch=8, k_train=64, learning_rate=1e-2, options={"hidden": 64}
        ),
        ("music", "small"): Recipe(
            steps=6000,
            batch=8,
            # Most chorales in one segment; the far longer pieces of the other sets in several.
            k_train=128,
            learning_rate=5e-3,
            # JSB overfits within minutes: its training ends by patience, not by the budget.
            validate_every=200,
            patience=5,
            validation_targets=1 << 17,  # all: a model with state reads the whole split anyway
            options={"hidden": 200, "dropout": 0.3},
        ),
        ("music", "medium"): Recipe(
            steps=30_000,
            batch=8,
            k_train=128,
            learning_rate=1e-3,
            schedule="plateau",
            validate_every=500,
            patience=10,
            validation_targets=1 << 17,
            options={"hidden": 200, "layers": 2, "dropout": 0.3},
        ),
        # Bai et al. 2018 and their code: Adam at 1e-3, batch 1, 100 epochs (of Nottingham's 694
        # pieces; the smaller sets stop by patience), a rate that falls when validation does not
        # improve; sizes of their LSTM for JSB.
        ("music", "full"): Recipe(
            steps=69_400,
            batch=1,
            k_train="full",
            learning_rate=1e-3,
            schedule="plateau",
            validate_every=694,
            patience=10,
            validation_targets=1 << 17,
            options={"hidden": 200, "layers": 2, "dropout": 0.2},
        ),
    }
)


def recipe_for(family: str, budget: str) -> Recipe:
    """Return the recipe of a task family and a budget."""
    return _RECIPES[family, budget]
