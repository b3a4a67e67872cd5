"""The blog post's table of RNN and LSTM on WikiText-2, free and stable: printed, and measured."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from seqmem.docs.markup import table
from seqmem.leaderboard.published import Published
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.differences import Difference, difference
from seqmem.leaderboard.statistics.rows import usual_rows
from seqmem.leaderboard.tables.formatting import row_need
from seqmem.leaderboard.tables.wording import (
    ONE,
    TIED,
    difference_text,
    listed,
    shown,
    verdict,
)

__all__ = ["blog_sentence", "blog_table", "epochs", "most_pairs", "recipe_key", "tuned"]

TASK = "wikitext-2"
BLOG = "table of the BAIR blog, not the ICLR paper's"  # a source of published.toml
EPOCH = 2_088_600  # targets of one epoch
NO_BREAK = "\u00a0"  # a space at which no line breaks


@dataclass(frozen=True)
class Printed:
    """A row of the table.

    Attributes:
        label: of the model measured here.
        free: of the same model unconstrained; None for one that is.
        model: what the blog post calls it.
        weights: the set of its recurrent weights.
        paper: what the ICLR paper prints, from memory.
        name: in a sentence on what its constraint costs.
    """

    label: str
    free: str | None
    model: str
    weights: str
    paper: str
    name: str = ""


TABLE = (
    Printed("rnn", None, "RNN, unstable", "all", "146.7"),
    Printed("rnn-stable", "rnn", "RNN, stable", "‖W‖₂ ≤ 0.95", "143.5", "an RNN"),
    Printed("lstm", None, "LSTM, unstable", "all", "95.7"),
    Printed(
        "lstm-stable:forget_bias=free",
        "lstm",
        "LSTM, stable",
        "forget bias free",
        "113.2",
        "an LSTM with the constraints of the published code",
    ),
    Printed(
        "lstm-stable",
        "lstm",
        "LSTM, stable",
        "forget gate ≤ 0.6",
        "113.2",
        "an LSTM that provably forgets",
    ),
)
_LABELS = frozenset(line.label for line in TABLE)
NOTE = """The blog's column is of
[the post](https://bair.berkeley.edu/blog/2018/08/06/recurrent/), that of the paper (Miller & Hardt,
ICLR 2019) from memory: the paper was not read for it. Which of the two sets of LSTMs the printed
numbers are of is not known; the author's public code bounds the forget gate's inputs and leaves its
bias free, with which the gate may come close to 1 and the theorem does not apply. *Against free*:
the perplexity of the stable model relative to the unconstrained one, paired over articles, with a
95 % interval. The guaranteed k is proved from the weights, as `seqmem.baselines.certificate`
says."""


def most_pairs(boards: Sequence[Board]) -> Board | None:
    """Return the board with the most pairs of a stable and a free model, if any has one.

    Args:
        boards: of WikiText-2, one for each recipe; of equally many pairs the longest training wins.
    """

    def rank(board: Board) -> tuple[int, float]:
        return len(_pairs(board)), max(map(epochs, tuned(board, _LABELS).values()), default=0)

    found = [board for board in boards if board.task_id == TASK and rank(board)[0]]
    return max(found, key=rank, default=None)


def blog_sentence(board: Board) -> str:
    """Return what stability costs each kind of model."""
    pairs = _pairs(board)
    costs = listed(
        f"{difference_text(paired, board.records[0].task)} for {line.name}"
        for line, paired in pairs.items()
    )
    once = "" if all(paired.trainings for paired in pairs.values()) else f",{ONE}"
    return (
        f"**What stability costs in perplexity on WikiText-2: {costs}**{once}, relative to the "
        "same model unconstrained."
    )


def blog_table(board: Board, published: Sequence[Published]) -> str:
    """Return the table, with what its numbers are of."""
    rows, pairs = tuned(board, _LABELS), _pairs(board)
    cells: list[dict[str, object]] = []
    for line in TABLE:
        row = rows.get(line.label)
        blog = [
            entry.printed
            for entry in published
            if entry.task == TASK and BLOG in str(entry.source) and entry.model == line.model
        ]
        cells.append(
            {
                "model": line.label,
                "recurrent weights": line.weights,
                "blog": blog[0] if blog else "–",
                "paper (memory)": line.paper,
                "here": "–"
                if row is None
                else shown(row.scores["full"], spread=True).replace(" ", NO_BREAK),
                "against free": _against(board, rows, line, pairs.get(line)),
                "guaranteed k": _certified(row, "promised_k"),
                "k*(1 %)": "–" if row is None else row_need(row).replace(" ", NO_BREAK),
            }
        )
    trained = list(rows.values())
    seeds = sorted({len(row.records) for row in trained})
    tried = Counter(row.label for row in usual_rows(board) if row.label in rows)
    how = (
        f"Test perplexity of WikiText-2, whole vocabulary, full context. Here: {_set_up(trained)}, "
        f"{' to '.join(map(str, seeds[:: max(len(seeds) - 1, 1)]))} "
        f"training{'s' * (seeds[-1] > 1)} of each; ± is half the 95 % interval over articles."
    )
    if max(tried.values()) > 1:
        how += " Of several learning rates the one with the best validation loss is shown"
    else:
        how += " One learning rate of each was trained for so long"
    how += f": {_rates(rows)}."
    return "\n\n".join((how, table(cells), NOTE))


def recipe_key(record: Record) -> tuple[object, ...] | None:
    """Return what must be equal of two trainings to be compared: all but the learning rate."""
    recipe = record.training.get("recipe")
    if recipe is None:
        return None
    defaults = {"warmup": 0, "classes": None, "dtype": "float32"}
    names = ("steps", "batch", "optimizer", "schedule", "clip", *defaults)
    options = sorted((recipe.get("options") or {}).items())
    return (*(recipe.get(name, defaults.get(name)) for name in names), *options)


def tuned(board: Board, labels: Collection[str]) -> dict[str, Row]:
    """Return models by label, each with the learning rate that is best on validation."""
    found: dict[str, Row] = {}
    for row in usual_rows(board):
        if row.label in labels and "full" in row.scores:
            best = found.get(row.label)
            if best is None or _validation(row) < _validation(best):
                found[row.label] = row
    return found


def epochs(row: Row) -> float:
    """Return how many times a row was trained on every word, at most."""
    results = [record.training.get("result") or {} for record in row.records]
    return max(float(result.get("targets", 0)) for result in results) / EPOCH


def _pairs(board: Board) -> dict[Printed, Difference]:
    """Return what each stable model's loss is above that of the free one, with 95 % intervals.

    They include the variation between trainings where both have several; else they are of these
    weights.
    """
    rows = tuned(board, _LABELS)
    pairs = {}
    for line in TABLE:
        if line.free in rows and line.label in rows:
            row, free = rows[line.label], rows[line.free]
            paired = difference(board.rows, row, free, "full", alone=True)
            if paired is not None:
                pairs[line] = paired
    return pairs


def _against(
    board: Board, rows: Mapping[str, Row], line: Printed, paired: Difference | None
) -> str:
    """Return a stable model's perplexity relative to the free one's; lines break at the "("."""
    if paired is None or line.free is None:
        return "–"
    row, free = rows[line.label], rows[line.free]
    text = difference_text(paired, board.records[0].task).replace(" ", NO_BREAK)
    tied = verdict(board, paired, (row, "full"), (free, "full")).startswith(TIED)
    return text.replace(f"{NO_BREAK}(", " (") + ", tied" * tied


def _certified(row: Row | None, name: str) -> str:
    """Return the largest of the seeds' certified numbers; "–" if a model has none."""
    facts = [] if row is None else [record.model.get("certificate") or {} for record in row.records]
    values = [some[name] for some in facts if name in some]
    return f"{max(values):.4g}" if values and len(values) == len(facts) else "–"


