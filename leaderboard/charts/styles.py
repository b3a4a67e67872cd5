"""Colours, dashes and shapes of a chart's lines, which differ without colour, too."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

__all__ = ["Style", "listing_order", "model_of", "styles"]

# Okabe & Ito 2008, Color Universal Design; without yellow, which is hard to see on white. Then
# darker ones, so that each baseline has a colour of its own.
_COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333"),
    *("#6A3D9A", "#8C510A", "#882255", "#999933", "#44AA99"),
    *("#1B5E20", "#B71C1C", "#283593", "#78909C", "#AD1457"),
    *("#00838F", "#EF6C00", "#5E35B1", "#6D4C41", "#827717", "#7CB342", "#F06292"),
)
_DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (6, 3), (2, 2), (8, 2, 2, 2))
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-left")
_VARIANTS = len(_DASHES) * len(_SHAPES)  # looks of one colour


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
    """Return a style for each name; no two are alike among the first 672.

    Names of one model have one colour, which up to 24 models share with no other.

    Args:
        names: models with their options, and what else distinguishes rows.
        models: names of known models; each has a style of its own in every chart, by its place.
    """
    shown = {model_of(name) for name in names}
    own = {
        model: (i % len(_COLOURS), i // len(_COLOURS))
        for i, model in enumerate(models)
        if model in shown
    }
    colour_of = {model: colour for model, (colour, _) in own.items()}
    for model in dict.fromkeys(map(model_of, names)):
        if model not in colour_of:
            colour_of[model] = _rarest(colour_of.values())
    taken = list(own.values())  # a colour, and which of its variants
    found = []
    for name in names:
        model = model_of(name)
        look = own.pop(model, None)
        if look is None:
            look = _free(colour_of[model], taken)
            taken.append(look)
        found.append(_style(*look))
    return found


def _rarest(colours: Iterable[int]) -> int:
    """Return the colour that occurs least often, the first of several."""
    counts = Counter(colours)
    return min(range(len(_COLOURS)), key=lambda colour: (counts[colour], colour))


def _free(colour: int, taken: Collection[tuple[int, int]]) -> tuple[int, int]:
    """Return an unused variant of a colour; of another one if all its variants are used."""
    if sum(used == colour for used, _ in taken) >= _VARIANTS:
        colour = _rarest(used for used, _ in taken)
    return next((colour, variant) for variant in count() if (colour, variant) not in taken)


def _style(colour: int, variant: int) -> Style:
    dashes = len(_DASHES)
    shape = _SHAPES[(colour + variant + variant // dashes) % len(_SHAPES)]
    return Style(_COLOURS[colour], _DASHES[variant % dashes], shape)
