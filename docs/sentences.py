"""Sentences about one board, each computed from its numbers; nothing is said of missing ones.

A score is the median over seeds. The best of several models is chosen on the test set that it is
scored on. Differences are paired (`statistics.differences`); the verdict on their interval is one
of `wording.VERDICTS`.
"""

from collections import defaultdict
from collections.abc import Sequence

from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.context_need import ContextNeed, optimum_need, tolerance
from seqmem.leaderboard.statistics.differences import Difference, difference
from seqmem.leaderboard.statistics.envelope import Best, envelope, envelope_need
from seqmem.leaderboard.statistics.rows import kind, name_of, named_rows, stable_pairs, usual_rows
from seqmem.leaderboard.tables.formatting import need, number, row_need
from seqmem.leaderboard.tables.truncation import truncation_note
from seqmem.leaderboard.tables.wording import (
    VERDICTS,
    contexts,
    count,
    difference_text,
    listed,
    seeds_text,
    shown,
    verdict,
)

__all__ = ["MOST", "kinds", "most_need", "needs", "stable", "trained_at", "uses"]

MOST = 0.9  # of the gain over chance

Place = tuple[Row, Context]  # a row at a k


def needs(board: Board) -> list[str]:
    """Return sentences on how much context the task needs, as far as these models show."""
    bests = envelope(board)
    if not bests or bests[-1].k != "full":
        return ["No model was scored with the full context."]
    if bests[-1].row.need.state == "chance":
        return [f"No model is better than chance, {number(board.chance)}.", *_optimum(board)]
    if bests[-1].row.need.state == "small":
        least = f"No model gains 1 % over chance, {number(board.chance)}."
        return [least, *_optimum(board)]
    first, last = bests[0], bests[-1]
    best = shown(last.row.scores[last.at])
    at = "" if last.at == "full" else f" at k = {last.at}"
    sentences = [
        f"The best score is {best} ({name_of(board, last.row)}{at}); "
        f"chance is {number(board.chance)}."
    ]
    if len(bests) > 1:
        least = shown(first.row.scores[first.at])
        where = contexts([first.k])
        which = name_of(board, first.row)
        sentences.append(f"With {where}, no model is better than {least} ({which}).")
        sentences += _enough(board, bests)
    return [*sentences, *_optimum(board)]


def most_need(board: Board, bests: Sequence[Best]) -> ContextNeed:
    """Return how many inputs suffice for MOST of the envelope's gain over chance."""
    allowed = (1 - MOST) * (board.records[0].task.chance - bests[-1].loss)
    return envelope_need(board, bests, max(allowed, 0.0))


def _enough(board: Board, bests: Sequence[Best]) -> list[str]:
    most = most_need(board, bests)
    close = envelope_need(board, bests, tolerance(board.records[0]))
    measure = " (in loss)" if board.records[0].task.score == "perplexity" else ""
    sentences = [
        f"{_suffices(most)} {100 * MOST:.0f} % of the gain over chance{measure}; "
        f"{_suffices(close)} the best score to within 1 %."
    ]
    ks: list[Context] = sorted({k for k in (most.k, close.k) if k is not None})
    return [*sentences, *_close_models(board, bests, [*ks, "full"])]


def _suffices(value: ContextNeed) -> str:
    if value.state == "reached":
        return f"k = {need(value)} reaches"
    if value.state == "beyond":
        return f"no measured k, up to {value.largest}, reaches"
    return "it is not known which k reaches"


def _close_models(board: Board, bests: Sequence[Best], ks: Sequence[Context]) -> list[str]:
    """Return how many models come within 1 % of the best with at most k inputs."""
    rows = named_rows(board)
    if len(rows) == 1:
        return []
    allowed, parts = tolerance(board.records[0]), []
    for k in ks:
        (best,) = (best for best in bests if best.k == k)
        close = []
        for name, row in rows.items():
            own = [at for at in envelope(board, [row]) if at.k == k]
            if own and own[0].loss - best.loss <= allowed:
                close.append(name)
        some = f" ({listed(close)})" if close else ""
        parts.append(f"{len(close)} at {contexts([k])}{some}")
    models = count(len(rows), "model")
    return [f"Of {models}, within 1 % of the best with at most k inputs: {'; '.join(parts)}."]


def _optimum(board: Board) -> list[str]:
    """Return what any predictor could reach, if that is known."""
    k = optimum_need(board.records[0], board.optimum, MOST)
    if k is None:
        return []
    facts, best = board.records[0].task, min((b.loss for b in envelope(board)), default=None)
    sentences = [
        f"The optimal predictor has {100 * MOST:.0f} % of its gain over chance with k = {k}, of "
        "the measured k."
    ]
    whole = facts.chance - board.optimum["full"]
    if best is not None and whole > 0:
        share = 100 * max((facts.chance - best) / whole, 0.0)
        sentences.append(f"The models reach {share:.3g} % of its gain at full.")
    return sentences


def uses(board: Board) -> list[str]:
    """Return how much context each model uses; models with the same context need together."""
    groups: dict[tuple[float, str], list[str]] = defaultdict(list)
    for name, row in named_rows(board).items():
        order = {"reached": float(row.need.k or 0), "beyond": 1e9, "small": 2e9, "chance": 3e9}
        state = "not known" if row.need.state == "unknown" else row_need(row)
        groups[order.get(row.need.state, 4e9), state].append(name)
    parts = [f"{listed(some)}: {state}" for (_, state), some in sorted(groups.items())]
    told = [f"Context need k*(1 %): {'; '.join(parts)}."] if parts else []
    return told + ([note] if (note := truncation_note(board)) else [])


