"""Sentences about one board, each by a rule from its numbers; what is not measured is not said.

A score is the median over seeds. The best of several models is chosen on the test set that it is
scored on. Differences are paired (`statistics.differences`); the verdict on their interval is one
of `wording.VERDICTS`.
"""

from collections import defaultdict
from collections.abc import Sequence

from seqmem.leaderboard.aggregate import Board, Row, Score, better_than_chance
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.rows import StablePair, kind, name_of, named_rows, stable_pairs, usual_rows
from seqmem.leaderboard.statistics.context_need import ContextNeed, optimum_need, tolerance
from seqmem.leaderboard.statistics.differences import Difference, difference
from seqmem.leaderboard.statistics.envelope import Best, envelope, envelope_need
from seqmem.leaderboard.tables.formatting import need, number, row_need
from seqmem.leaderboard.tables.wording import (
    NEITHER,
    VERDICTS,
    contexts,
    count,
    gap,
    listed,
    shown,
    verdict,
)

__all__ = ["MOST", "kinds", "most_gained", "needs", "pair_verdict", "stable", "trained_at", "uses"]

MOST = 0.9  # of what context gives


def needs(board: Board) -> list[str]:
    """Say how much context the task needs, as far as these models tell."""
    bests = envelope(board)
    if not bests or bests[-1].k != "full":
        return ["No model was scored with the full context."]
    if envelope_need(bests, 0.0).state == "chance":
        return [f"No model is better than chance, {number(board.chance)}.", *_optimum(board)]
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


def most_gained(board: Board, bests: Sequence[Best]) -> float:
    """Give the excess over an envelope's last loss at which MOST of its gain over chance is had."""
    return max((1 - MOST) * (board.records[0].task.chance - bests[-1].loss), 0.0)


def _enough(board: Board, bests: Sequence[Best]) -> list[str]:
    most = envelope_need(bests, most_gained(board, bests))
    close = envelope_need(bests, tolerance(board.records[0]))
    counted = " (counted in loss)" if board.records[0].task.score == "perplexity" else ""
    sentences = [
        f"{_suffices(most)} {100 * MOST:.0f} % of the gain over chance{counted}; "
        f"{_suffices(close)} the best score to within 1 %."
    ]
    ks: list[Context] = sorted({k for k in (most.k, close.k) if k is not None})
    return [*sentences, *_company(board, bests, [*ks, "full"])]


def _suffices(value: ContextNeed) -> str:
    if value.state == "reached":
        return f"k = {need(value)} gives"
    if value.state == "beyond":
        return f"no k measured, up to {value.largest}, gives"
    return "it is not known which k gives"


def _company(board: Board, bests: Sequence[Best], ks: Sequence[Context]) -> list[str]:
    """Say how many models come within 1 % of the best with at most k inputs."""
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
    counted = count(len(rows), "model")
    return [f"Of {counted}, within 1 % of the best with at most k inputs: {'; '.join(parts)}."]


def _optimum(board: Board) -> list[str]:
    """Say what any predictor could do, where that is known."""
    k = optimum_need(board.records[0], board.optimum, MOST)
    if k is None:
        return []
    facts, best = board.records[0].task, min((b.loss for b in envelope(board)), default=None)
    sentences = [
        f"The best possible predictor has {100 * MOST:.0f} % of its gain over chance with k = {k}, "
        "of the k measured."
    ]
    whole = facts.chance - board.optimum["full"]
    if best is not None and whole > 0:
        share = 100 * max((facts.chance - best) / whole, 0.0)
        sentences.append(f"The models reach {share:.3g} % of what it gains at full.")
    return sentences


def uses(board: Board) -> list[str]:
    """Say how much context each model uses, models of one context need together."""
    groups: dict[tuple[float, str], list[str]] = defaultdict(list)
    for name, row in named_rows(board).items():
        order = {"reached": float(row.need.k or 0), "beyond": 1e9, "chance": 2e9, "unknown": 3e9}
        state = "not known" if row.need.state == "unknown" else row_need(row)
        groups[order[row.need.state], state].append(name)
    parts = [f"{listed(some)}: {state}" for (_, state), some in sorted(groups.items())]
    return [f"Context need k*(1 %): {'; '.join(parts)}."] if parts else []


def stable(board: Board) -> list[str]:
    """Set each stable model beside the unconstrained one: full-context score and context need."""
    found = []
    for pair in stable_pairs(usual_rows(board)):
        gone = difference(pair.stable, pair.unconstrained, "full")
        if gone is None:
            continue
        says = pair_verdict(board, pair, gone)
        cells = pair.stable.scores["full"], pair.unconstrained.scores["full"]
        found.append(
            f"{pair.stable.label} and {pair.unconstrained.label}: at full "
            f"{_side_by_side(board, *cells, gone, says)}; context need "
            f"{row_need(pair.stable)} against {row_need(pair.unconstrained)}."
        )
    return found


def pair_verdict(board: Board, pair: StablePair, gone: Difference) -> str:
    """Say what a difference says of a pair, unless neither has learned anything: then that."""
    return _verdict_on(board, gone, (pair.stable, "full"), (pair.unconstrained, "full"))


