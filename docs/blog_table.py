"""The blog post's table of RNN and LSTM on WikiText-2, free and stable: printed, and measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from seqmem.docs.markup import table
from seqmem.leaderboard.published import Published
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.differences import Difference, difference
from seqmem.leaderboard.statistics.rows import stable_pairs, usual_rows
from seqmem.leaderboard.tables.formatting import row_need
from seqmem.leaderboard.tables.wording import ONE, count, difference_text, listed, shown, verdict

__all__ = ["blog_sentence", "blog_table", "most_pairs"]

TASK = "wikitext-2"
BLOG = "table of the BAIR blog, not the ICLR paper's"  # a source of published.toml
EPOCH = 2_088_600  # targets of one epoch


@dataclass(frozen=True)
class Printed:
    """A row of the table.

    Attributes:
        label: of the model measured here.
        model: what the blog post calls it.
        weights: the set of its recurrent weights.
        paper: what the ICLR paper prints, from memory; "–" if that is unknown.
    """

    label: str
    model: str
    weights: str
    paper: str


TABLE = (
    Printed("rnn", "RNN, unstable", "all", "146.7"),
    Printed("rnn-stable", "RNN, stable", "‖W‖₂ ≤ 0.95", "143.5"),
    Printed("lstm", "LSTM, unstable", "all", "95.7"),
    Printed(
        "lstm-stable:forget_bias=free",
        "LSTM, stable",
        "the experiment's: forget bias free",
        "113.2",
    ),
    Printed("lstm-stable", "LSTM, stable", "the theorem's: forget gate ≤ 0.6", "113.2"),
)
NOTE = """The blog's column is of
[the post](https://bair.berkeley.edu/blog/2018/08/06/recurrent/), that of the paper (Miller & Hardt,
ICLR 2019) from memory: the paper was not read for it. Which of the two sets of LSTMs the printed
numbers are of is not known; the author's public code bounds the forget gate's inputs and leaves its
bias free, with which the gate may come close to 1 and the theorem does not apply. *Against free*:
the perplexity of the stable model relative to the unconstrained one, paired over articles. λ and
the guaranteed k are proved from the weights (`seqmem.baselines.certificate`)."""
COSTS = {
    "rnn-stable": "a stable RNN costs",
    "lstm-stable:forget_bias=free": "an LSTM with the constraints of the published code",
    "lstm-stable": "an LSTM that provably forgets",
}


def most_pairs(boards: Sequence[Board]) -> Board | None:
    """Return the board of the budget with the most pairs of a stable and a free model.

    Args:
        boards: of WikiText-2, one for each budget; of equally many pairs the longest training wins.
    """

    def rank(board: Board) -> tuple[int, int]:
        return len(stable_pairs(usual_rows(board))), max(map(_targets, board.rows), default=0)

    found = [board for board in boards if board.task_id == TASK and rank(board)[0]]
    return max(found, key=rank, default=None)


def blog_sentence(board: Board) -> str:
    """Return what stability costs each kind of model."""
    rows = {row.label: row for row in usual_rows(board)}
    free = {one.label: other for one, other in stable_pairs(usual_rows(board))}
    costs = [
        f"{text} {difference_text(paired, board.records[0].task)}"
        for label, text in COSTS.items()
        if (paired := _paired(board, rows.get(label), free.get(label))) is not None
    ]
    return f"**On WikiText-2 {listed(costs)}**, relative to the same model unconstrained."


def blog_table(board: Board, published: Sequence[Published]) -> str:
    """Return the table, with what its numbers are of."""
    rows = {row.label: row for row in usual_rows(board)}
    free = {one.label: other for one, other in stable_pairs(usual_rows(board))}
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
                "against free": _against(board, row, free.get(line.label)),
                "λ": _certified(row, "rate"),
                "guaranteed k": _certified(row, "promised_k"),
                "k for 99 % of the gain": "–" if row is None else row_need(row),
            }
        )
    trained = [row for label, row in rows.items() if label in {line.label for line in TABLE}]
    epochs = max(map(_targets, trained)) / EPOCH
    seeds = max(len(row.records) for row in trained)
    how = (
        f"Test perplexity of WikiText-2, whole vocabulary, full context. Here: budget "
        f"{board.rows[0].budget} ({epochs:.3g} epochs), {_size(trained[0].records[0])}, "
        f"{count(seeds, 'training')} of each; ± is half the 95 % interval over articles."
    )
    return "\n\n".join((how, table(cells), NOTE))


def _paired(board: Board, row: Row | None, free: Row | None) -> Difference | None:
    if row is None or free is None:
        return None
    return difference(board.rows, row, free, "full", alone=len(free.records) == 1)


def _against(board: Board, row: Row | None, free: Row | None) -> str:
    """Return a stable model's perplexity relative to the free one's, in words."""
    paired = _paired(board, row, free)
    if paired is None or row is None or free is None:
        return "–"
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


def _size(record: Record) -> str:
    """Return the size of a recurrent network: "2 × 200, tied, dropout 0.3"."""
    options = record.training["recipe"]["options"]
    tied = ", tied" * bool(options.get("tied"))
    return f"{options.get('layers', 1)} × {options['hidden']}{tied}, dropout {options['dropout']}"
