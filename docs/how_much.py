"""How much models hold: the tasks of suite `memory`, and three differences known from papers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from seqmem.baselines import BASELINES
from seqmem.docs.committed import trainings
from seqmem.docs.markup import bullets, chart_name, details, table
from seqmem.docs.sentences import amount, compare
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.bits_held import bits_of_row, most_bits
from seqmem.leaderboard.statistics.rows import named_rows
from seqmem.leaderboard.statistics.sweep import STATE, sweeps
from seqmem.leaderboard.tables.formatting import number, rounded, state_floats, unit
from seqmem.leaderboard.tables.wording import bits_text, count, shown
from seqmem.tasks import SUITES, family_of

if TYPE_CHECKING:
    from seqmem.leaderboard.charts.theme import Spec

__all__ = ["how_much_charts", "how_much_parts", "is_memory"]

FAMILIES = tuple(dict.fromkeys(map(family_of, SUITES["memory"].tasks)))
RECALL = "associative-recall/keys=32,values=64,zipf=0"

INTRODUCTION = """Floats of a state say how much a model could hold; **bits held** are what it does
hold, a lower bound from its losses alone ([numbers](numbers.md)). All with the full context, budget
`{budget}`, {trainings}."""


@dataclass(frozen=True)
class Separation:
    """What a paper says that some models can learn and others cannot.

    Attributes:
        task: on which it is tried.
        claim: the paper's, as a clause.
        source: the paper.
        pair: one that can and one that cannot, the comparison that was planned, as labels.
        able: the models that can.
        unable: the models that cannot.
    """

    task: str
    claim: str
    source: str
    pair: tuple[str, str]
    able: Collection[str]
    unable: Collection[str]


SEPARATIONS = (
    Separation(
        task="selective-copy/T=64,data=8",
        claim="to copy selected inputs, what a state keeps must depend on the input",
        source="Gu & Dao 2023, arXiv 2312.00752",
        pair=("mamba", "lru"),
        able=("lstm", "gru", "mamba", "gla", "gated-deltanet", "mlstm", "min-gru", "min-lstm"),
        unable=("lru", "gla:gates=constant"),
    ),
    Separation(
        task="state-tracking/group=parity,reset=0.05",
        claim="a linear recurrence whose eigenvalues are all positive cannot track parity",
        source="Grazzi et al. 2025, arXiv 2411.12537",
        pair=("gated-deltanet:eigenvalues=signed", "gated-deltanet"),
        able=("rnn", "lstm", "gru", "gated-deltanet:eigenvalues=signed"),
        unable=("mamba", "gla", "gated-deltanet", "min-gru", "min-lstm"),
    ),
)


def is_memory(record: Record) -> bool:
    """Return whether a record is of a family of suite `memory`."""
    return family_of(record.task.id) in FAMILIES


def how_much_parts(found: Sequence[Board], folder: str) -> list[str]:
    """Return what the models hold: sentences, and a chart and a table for each family.

    Args:
        found: the boards of suite `memory`.
        folder: of the charts, as the page names it.
    """
    if not found:
        return []
    told = [recall(board) for board in found if board.task_id == RECALL]
    told += [
        separation(board, each)
        for each in SEPARATIONS
        for board in found
        if board.task_id == each.task
    ]
    parts = [
        "## How much",
        INTRODUCTION.format(budget=found[0].rows[0].budget, trainings=trainings(found)),
        bullets([sentence for sentence in told if sentence is not None]),
    ]
    for family in FAMILIES:
        some = [board for board in found if family_of(board.task_id) == family]
        if some:
            parts += [
                f"![{family}: scores and bits held against the size of the state]"
                f"({folder}/{family_chart(family)})",
                *[details(board.task_id, held_part(board, folder)) for board in some],
            ]
    return parts


def how_much_charts(found: Sequence[Board]) -> dict[str, "Spec"]:
    """Return a chart for each family by the name of its file."""
    from seqmem.leaderboard.charts.sweep import sweep_chart

    return {
        family_chart(family): sweep_chart(sweeps(some, STATE), BASELINES)
        for family in FAMILIES
        if (some := [board for board in found if family_of(board.task_id) == family])
    }


def family_chart(family: str) -> str:
    return f"how-much-{family}.svg"


def recall(board: Board) -> str | None:
    """Return whether recall grows with the size of an LSTM's state, and what attention holds."""
    rows = named_rows(board).values()
    by_state = sorted(
        (
            (floats, held, row)
            for row in rows
            if row.records[0].model["name"] == "lstm"
            and (floats := state_floats(row))
            and (held := bits_of_row(row)) is not None
        ),
        key=lambda each: each[0],
    )
    attention = [row for row in rows if row.label == "transformer"]
    if len(by_state) < 2 or not attention:
        return None
    apart = [  # a larger state holds more, beyond both intervals
        floats < larger and held.value + (held.half or 0.0) < more.value - (more.half or 0.0)
        for (floats, held, _), (larger, more, _) in pairwise(by_state)
    ]
    grows = "grows with" if all(apart) else "does not always grow with"
    steps = ", ".join(f"{_held(row)} with {floats:,}" for floats, _, row in by_state)
    most = most_bits(board.records[0].task)
    return (
        f"**What a recurrent network recalls {grows} the size of its state, and attention recalls "
        f"{_held(attention[0])} bits of the {rounded([most or 0.0], None)[0]} that the optimum "
        f"holds** (Arora et al. 2024, arXiv 2402.18668): an LSTM holds {steps} floats on "
        f"{board.task_id}."
    )


