"""Ablations as a table."""

from seqmem.leaderboard import Format
from seqmem.leaderboard.record import MeanOf
from seqmem.leaderboard.tables.formatting import rounded
from seqmem.leaderboard.tables.writing import heading, paragraph, table
from seqmem.measuring.ablation import ABLATIONS, Ablated, Ablations

__all__ = ["ablation_rows", "ablation_text"]


def ablation_rows(found: Ablations) -> list[dict[str, object]]:
    """Return a row for each number of inputs that stay and each ablation, with every digit."""
    return [
        {
            "task": found.task,
            "k": found.k,
            "targets": found.targets,
            "beyond": each.beyond,
            "ablation": each.kind,
            "loss": each.loss,
            "loss_unit": found.unit,
            **_ends("excess", each.excess),
            **_ends("share", each.share),
        }
        for each in found.found
    ]


def _ends(name: str, value: MeanOf | None) -> dict[str, object]:
    low, high = (None, None) if value is None or value.interval is None else value.interval
    return {name: None if value is None else value.mean, f"{name}_low": low, f"{name}_high": high}


def ablation_text(found: Ablations, model: str, form: Format) -> str:
    """Return what of the far context a model uses, as a text in one of `FORMATS`."""
    if form in ("csv", "json"):
        return table(ablation_rows(found), form)
    rows: list[dict[str, object]] = [
        {
            "beyond": each.beyond,
            "in place of what is farther": ABLATIONS[each.kind],
            "loss": rounded([each.loss], _half(each.excess))[0],
            "more than whole": _with_half(each.excess, 1.0, "+"),
            "share of its worth": _share(each),
        }
        for each in found.found
    ]
    whole = _with_half(found.whole, 1.0)
    notes = (
        f"{found.unit}; {found.targets:,} targets with the {found.k:,} latest inputs: {whole}. Of "
        "these, all beyond the nearest so many are replaced. Share: of what nothing in their place "
        "would cost; ± are 95 % intervals of paired differences. The model was not trained on such "
        "inputs."
    )
    return "\n".join(
        [
            heading(f"{model} on {found.task}: what of the far context it uses", form),
            paragraph(notes, form),
            table(rows, form, ("in place of what is farther",)),
        ]
    )


def _share(each: Ablated) -> str | None:
    if each.share is None:
        return None
    return "100 %" if each.kind == "nothing" else f"{_with_half(each.share, 100.0)} %"


def _half(value: MeanOf) -> float | None:
    return None if value.interval is None else (value.interval[1] - value.interval[0]) / 2


def _with_half(value: MeanOf, times: float, sign: str = "") -> str:
    half = _half(value)
    if half is None:
        return rounded([times * value.mean], None, sign)[0]
    text = rounded([times * value.mean], times * half, sign)[0]
    return f"{text} ±{rounded([times * half], times * half)[0]}"