def _side_by_side(board: Board, one: Score, two: Score, gone: Difference, says: str) -> str:
    """Write two scores, their difference, what is said of it, and what its interval is over."""
    scores = shown(one), shown(two)
    # Scores are medians; of few seeds a single one may turn the mean round.
    turned = scores[0] != scores[1] and gone.seeds > 1 and gone.mean * (one.value - two.value) < 0
    return (
        f"{' against '.join(scores)}, {gap(gone, board.records[0].task)}, {says} "
        f"({_basis(gone)}{', the other way round than the medians' if turned else ''})"
    )


def _basis(gone: Difference) -> str:
    """Name what a difference and its interval are over."""
    return f"mean of {gone.seeds} seeds" if gone.seeds > 1 else "one seed, over targets"


def kinds(board: Board) -> list[str]:
    """Compare the best recurrent with the best feed-forward model at equal k, trained as usual."""
    recurrent, forward = (
        {b.k: b for b in envelope(board, [r for r in usual_rows(board) if kind(r) == wanted])}
        for wanted in ("recurrent", "feed-forward")
    )
    both = [k for k in board.contexts if k in recurrent and k in forward]
    if not both:
        return []
    verdicts: dict[str, list[Context]] = defaultdict(list)
    for k in both:
        one, two = recurrent[k], forward[k]
        gone = difference(one.row, two.row, one.at, two.at)
        if gone is not None:
            says = _verdict_on(board, gone, (one.row, one.at), (two.row, two.at))
            verdicts[says].append(k)
    sentences = [
        "With at most k inputs, the best recurrent model is, set beside the best feed-forward "
        f"one: {_by_verdict(verdicts)}."
    ]
    if gone is not None:  # of the last k, the longest
        scores = _side_by_side(board, one.row.scores[one.at], two.row.scores[two.at], gone, says)
        names = f"{name_of(board, one.row)} and {name_of(board, two.row)}"
        sentences.append(f"With {contexts([both[-1]])}: {names}, {scores}.")
    return sentences


def _verdict_on(board: Board, gone: Difference, *sides: tuple[Row, Context]) -> str:
    """Say what a difference says, unless neither side is better than chance: then that."""
    if not any(better_than_chance(row, k) for row, k in sides):
        return NEITHER
    return verdict(gone, tolerance(board.records[0]))


def _by_verdict(verdicts: dict[str, list[Context]]) -> str:
    return "; ".join(
        f"{word} at {contexts(verdicts[word])}" for word in (*VERDICTS, NEITHER) if word in verdicts
    )


def trained_at(board: Board) -> list[str]:
    """Compare models trained with k_train = k with the usual one cut to k inputs at inference."""
    usual = {(row.label, row.budget): row for row in usual_rows(board)}
    groups: dict[tuple[str, str, str | None], dict[int, tuple[Row, Difference]]] = defaultdict(dict)
    for row in board.rows:
        cut = usual[row.label, row.budget]
        k = row.k_train
        if k == "full" or row is cut or (k == cut.k_train and row.state == cut.state):
            continue
        gone = difference(row, cut, k) if k in row.scores and k in cut.scores else None
        if gone is not None:
            groups[row.label, row.budget, row.state][k] = row, gone
    return [
        _trained_at(board, usual[label, budget], dict(sorted(gaps.items())))
        for (label, budget, _), gaps in groups.items()
    ]


def _trained_at(board: Board, cut: Row, gaps: dict[int, tuple[Row, Difference]]) -> str:
    """Say how one model fares that was trained at several k, and what else sets it apart."""
    verdicts: dict[str, list[Context]] = defaultdict(list)
    for k, (row, gone) in gaps.items():
        verdicts[_verdict_on(board, gone, (row, k), (cut, k))].append(k)
    most = max(gaps, key=lambda k: abs(gaps[k][1].mean))
    rows = [row for row, _ in gaps.values()]
    state = f" (state {rows[0].state})" if rows[0].state else ""
    notes = [*_fields(gaps), *_fewer_targets(rows, cut)]
    return (
        f"{cut.label}{state}, trained at k instead of cut to k: {_by_verdict(verdicts)}; the "
        f"largest difference, at {contexts([most])}, is "
        f"{gap(gaps[most][1], board.records[0].task)} ({_basis(gaps[most][1])})."
        + "".join(f" {note}." for note in notes)
    )


def _fields(gaps: dict[int, tuple[Row, Difference]]) -> list[str]:
    """Say how much of k models see that cannot see as much."""
    seen = {
        k: (row.records[0].model.get("receptive_field") or {}).get("declared")
        for k, (row, _) in gaps.items()
    }
    less = {k: field for k, field in seen.items() if field is not None and field < k}
    if not less:
        return []
    fields = listed(str(field) for field in less.values())
    return [f"Trained at {contexts(list(less))}, its layers make a receptive field of {fields}"]


def _fewer_targets(rows: Sequence[Row], cut: Row) -> list[str]:
    """Say how many targets were learned from, beside the usual training, where that differs."""
    usual = _targets(cut)
    known = [targets for row in rows if (targets := _targets(row))]
    if not usual or all(targets == usual for targets in known):
        return []
    shares = dict.fromkeys(f"{100 * targets / usual:.3g}" for targets in (min(known), max(known)))
    return [f"It learned from {' to '.join(shares)} % as many targets as the one that is cut"]


def _targets(row: Row) -> float | None:
    """Give the mean over seeds; None where one does not say."""
    results = [record.training.get("result") or {} for record in row.records]
    known = [result["targets"] for result in results if "targets" in result]
    return sum(known) / len(known) if len(known) == len(results) else None
