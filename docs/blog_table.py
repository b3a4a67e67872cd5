"""The blog post's table of RNN and LSTM on WikiText-2, free and stable: printed, and measured."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from seqmem.docs.markup import table
from seqmem.leaderboard.published import Published
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.differences import Difference, difference
from seqmem.leaderboard.statistics.rows import usual_rows
from seqmem.leaderboard.tables.formatting import row_need
from seqmem.leaderboard.tables.wording import ONE, count, difference_text, listed, shown, verdict

__all__ = ["blog_sentence", "blog_table", "most_pairs", "without_rate"]

TASK = "wikitext-2"
BLOG = "table of the BAIR blog, not the ICLR paper's"  # a source of published.toml
EPOCH = 2_088_600  # targets of one epoch


@dataclass(frozen=True)
class Printed:
    """A row of the table.

    Attributes:
        label: of the model measured here.
        free: of the same model unconstrained; None for one that is.
        model: what the blog post calls it.
        weights: the set of its recurrent weights.
        paper: what the ICLR paper prints, from memory.
        cost: the beginning of a sentence on what the constraint costs.
    """

    label: str
    free: str | None
    model: str
    weights: str
    paper: str
    cost: str = ""


TABLE = (
    Printed("rnn", None, "RNN, unstable", "all", "146.7"),
    Printed("rnn-stable", "rnn", "RNN, stable", "‖W‖₂ ≤ 0.95", "143.5", "a stable RNN costs"),
    Printed("lstm", None, "LSTM, unstable", "all", "95.7"),
    Printed(
        "lstm-stable:forget_bias=free",
        "lstm",
        "LSTM, stable",
        "the experiment's: forget bias free",
        "113.2",
        "an LSTM with the constraints of the published code",
    ),
    Printed(
        "lstm-stable",
        "lstm",
        "LSTM, stable",
        "the theorem's: forget gate ≤ 0.6",
        "113.2",
        "an LSTM that provably forgets",
    ),
)
NOTE = """The blog's column is of
[the post](https://bair.berkeley.edu/blog/2018/08/06/recurrent/), that of the paper (Miller & Hardt,
ICLR 2019) from memory: the paper was not read for it. Which of the two sets of LSTMs the printed
numbers are of is not known; the author's public code bounds the forget gate's inputs and leaves its
bias free, with which the gate may come close to 1 and the theorem does not apply. *Against free*:
the perplexity of the stable model relative to the unconstrained one, paired over articles. λ and
the guaranteed k are proved from the weights (`seqmem.baselines.certificate`)."""


def most_pairs(boards: Sequence[Board]) -> Board | None:
    """Return the board with the most pairs of a stable and a free model, if any has one.

    Args:
        boards: of WikiText-2, one for each budget; of equally many pairs the longest training wins.
    """

    def rank(board: Board) -> tuple[int, int]:
        rows = _rows(board)
        return len(_pairs(board)), max(map(_targets, rows.values()), default=0)

    found = [board for board in boards if board.task_id == TASK and rank(board)[0]]
    return max(found, key=rank, default=None)


def blog_sentence(board: Board) -> str:
    """Return what stability costs each kind of model."""
    costs = [
        f"{line.cost} {difference_text(paired, board.records[0].task)}"
        for line, paired in _pairs(board).items()
    ]
    return f"**On WikiText-2 {listed(costs)}**, relative to the same model unconstrained."


def blog_table(board: Board, published: Sequence[Published]) -> str:
    """Return the table, with what its numbers are of."""
    rows, pairs = _rows(board), _pairs(board)
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
                "paper": line.paper,
                "here": "–" if row is None else shown(row.scores["full"], spread=True),
                "against free": _against(board, rows, line, pairs.get(line)),
                "λ": _certified(row, "rate"),
                "guaranteed k": _certified(row, "promised_k"),
                "k*(1 %)": "–" if row is None else row_need(row),
                "rate": "–" if row is None else row.records[0].training["recipe"]["learning_rate"],
            }
        )
    trained = list(rows.values())
    epochs, seeds = max(map(_targets, trained)) / EPOCH, max(len(row.records) for row in trained)
    how = (
        f"Test perplexity of WikiText-2, whole vocabulary, full context. Here: budget "
        f"{without_rate(trained[0].budget)} ({epochs:.3g} epochs), {_size(trained[0].records[0])}, "
        f"{count(seeds, 'training')} of each; ± is half the 95 % interval over articles. Of "
        "several learning rates (*rate*) the one with the best validation loss is shown."
    )
    return "\n\n".join((how, table(cells), NOTE))


def without_rate(budget: str) -> str:
    """Return the name of a budget without the learning rate that a user set."""
    return re.sub(r", learning_rate [^,]+", "", budget)


def _rows(board: Board) -> dict[str, Row]:
    """Return the models of the table by label, each with its best learning rate on validation."""
    labels = {line.label for line in TABLE}
    found: dict[str, Row] = {}
    for row in usual_rows(board):
        if row.label in labels and "full" in row.scores:
            best = found.get(row.label)
            if best is None or _validation(row) < _validation(best):
                found[row.label] = row
    return found


def _pairs(board: Board) -> dict[Printed, Difference]:
    """Return what each stable model's loss is above that of the free one."""
    rows = _rows(board)
    pairs = {}
    for line in TABLE:
        if line.free in rows and line.label in rows:
            row, free = rows[line.label], rows[line.free]
            alone = len(free.records) == 1
            paired = difference(board.rows, row, free, "full", alone=alone)
            if paired is not None:
                pairs[line] = paired
    return pairs


def _against(
    board: Board, rows: Mapping[str, Row], line: Printed, paired: Difference | None
) -> str:
    """Return a stable model's perplexity relative to the free one's, in words."""
    if paired is None or line.free is None:
        return "–"
    row, free = rows[line.label], rows[line.free]
    word = verdict(board, paired, (row, "full"), (free, "full")).removesuffix(ONE)
    return f"{difference_text(paired, board.records[0].task)}, {word}"


def _certified(row: Row | None, name: str) -> str:
    """Return the largest of the seeds' certified numbers; "–" if a model has none."""
    facts = [] if row is None else [record.model.get("certificate") or {} for record in row.records]
    values = [some[name] for some in facts if name in some]
    return f"{max(values):.4g}" if values and len(values) == len(facts) else "–"


def _targets(row: Row) -> int:
    """Return how many targets a row was trained on."""
    return max(int((r.training.get("result") or {}).get("targets", 0)) for r in row.records)


def _validation(row: Row) -> float:
    """Return the mean over seeds of the best validation loss; infinity if it is not known."""
    results = [record.training.get("result") or {} for record in row.records]
    return fmean(float(result.get("best_validation", math.inf)) for result in results)


def _size(record: Record) -> str:
    """Return the size of a recurrent network: "2 × 200, tied, dropout 0.3"."""
    options = record.training["recipe"]["options"]
    tied = ", tied" * bool(options.get("tied"))
    return f"{options.get('layers', 1)} × {options['hidden']}{tied}, dropout {options['dropout']}"