def _validation(row: Row) -> float:
    """Return the mean over seeds of the best validation loss; infinity if it is not known."""
    results = [record.training.get("result") or {} for record in row.records]
    return fmean(float(result.get("best_validation", math.inf)) for result in results)


def _recipe(row: Row) -> Mapping[str, Any]:
    recipe: Mapping[str, Any] = row.records[0].training["recipe"]  # of every trained row
    return recipe


def _rates(rows: Mapping[str, Row]) -> str:
    """Return the learning rates with the models that have them: "0.002 (rnn), 0.004 (lstm)"."""
    models: dict[float, list[str]] = defaultdict(list)
    for label, row in rows.items():
        models[_recipe(row)["learning_rate"]].append(label)
    return ", ".join(f"{rate} ({', '.join(models[rate])})" for rate in sorted(models))


def _set_up(rows: Sequence[Row]) -> str:
    """Return how long networks of which size were trained: "2 × 200, tied, …, 8 epochs"."""
    options = _recipe(rows[0]).get("options") or {}
    parts = [f"{options.get('layers', 1)} × {options['hidden']}"] if "hidden" in options else []
    parts += ["tied"] * bool(options.get("tied")) + [f"dropout {options.get('dropout', 0)}"]
    lengths = sorted({f"{epochs(row):.3g}" for row in rows}, key=float)
    return f"{', '.join(parts)}, {' to '.join(lengths[:: max(len(lengths) - 1, 1)])} epochs"
