"""The five findings: a sentence each, with the comparisons that its chart draws.

Differences are shares of a task's gain, so that tasks compare. Whether one model is better is
decided as on the boards (`wording.verdict`); between "better" and "worse" everything is "tied", and
nothing is said of two models that learned nothing. The best of several models is chosen on the test
set that it is scored on.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from seqmem.docs.forest import Comparison
from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.statistics.aggregate import Board, Row, better_than_chance
from seqmem.leaderboard.statistics.answers import CLOSE
from seqmem.leaderboard.statistics.context_need import ContextNeed, context_need, optimum_need
from seqmem.leaderboard.statistics.differences import Difference, difference
from seqmem.leaderboard.statistics.envelope import Best, envelope, envelope_need
from seqmem.leaderboard.statistics.rows import (
    Kind,
    kind,
    loss,
    named_rows,
    stable_pairs,
    usual_rows,
)
from seqmem.leaderboard.tables.formatting import need
from seqmem.leaderboard.tables.wording import (
    ONE,
    TIED,
    contexts,
    count,
    difference_text,
    listed,
    shown,
    verdict,
)

__all__ = [
    "MARGIN",
    "Finding",
    "amount",
    "by_gain",
    "compare",
    "gain",
    "kinds",
    "known_optimum",
    "place",
    "replaced",
    "sides",
    "stable",
    "trained_at",
    "words",
]

MARGIN = 0.05  # of the gain: what it may cost to replace a model
CUT = 32  # words to which the LSTM is truncated
FEW = 2  # tasks that are named
WORDS = ("better", "worse", TIED)

Place = tuple[Row, Context]  # a row at a k


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        text: the sentence.
        boards: what it is computed from.
        chart: the name of its chart.
        title: of the chart.
        rows: what the chart draws; empty for another kind of chart.
        records: the very records, if they are few.
    """

    text: str
    boards: tuple[Board, ...]
    chart: str
    title: str = ""
    rows: tuple[Comparison, ...] = ()
    records: tuple[Record, ...] = ()


def gain(board: Board) -> float:
    """Return chance minus the optimum, or where that is unknown minus the best loss here."""
    facts = board.records[0].task
    best = facts.optimum
    return facts.chance - (envelope(board)[-1].loss if best is None else best)


