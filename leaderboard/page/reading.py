"""The page's introduction and glossary, for readers who have never seen the project."""

from collections.abc import Iterable, Mapping
from html import escape

from seqmem.leaderboard.charts.styles import model_of

__all__ = ["INTRODUCTION", "reading"]

# What the page is about, in a few words.
INTRODUCTION = """<p class="lead">How much memory does a sequence task need, and which model uses it
best? A model reads a sequence and predicts. Here it gets only the <strong>k most recent
inputs</strong>, and is scored for each k. Lower scores are better. A task needs as much memory as
it takes until more inputs no longer help.</p>"""

TERMS = {
    "k, context length": "the number of most recent inputs that a prediction may depend on. The "
    "model gets no older ones. “full”: all inputs since the start.",
    "score": "the mean loss over a fixed set of targets, the same for every model and every k.",
    "chance": "the score of the best predictor without memory.",
    "optimum": "the best score that any predictor can reach with k inputs, where it is known.",
    "memory a task needs": "the smallest k measured with which the optimum is within 1 % of its "
    "best; where no optimum is known, the same of the best scores that any model here reaches "
    "with at most k inputs.",
    "k*(1 %), context need": "how much memory a model uses: the smallest k measured whose loss is "
    "within 1 % of its own full-context loss: of perplexity, else of the way from chance to the "
    "optimum. The 95 % interval is in brackets. A model that truncation makes worse than chance, "
    "on copying and adding above all, meets inputs unlike those of its training: its k* shows "
    "where that harm ends. One that gains less than 1 % over chance has none.",
    "tied": "their difference is not significant: at 5 % for all pairs of a task together (Holm), "
    "over targets, paired, and over trainings, whose variance is pooled over the task's models. "
    "Where every model was trained once, that variance is unknown, and no model is ranked.",
    "rank": "the possible ranks at full context (95 %), among all rows of the task that are better "
    "than chance, shown or not.",
    "k_train": "the context that a model was trained with.",
    "budget": "how long models were trained: “smoke” for seconds, a test of the program; “small” "
    "for minutes; “medium” for hours; “full” as published. More training may change every number.",
    "seeds": "the number of trainings; a score is their median.",
    "state": "the number of values that a model stores from its inputs, at the largest k measured.",
    "± and bands": "95 % confidence intervals over data of the same kind, not over trainings.",
    "trust": "“self-reported”: measured by its author; “rescored”: measured again by others; "
    "“published”: as printed in a paper, never ranked; “not checked”: measured before every record "
    "had to pass the validity gate.",
}


def reading(about: Mapping[str, str]) -> str:
    """Return explanations of the terms, and of the models.

    Args:
        about: what each model on the page is; "" if that is not known.
    """
    models: dict[str, str] = {}
    for label, what in about.items():
        if what:
            models.setdefault(model_of(label), what)
    listed = f"<h3>The models</h3>\n{_definitions(sorted(models.items()))}\n" if models else ""
    return f"""<section id="reading" aria-labelledby="reading-h">
<h2 id="reading-h">How to read this page</h2>
{_definitions(TERMS.items())}
{listed}</section>"""


def _definitions(pairs: Iterable[tuple[str, str]]) -> str:
    items = "\n".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in pairs
    )
    return f'<dl class="terms">\n{items}\n</dl>'
