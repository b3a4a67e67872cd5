"""The laws of curves as tables and sentences."""

import math

from seqmem.leaderboard import Format
from seqmem.leaderboard.statistics.law_fit import Fit
from seqmem.leaderboard.statistics.law_verdict import NEAR, REJECTED
from seqmem.leaderboard.tables.formatting import rounded
from seqmem.leaderboard.tables.writing import paragraph, table
from seqmem.measuring.exponent import SHORT, CurveLaw, Exponents
from seqmem.tasks.correlations import Correlations

__all__ = ["corpus_sentence", "exponent_rows", "exponents_text", "sentence"]


def exponents_text(found: Exponents, form: Format) -> str:
    """Return a table of the fitted laws, and a sentence for each curve and the corpus.

    Args:
        found: at least a curve or a corpus.
        form: with csv and json there are rows with every digit, and no sentences.
    """
    if form in ("csv", "json"):
        return table(exponent_rows(found), form)
    parts = []
    if found.curves:
        parts.append(table([row for curve in found.curves for row in _rows(curve)], form, _LEFT))
    parts += [paragraph(sentence(curve), form) for curve in found.curves]
    if found.corpus is not None:
        parts.append(paragraph(corpus_sentence(found.task, found.corpus), form))
    return "\n".join(parts)


_LEFT = ("curve", "law")


def _rows(curve: CurveLaw) -> list[dict[str, object]]:
    """Return a row for each law: the numbers of one column have their own precision."""
    judged, exact = curve.judgement, curve.judgement.curve.covariance is None
    rows: list[dict[str, object]] = []
    for fit, symbol in ((curve.power_law, "γ"), (curve.exponential, "τ")):
        rows.append(
            {
                "curve": curve.model or "optimum",
                "law": fit.shape,
                "parameter": f"{symbol} = {_value(fit)}",
                "95 % interval": None if exact else _interval(fit),
                "L∞": _number(fit.floor),
                "A": _number(fit.amplitude),
                "fits": f"within {100 * fit.largest:.2g} %" if exact else _p(fit.p),
            }
        )
    total = judged.total
    amplitudes = [each for each in total.amplitudes if each > 0]
    rows.append(
        {
            "curve": curve.model or "optimum",
            "law": "sum",
            "parameter": f"γ = {_number(total.exponent)}, τ = {_number(total.time)}",
            "95 % interval": None,
            "L∞": _number(total.floor),
            "A": ", ".join(map(_number, total.amplitudes)) if amplitudes else "0",
            "fits": f"within {100 * total.largest:.2g} %" if exact else _p(total.p),
        }
    )
    return rows


def sentence(curve: CurveLaw) -> str:
    """Return the verdict on a curve, and what limits it."""
    who = f"{curve.model or 'the optimum'} {'on' if curve.model else 'of'} {curve.task}"
    first, last = curve.contexts[0], curve.contexts[-1]
    where = f"from k = {first:,} to {last:,} ({curve.decades:.1f} decades of {curve.unit})"
    said = f"{curve.verdict.capitalize()}: {who} {where} {_found(curve)}."
    return " ".join([said, *_notes(curve)])


def _found(curve: CurveLaw) -> str:
    exact = curve.judgement.curve.covariance is None
    power, exponential = curve.power_law, curve.exponential
    both = (
        f"with γ = {_value(power)}{_within(power)}",
        (f"with τ = {_value(exponential)}{_within(exponential)} {curve.unit}"),
    )
    test = f"deviates by more than {100 * NEAR:.0f} %" if exact else "is rejected"
    if curve.verdict == "power law":
        return f"falls as a power law {both[0]}; an exponential {test}"
    if curve.verdict == "exponential":
        return f"falls exponentially {both[1]}; a power law {test}"
    if curve.verdict == "cannot tell":
        return f"may be a power law {both[0]}, or an exponential {both[1]}"
    added = "; their sum fits" if curve.judgement.sum_fits else ", nor is their sum"
    numbers = f"γ = {_value(power)} is the power law that is nearest, and no exponent of this curve"
    return f"is neither a power law nor an exponential{added}; {numbers}"


def _notes(curve: CurveLaw) -> list[str]:
    notes = []
    if curve.decades < SHORT:
        notes.append(
            f"The range is short: below {SHORT:g} decades laws are hard to distinguish, and γ is "
            "that of this range alone."
        )
    if curve.known is not None:
        symbol = "γ" if curve.known.shape == "power law" else "τ"
        within = curve.known.first <= curve.contexts[0] and curve.contexts[-1] <= curve.known.last
        limits = f"from k = {curve.known.first:,} to {curve.known.last:,}"
        notes.append(
            f"Theory has {'an' if symbol == 'τ' else 'a'} {curve.known.shape} with {symbol} = "
            f"{_number(curve.known.value)} for the optimum ({curve.known.source})"
            + ("." if within else f", {limits} alone.")
        )
    if len(curve.seeds) > 1:
        low, high = (_number(end) for end in (min(curve.seeds), max(curve.seeds)))
        notes.append(
            f"γ of single seeds is {low} to {high}; intervals are over test data, for the mean of "
            "these trainings."
        )
    if curve.k_train is not None and curve.k_train < curve.contexts[-1]:
        notes.append(
            f"It was trained with k_train = {curve.k_train:,}, beyond which a curve shows the "
            "training as well; --k chooses other context lengths."
        )
    return notes