def stable(board: Board) -> list[str]:
    """Return a sentence on each stable model and the same model unconstrained."""
    found = []
    for stable, unconstrained in stable_pairs(usual_rows(board)):
        sides: list[Place] = [(stable, "full"), (unconstrained, "full")]
        paired = difference(board.rows, stable, unconstrained, "full")
        if paired is not None:
            found.append(
                f"{stable.label} and {unconstrained.label}: at full "
                f"{_compared(board, paired, *sides)}; context need "
                f"{row_need(stable)} against {row_need(unconstrained)}."
            )
    return found


def _compared(board: Board, paired: Difference, *sides: Place) -> str:
    """Return two scores, their difference, the verdict, and what its interval is over."""
    scores = [shown(row.scores[k]) for row, k in sides]
    # Scores are medians; with few seeds one of them may change the sign of the mean.
    opposite = scores[0] != scores[1] and paired.mean * paired.medians < 0
    return (
        f"{' against '.join(scores)}, {difference_text(paired, board.records[0].task)}, "
        f"{verdict(board, paired, *sides)} "
        f"({_basis(paired)}{', opposite in sign to that of the medians' if opposite else ''})"
    )


def _basis(paired: Difference) -> str:
    """Return what a difference and its interval are over."""
    if not paired.trainings:
        return "one seed each, over targets"
    if paired.seeds == (1, 1):
        return "one seed"
    one, two = paired.seeds
    return f"mean{'' if one == two else 's'} of {seeds_text(paired)} seeds"


def kinds(board: Board) -> list[str]:
    """Return how the best recurrent and feed-forward models compare at equal k."""
    recurrent, forward = (
        {b.k: b for b in envelope(board, [r for r in usual_rows(board) if kind(r) == wanted])}
        for wanted in ("recurrent", "feed-forward")
    )
    both = [k for k in board.contexts if k in recurrent and k in forward]
    if not both:
        return []
    verdicts: dict[str, list[Context]] = defaultdict(list)
    for k in both:
        one, two = ((best.row, best.at) for best in (recurrent[k], forward[k]))
        paired = difference(board.rows, one[0], two[0], one[1], two[1])
        if paired is not None:
            verdicts[verdict(board, paired, one, two)].append(k)
    sentences = [
        "With at most k inputs, the best recurrent model compared with the best feed-forward "
        f"model is: {_by_verdict(verdicts)}."
    ]
    if paired is not None:  # of the last k, the longest
        names = f"{name_of(board, one[0])} and {name_of(board, two[0])}"
        scores = _compared(board, paired, one, two)
        sentences.append(f"With {contexts([both[-1]])}: {names}, {scores}.")
    return sentences


def _by_verdict(verdicts: dict[str, list[Context]]) -> str:
    return "; ".join(
        f"{word} at {contexts(verdicts[word])}" for word in VERDICTS if word in verdicts
    )


def trained_at(board: Board) -> list[str]:
    """Return how models trained with k_train = k compare with the usual one truncated to k."""
    usual = {(row.label, row.budget): row for row in usual_rows(board)}
    groups: dict[tuple[str, str, str | None], dict[int, tuple[Row, Difference]]] = defaultdict(dict)
    for row in board.rows:
        cut = usual[row.label, row.budget]
        k = row.k_train
        if k == "full" or row is cut or (k == cut.k_train and row.state == cut.state):
            continue
        paired = difference(board.rows, row, cut, k)
        if paired is not None:
            groups[row.label, row.budget, row.state][k] = row, paired
    return [
        _trained_at(board, usual[label, budget], dict(sorted(at_k.items())))
        for (label, budget, _), at_k in groups.items()
    ]


def _trained_at(board: Board, cut: Row, at_k: dict[int, tuple[Row, Difference]]) -> str:
    """Return how one model fares that was trained at several k, and what else is different."""
    verdicts: dict[str, list[Context]] = defaultdict(list)
    for k, (row, paired) in at_k.items():
        verdicts[verdict(board, paired, (row, k), (cut, k))].append(k)
    most = max(at_k, key=lambda k: abs(at_k[k][1].mean))
    rows = [row for row, _ in at_k.values()]
    state = f" (state {rows[0].state})" if rows[0].state else ""
    notes = [*_fields(at_k), *_fewer_targets(rows, cut)]
    return (
        f"{cut.label}{state}, trained at k instead of truncated to k: {_by_verdict(verdicts)}; the "
        f"largest difference, at {contexts([most])}, is "
        f"{difference_text(at_k[most][1], board.records[0].task)} ({_basis(at_k[most][1])})."
        + "".join(f" {note}." for note in notes)
    )


def _fields(at_k: dict[int, tuple[Row, Difference]]) -> list[str]:
    """Return the receptive fields of models that are shorter than k."""
    fields = {
        k: (row.records[0].model.get("receptive_field") or {}).get("declared")
        for k, (row, _) in at_k.items()
    }
    less = {k: field for k, field in fields.items() if field is not None and field < k}
    if not less:
        return []
    some = listed(str(field) for field in less.values())
    return [f"Trained at {contexts(list(less))}, its layers have a receptive field of {some}"]


def _fewer_targets(rows: Sequence[Row], cut: Row) -> list[str]:
    """Return the share of the usual training's targets, if that is different."""
    usual = _targets(cut)
    known = [targets for row in rows if (targets := _targets(row))]
    if not usual or all(targets == usual for targets in known):
        return []
    shares = dict.fromkeys(f"{100 * targets / usual:.3g}" for targets in (min(known), max(known)))
    return [f"It was trained on {' to '.join(shares)} % as many targets as the truncated one"]


def _targets(row: Row) -> float | None:
    """Return the number of training targets, a mean over seeds; None if unknown of one."""
    results = [record.training.get("result") or {} for record in row.records]
    known = [result["targets"] for result in results if "targets" in result]
    return sum(known) / len(known) if len(known) == len(results) else None
