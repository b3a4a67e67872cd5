"""A model has the same colour, dash and shape in every chart."""

from seqmem.baselines import BASELINES
from seqmem.leaderboard.charts.styles import model_of, styles


def test_styles_differ_and_belong_to_the_model() -> None:
    names = [*BASELINES, *(f"{name}:hidden=3" for name in BASELINES), "mine"]
    looks = styles(names, BASELINES)
    assert len(set(looks)) == len(names)
    assert len({(look.colour, look.dash) for look in looks}) == len(names)
    assert styles(["tcn", "lstm"], BASELINES) == [
        looks[names.index("tcn")],
        looks[names.index("lstm")],
    ]


def test_one_colour_is_one_model() -> None:
    """Variants of a model share its colour; a model of the user's takes one that is free."""
    some = [name for name in BASELINES if name != "gru"]
    names = [f"{name}{end}" for name in (*some, "mine") for end in ("", ", k_train 8", ":layers=2")]
    looks = styles(names, BASELINES)
    colours = {(model_of(name), look.colour) for name, look in zip(names, looks, strict=True)}
    assert len(colours) == len({colour for _, colour in colours}) == len(BASELINES)
    assert len(set(looks)) == len(names)


def test_the_first_672_styles_differ() -> None:
    for names in ([f"m{i}" for i in range(672)], [f"lstm, k_train {i}" for i in range(672)]):
        assert len(set(styles(names, BASELINES))) == 672
        assert len(styles([*names, "one more"], BASELINES)) == 673
