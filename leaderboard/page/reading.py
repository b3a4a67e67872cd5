"""What a page says of its own words: for readers who have never seen the project."""

from collections.abc import Iterable, Mapping
from html import escape

__all__ = ["introduction", "reading"]

TERMS = (
    (
        "k, context length",
        "how many of the most recent inputs a prediction may depend on. Nothing older reaches the "
        "model. “full”: everything since the start.",
    ),
    ("score", "the mean loss over one fixed set of targets, the same for every model and every k."),
    ("chance", "the score of the best predictor that remembers nothing."),
    ("optimum", "the best score that any predictor can reach with k inputs, where it is known."),
    (
        "memory a task needs",
        "the smallest k measured with which the optimum is within 1 % of its best; where no optimum"
        " is known, the same of the best scores that any model here reaches with at most k inputs.",
    ),
    (
        "k*(1 %), context need",
        "how much memory a model uses: the smallest k measured whose loss is within 1 % of its own "
        "full-context loss: of perplexity, else of the way from chance to the optimum. Brackets "
        "hold what the interval allows.",
    ),
    (
        "not told apart",
        "the difference of the two, paired on the same targets, may be chance: 95 % confidence for "
        "all pairs of a task together (Holm). Between models with one seed, how training varies is "
        "not counted.",
    ),
    (
        "rank",
        "the places with the full context that these differences leave open, among all rows of the "
        "task, shown or not.",
    ),
    ("k_train", "the context that a model was trained with."),
    (
        "budget",
        "how long models were trained: “smoke” for seconds, only to try the program out; “small” "
        "for minutes; “full” as published. More training may change every number.",
    ),
    ("seeds", "how many trainings stand behind a score, which is their median."),
    ("state", "how many numbers a model keeps from its inputs, at the largest k measured."),
    (
        "± and bands",
        "95 % intervals over data of the same kind, not over trainings.",
    ),
    (
        "trust",
        "“self-reported”: measured by whoever sent it; “rescored”: measured again by others; "
        "“published”: as a paper prints it, never ranked.",
    ),
)


def introduction() -> str:
    """Say in a few words what the page is about."""
    return """<p class="lead">How much memory does a sequence task need, and which model makes the
most of it? A model reads a sequence and predicts. Here it may see only the <strong>k most recent
inputs</strong>, and is scored for each k. Lower scores are better. A task needs as much memory as
it takes until more inputs no longer help.</p>"""


def reading(about: Mapping[str, str]) -> str:
    """Explain the words, and the models.

    Args:
        about: what each model on the page is; "" for those that are not among the baselines.
    """
    models: dict[str, str] = {}
    for label, what in about.items():
        if what:
            models.setdefault(label.partition(":")[0], what)
    parts = [
        '<section id="reading" aria-labelledby="reading-h">',
        '<h2 id="reading-h">How to read this page</h2>',
        _definitions(TERMS),
    ]
    if models:
        parts += ["<h3>The models</h3>", _definitions(sorted(models.items()))]
    return "\n".join([*parts, "</section>"])


def _definitions(pairs: Iterable[tuple[str, str]]) -> str:
    items = "\n".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in pairs
    )
    return f'<dl class="terms">\n{items}\n</dl>'