def corpus_sentence(task: str, found: Correlations) -> str:
    """Return how the correlations of a corpus decay."""
    if found.last is None:
        return (
            f"Corpus of {task}: correlations of tokens are not distinguishable from noise at any "
            f"distance ({found.tokens:,} tokens); there is no β."
        )
    largest = found.distances[-1]
    reach = f"are distinguishable from noise up to a distance of {found.last:,}"
    reach += " inputs, the largest" if found.last == largest else " inputs"
    known = found.exponent
    if known is None:
        return f"Corpus of {task}: correlations of tokens {reach}, too few distances for β."
    beta, low, high = rounded([known[0], known[0] - known[1], known[0] + known[1]], known[1])
    range_ = f"{found.fitted[0]:,} to {found.fitted[-1]:,}"
    bends = (
        " They are no single power law: β of the larger distances differs from that of the smaller."
        if found.bends
        else ""
    )
    return (
        f"Corpus of {task}: ‖C(d)‖, the norm of the covariance of tokens, falls as d^−β with "
        f"β = {beta} (95 % interval {low} to {high}) over d = {range_}; correlations {reach} "
        f"({found.tokens:,} tokens).{bends}"
    )


def exponent_rows(found: Exponents) -> list[dict[str, object]]:
    """Return a row with every digit for each curve; for a corpus without curves, one row."""
    corpus = _corpus(found.corpus)
    if not found.curves:
        return [{"task": found.task, "model": None, **corpus}]
    return [{**_flat(curve), **corpus} for curve in found.curves]


def _flat(curve: CurveLaw) -> dict[str, object]:
    row: dict[str, object] = {
        "task": curve.task,
        "model": curve.model,
        "verdict": curve.verdict,
        "k": " ".join(map(str, curve.contexts)),
        "decades": curve.decades,
        "unit": curve.unit,
        "loss_unit": curve.loss_unit,
    }
    for name, symbol, fit in (
        ("power_law", "gamma", curve.power_law),
        ("exponential", "tau", curve.exponential),
    ):
        low, high = fit.interval or (None, None)
        row |= {
            symbol: fit.value,
            f"{symbol}_low": low,
            f"{symbol}_high": high,
            f"{name}_floor": fit.floor,
            f"{name}_amplitude": fit.amplitude,
            f"{name}_p": fit.p,
            f"{name}_ratio_p": curve.judgement.ratios[fit.shape],
            f"{name}_deviation": fit.largest,
        }
    total, known = curve.judgement.total, curve.known
    return row | {
        "sum_gamma": total.exponent,
        "sum_tau": total.time,
        "sum_floor": total.floor,
        "sum_power_amplitude": total.amplitudes[0],
        "sum_exponential_amplitude": total.amplitudes[1],
        "sum_p": total.p,
        "known_law": None if known is None else known.shape,
        "known_value": None if known is None else known.value,
        "seeds": len(curve.seeds) or None,
    }


def _corpus(found: Correlations | None) -> dict[str, object]:
    if found is None:
        return {}
    beta, half = found.exponent or (None, None)
    return {
        "beta": beta,
        "beta_low": None if beta is None or half is None else beta - half,
        "beta_high": None if beta is None or half is None else beta + half,
        "beta_distances": " ".join(map(str, found.fitted)),
        "beta_bends": found.bends,
        "correlated_up_to": found.last,
        "tokens": found.tokens,
    }


def _value(fit: Fit) -> str:
    low, high = fit.interval or (None, None)
    if low is None or high is None:
        return _number(fit.value)
    return rounded([fit.value], (high - low) / 2)[0]


def _interval(fit: Fit) -> str:
    """Return an interval; an end that is beyond what was searched is left open."""
    low, high = fit.interval or (None, None)
    if low is None and high is None:
        return "unbounded"
    if low is None or high is None:
        return f"< {_number(high)}" if low is None else f"> {_number(low)}"
    return "–".join(rounded([low, high], (high - low) / 2))


def _within(fit: Fit) -> str:
    return "" if fit.interval is None else f" (95 % interval {_interval(fit)})"


def _p(p: float | None) -> str | None:
    """Return whether a law fits, and the probability of its misfit."""
    if p is None:
        return None
    word = "yes" if p >= REJECTED else "no"
    return f"{word}, p {'< 0.001' if p < 0.001 else f'= {p:.2g}'}"


def _number(value: float | None) -> str:
    """Return a number to three digits, with the minus sign of the tables."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.3g}".replace("-", "−")