def separation(board: Board, said: Separation) -> str | None:
    """Return whether a model that can is better than one that cannot, and how many others are.

    The pair was chosen before, so that its difference is not corrected for other pairs; the others
    are compared with the best of those that cannot, as the board ranks them.
    """
    rows = {row.label: row for row in _rows(board, said.pair)}
    if len(rows) < 2:
        return None
    able, unable = (rows[label] for label in said.pair)
    found = compare(board.task_id, board, (able, "full"), (unable, "full"), alone=True)
    if found is None:
        return (
            f"**{_first(said.claim)}** ({said.source}): not seen; neither learned {board.task_id}, "
            "or no interval of the difference is known."
        )
    holds = {
        "better": "So it is here",
        "tied": "It does not show here",
        "worse": "Here it is the other way round",
    }
    return (
        f"**{_first(said.claim)}** ({said.source}). {holds[found.word]}: on {board.task_id} "
        f"{able.label} holds {_held(able)} bits and {unable.label} {_held(unable)}; the loss "
        f"differs by {amount(found, ' of the gain')}.{_others(board, said)}"
    )


def _others(board: Board, said: Separation) -> str:
    """Return how many of the other models that can are better than the best that cannot."""
    best = min(_rows(board, said.unable), key=_full)
    others = [row for row in _rows(board, said.able) if row.label not in said.pair]
    words = [
        found.word
        for row in others
        if (found := compare(board.task_id, board, (row, "full"), (best, "full"))) is not None
    ]
    if not words:
        return ""
    better = words.count("better")
    return (
        f" Of the {count(len(words), 'other model')} that can, {better or 'none'} "
        f"{'are' if better > 1 else 'is'} better than {best.label}, the best of those that cannot, "
        "with the board's correction for all pairs."
    )


def _rows(board: Board, labels: Collection[str]) -> list[Row]:
    rows = named_rows(board).values()
    return [row for row in rows if row.label in labels and "full" in row.scores]


def _full(row: Row) -> float:
    return row.scores["full"].value


def _first(text: str) -> str:
    return text[0].upper() + text[1:]


def _held(row: Row) -> str:
    return bits_text(bits_of_row(row)) or "an unknown number of"


def held_part(board: Board, folder: str) -> list[str]:
    """Return a task's curves, and a table of its models: size of the state, score, bits."""
    facts = board.records[0].task
    rows: list[dict[str, object]] = []
    for name, row in named_rows(board).items():
        if "full" not in row.scores:
            continue
        floats = state_floats(row)
        bits = {
            "bits held": bits_text(bits_of_row(row)),
            "bits/float": bits_text(bits_of_row(row, per_float=True)),
        }
        rows.append(
            {
                "model": name,
                "seeds": len(row.records),
                "parameters": f"{row.records[0].model['parameters']:,}",
                "state, floats": "–" if floats is None else f"{floats:,}",
                "score": shown(row.scores["full"], spread=True),
                **(
                    {key: value or "–" for key, value in bits.items()} if facts.held_symbols else {}
                ),
            }
        )
    optimum = "unknown" if facts.optimum is None else number(board.optimum.get("full", 0.0))
    most = most_bits(facts)
    held = "" if most is None else f"; the optimum holds {rounded([most], None)[0]} bits"
    head = f"{_first(unit(facts))}; chance {number(board.chance)}, optimum {optimum}{held}."
    curves = f"![{board.task_id}: score against context length k]({folder}/{chart_name(board)})"
    return [head, curves, table(rows)]
