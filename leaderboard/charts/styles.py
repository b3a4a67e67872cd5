"""Colours, dashes and shapes of a chart's lines, which differ without colour, too."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

__all__ = ["Style", "listing_order", "model_of", "styles"]

# Okabe & Ito 2008, Color Universal Design; without yellow, which is hard to see on white. Then
# darker ones, so that each baseline has a colour of its own.
_COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333"),
    *("#6A3D9A", "#8C510A", "#882255", "#999933", "#44AA99"),
)
_DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (6, 3), (2, 2), (8, 2, 2, 2))
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-left")


@dataclass(frozen=True)
class Style:
    """How one model is drawn.

    Attributes:
        colour: as hexadecimal RGB.
        dash: lengths of strokes and gaps in pixels.
        shape: of its points, by Vega's name.
    """

    colour: str
    dash: tuple[int, ...]
    shape: str


def model_of(name: str) -> str:
    """Return the model of a name, without options and what else the name holds."""
    return name.partition(":")[0].partition(",")[0]


def listing_order(name: str, models: Sequence[str]) -> tuple[int, str]:
    """Return a key that sorts names: known models in their order, then others."""
    model = model_of(name)
    return (models.index(model) if model in models else len(models)), name


def styles(names: Sequence[str], models: Iterable[str]) -> list[Style]:
    """Return a style for each name; no two are alike among the first 336.

    Args:
        names: models with their options, and what else distinguishes rows.
        models: names of known models; each has a style of its own in every chart, by its place.
    """
    own = {name: slot for slot, name in enumerate(models)}
    free = count(len(own))
    return [
        _style(own.pop(model) if (model := model_of(name)) in own else next(free)) for name in names
    ]


def _style(slot: int) -> Style:
    colours, dashes = len(_COLOURS), len(_DASHES)
    lap = slot // colours
    shape = _SHAPES[(slot + lap + lap // dashes) % len(_SHAPES)]
    return Style(_COLOURS[slot % colours], _DASHES[lap % dashes], shape)