def by_gain(board: Board) -> Board:
    """Return the board with context needs for 99 % of the gain."""
    allowed = (1 - CLOSE) * gain(board)

    def scaled(row: Row) -> Row:
        needs = [context_need(record, allowed) for record in row.records]
        points = [record.point("full") for record in row.records]
        losses = [float("inf") if point is None else point.loss.mean for point in points]
        order = sorted(range(len(needs)), key=losses.__getitem__)
        return replace(row, need=needs[order[(len(order) - 1) // 2]], needs=tuple(needs))

    return replace(board, rows=tuple(map(scaled, board.rows)))


def compare(
    name: str, board: Board, first: Place, second: Place, *, alone: bool = False
) -> Comparison | None:
    """Return how the first differs from the second (`difference`); None if neither learned."""
    paired = difference(board.rows, first[0], second[0], first[1], second[1], alone=alone)
    word = "neither" if paired is None else verdict(board, paired, first, second)
    if paired is None or word.startswith("neither"):
        return None
    word = word.removesuffix(ONE)
    return _shares(name, board, paired, word if word in ("better", "worse") else TIED)


def _shares(name: str, board: Board, paired: Difference, word: str) -> Comparison | None:
    """Return a difference as shares of the gain; None if it has no interval."""
    if paired.low is None or paired.high is None:
        return None
    mean, low, high = (100 * loss / gain(board) for loss in (paired.mean, paired.low, paired.high))
    return Comparison(name, mean, low, high, word, not paired.trainings)


def amount(one: Comparison, of: str = "") -> str:
    """Return a difference in % of the gain, `of` after "%", and what its interval leaves out."""
    return one.text(f" %{of}") + _one(one)


def _one(one: Comparison) -> str:
    return " in one training each" if one.one else ""


def known_optimum(boards: Sequence[Board]) -> Finding | None:
    """Return what tasks with a known optimum need, and which models come near it."""
    known = [board for board in boards if board.records[0].task.optimum is not None]
    if not known:
        return None
    uses, alike, close = [], 0, defaultdict[str, int](int)
    for board in known:
        optimal = optimum_need(board.records[0], board.optimum, CLOSE)
        found = _best_need(board)
        same = found is not None and found.k == optimal is not None
        alike += same
        text = "no model learned it" if found is None else f"k = {need(found)}"
        uses.append(f"{text} on {board.task_id}{'' if same else f', optimum {optimal}'}")
        for name, row in named_rows(board).items():
            if kind(row) != "not trained by steps":
                close[name] += _reaches(board, row)
    groups: dict[int, list[str]] = defaultdict(list)
    for name in sorted(close):
        groups[close[name]].append(name)
    counts = [f"{listed(groups[n])} on {n or 'none'}" for n in sorted(groups, reverse=True)]
    text = (
        f"**Where the optimum is known, the best model here uses as many inputs as the optimal "
        f"predictor needs on {alike} of {count(len(known), 'task')}**, for {100 * CLOSE:.0f} % of "
        f"the possible gain: {'; '.join(uses)}. Within {100 * MARGIN:.0f} % of that gain come "
        f"{'; '.join(counts)}."
    )
    return Finding(text, tuple(known), "need.svg")


def _best_need(board: Board) -> ContextNeed | None:
    """Return how many inputs the best model needs; None if none is better than chance."""
    last = envelope(board)[-1]
    if not better_than_chance(last.row, last.at):
        return None
    return envelope_need(board, envelope(board), (1 - CLOSE) * gain(board))


def _reaches(board: Board, row: Row) -> bool:
    """Return whether the median seed comes within the margin of the optimum."""
    if "full" not in row.scores or not better_than_chance(row, "full"):
        return False
    return board.records[0].task.chance - loss(row, "full") >= (1 - MARGIN) * gain(board)


def words(boards: Sequence[Board]) -> Finding | None:
    """Return what the best-trained LSTM on a text uses.

    Args:
        boards: of that task, one for each budget, the longest training first.
    """
    best: dict[str, tuple[Board, Row]] = {}
    for board in boards:
        for row in usual_rows(board):  # the best first
            learned = row.need.state in ("reached", "beyond")
            if row.records[0].model["name"] == "lstm" and learned:
                best.setdefault(row.budget, (board, row))
    if not best:
        return None
    (board, row), *others = best.values()
    uses = [
        f"perplexity {shown(each.scores['full'])} and k = {need(each.need)} at budget {each.budget}"
        for _, each in others
    ]
    text = (
        f"**An LSTM at perplexity {shown(row.scores['full'])} uses k = {need(row.need)} words**: "
        f"with so many it is within {100 * (1 - CLOSE):.0f} % of the gain of its loss with all, on "
        f"{board.task_id} ({row.label}, "
        f"budget {row.budget}, {count(len(row.records), 'training')})"
    )
    cut = difference(board.rows, row, row, CUT, "full", alone=True)
    if cut is not None:
        cost = difference_text(cut, board.records[0].task)
        text += f"; cut to {CUT} words at inference, its perplexity changes by {cost}"
    text += f". With less training: {'; '.join(uses)}." if uses else "."
    steps = []
    for k in (k for k in row.scores if k != "full"):
        paired = difference(board.rows, row, row, k, "full", alone=True)
        if paired is not None:
            word = {-1: "better", 0: TIED, 1: "worse"}[paired.sign]
            steps.append(_shares(f"k = {k}", board, paired, word))
    title = f"LSTM on {board.task_id}, budget {row.budget}: the k latest words minus all"
    drawn = tuple(step for step in steps if step is not None)
    return Finding(text, (board,), "words.svg", title, drawn, row.records)


def sides(board: Board) -> tuple[dict[Context, Best], dict[Context, Best]]:
    """Return the best feed-forward and the best recurrent models with at most k inputs."""

    def bests(wanted: Kind) -> dict[Context, Best]:
        rows = [row for row in usual_rows(board) if kind(row) == wanted]
        return {best.k: best for best in envelope(board, rows)}

    return bests("feed-forward"), bests("recurrent")


def replaced(board: Board) -> ContextNeed | None:
    """Return how many inputs the best feed-forward model needs to replace the recurrent one.

    With them it is within the margin of the best recurrent model with everything.

    Returns:
        None if the task has not both, or the recurrent one learned nothing.
    """
    forward, recurrent = sides(board)
    if "full" not in forward or "full" not in recurrent:
        return None
    bests = list(forward.values())
    found = envelope_need(board, bests, MARGIN * gain(board), recurrent["full"])
    return None if found.state in ("chance", "small", "unknown") else found


def kinds(boards: Sequence[Board]) -> Finding | None:
    """Return where k inputs suffice for a feed-forward model to replace a recurrent one."""
    found, rows = [], []
    told: dict[str, list[str]] = {"enough": [], "never": [], "open": []}
    for board in boards:
        forward, recurrent = sides(board)
        if "full" not in forward or "full" not in recurrent:
            continue
        row = compare(board.task_id, board, place(forward["full"]), place(recurrent["full"]))
        if row is None:
            continue
        found.append(board)
        rows.append(row)
        k = replaced(board)
        if k is not None and k.high is None and k.low is None:
            told["never"].append(f"{board.task_id} up to k = {k.largest}{_one(row)}")
        elif k is not None:
            open_ = "open" if k.high is None else "enough"
            told[open_].append(f"{need(k)} on {board.task_id}{_one(row)}")
    if not rows:
        return None
    text = (
        "**A feed-forward model that sees only the k latest inputs loses at most "
        f"{100 * MARGIN:.0f} % of the gain to a recurrent one that sees everything on "
        f"{len(told['enough'])} of {count(sum(map(len, told.values())), 'task')}**, each the best "
        "of its kind here"
        + (f": with k = {'; '.join(told['enough'])}" if told["enough"] else "")
        + (f". It loses more on {'; '.join(told['never'])}" if told["never"] else "")
        + (f". Not settled: k = {'; '.join(told['open'])}" if told["open"] else "")
        + f". With all inputs, it is {_told(rows)}."
    )
    title = "The best feed-forward model minus the best recurrent one, full context"
    return Finding(text, tuple(found), "kinds.svg", title, tuple(rows))


def place(best: Best) -> Place:
    """Return the row and the k at which it is best."""
    return best.row, best.at


def _told(rows: Sequence[Comparison]) -> str:
    """Return on how many tasks the first is better, worse and tied, and by how much."""
    parts = []
    for word in WORDS:
        some = [row for row in rows if row.word == word]
        which = [f"{row.name}, {amount(row)}" for row in some if word != TIED]
        if some:
            parts.append(f"{word} on {len(some)}" + (f" ({'; '.join(which)})" if which else ""))
    return listed(parts)


def _tally(rows: Sequence[Comparison]) -> str:
    words = [row.word for row in rows]
    told = listed(f"{word} in {words.count(word)}" for word in WORDS if word in words)
    return f"{told} of {count(len(rows), 'comparison')}"


def stable(boards: Sequence[Board]) -> Finding | None:
    """Return how stable models compare with the same models unconstrained."""
    models: dict[str, list[tuple[Board, Comparison]]] = defaultdict(list)
    for board in boards:
        for one, free in stable_pairs(usual_rows(board)):
            name = f"{one.label} on {board.task_id}"
            row = compare(name, board, (one, "full"), (free, "full"))
            if row is not None:
                models[f"{one.label} against {free.label}"].append((board, row))
    if not models:
        return None
    parts = []
    for model, pairs in sorted(models.items()):
        told = []
        for word in WORDS:
            some = [board.task_id for board, row in pairs if row.word == word]
            named = f" ({listed(some)})" if 0 < len(some) <= FEW else ""
            told += [f"{word} on {len(some)}{named}"] if some else []
        board, most = max(pairs, key=lambda pair: abs(pair[1].mean))
        parts.append(f"{model}: {listed(told)}, most different on {board.task_id}, {amount(most)}")
    every = [pair for pairs in models.values() for pair in pairs]
    text = (
        f"**Stable models are {_tally([row for _, row in every])} with the same models "
        f"unconstrained**, where either learned the task. {'; '.join(parts)}."
    )
    found = tuple(board for board in boards if any(board is other for other, _ in every))
    title = "The stable model minus the same model unconstrained, full context"
    return Finding(text, found, "stable.svg", title, tuple(row for _, row in every))


def _trained_pairs(board: Board) -> dict[str, list[tuple[Row, Row, int]]]:
    """Return rows trained at k by model and state: the row, the usual one cut to k, and k."""
    usual = {(row.label, row.budget): row for row in usual_rows(board)}
    groups: dict[str, list[tuple[Row, Row, int]]] = defaultdict(list)
    for row in board.rows:
        cut, k = usual[row.label, row.budget], row.k_train
        if k == "full" or row is cut or (k == cut.k_train and row.state == cut.state):
            continue
        if k in row.scores and k in cut.scores:
            groups[row.label + (f" (state {row.state})" if row.state else "")].append((row, cut, k))
    return {name: sorted(some, key=lambda each: each[2]) for name, some in groups.items()}


def trained_at(boards: Sequence[Board]) -> Finding | None:
    """Return how models trained at k compare with the usual ones cut to k at inference."""
    told, drawn, found = [], [], []
    for board in boards:
        parts = []
        for name, some in sorted(_trained_pairs(board).items()):
            rows = [
                (k, one)
                for row, cut, k in some
                if (one := compare(f"{name}, k = {k}", board, (row, k), (cut, k))) is not None
            ]
            if not rows:
                continue
            at = {word: [k for k, one in rows if one.word == word] for word in WORDS}
            every = len({one.word for _, one in rows}) == 1
            words = listed(
                f"{word} at {'every k' if every else contexts(ks)}" for word, ks in at.items() if ks
            )
            k, most = max(rows, key=lambda row: abs(row[1].mean))
            parts.append(
                f"{name}{_other_differences(some)}: {words}, most different at k = {k}, "
                f"{amount(most)}"
            )
            drawn += [one for _, one in rows]
        if parts:
            told.append(f"On {board.task_id}, {'; '.join(parts)}")
            found.append(board)
    if not drawn:
        return None
    text = (
        f"**Training at k is {_tally(drawn)} with cutting to k at inference.** {'. '.join(told)}."
    )
    title = f"Trained at k minus cut to k, on {listed(board.task_id for board in found)}"
    return Finding(text, tuple(found), "trained.svg", title, tuple(drawn))


def _other_differences(trained: Sequence[tuple[Row, Row, int]]) -> str:
    """Return what else than k_train is different of models trained at k."""
    models = [(k, row.records[0].model.get("receptive_field") or {}) for row, _, k in trained]
    short = [str(field["declared"]) for k, field in models if (field.get("declared") or k) < k]
    notes = f" (layers that read only {listed(short)} inputs)" if short else ""
    targets = [(_targets(row), _targets(cut)) for row, cut, _ in trained]
    shares = [100 * own / usual for own, usual in targets if own and usual]
    if shares and set(shares) != {100.0}:
        notes += f" (on {min(shares):.3g} to {max(shares):.3g} % as many targets)"
    return notes


def _targets(row: Row) -> float | None:
    """Return the number of training targets, a mean over seeds; None if unknown of one."""
    results = [record.training.get("result") or {} for record in row.records]
    known = [result["targets"] for result in results if "targets" in result]
    return sum(known) / len(known) if len(known) == len(results) else None
