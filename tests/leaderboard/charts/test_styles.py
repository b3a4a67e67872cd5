"""A model has the same colour, dash and shape in every chart."""

from seqmem.baselines import BASELINES
from seqmem.leaderboard.charts.styles import styles


def test_styles_differ_and_belong_to_the_model() -> None:
    names = [*BASELINES, *(f"{name}:hidden=3" for name in BASELINES), "mine"]
    looks = styles(names, BASELINES)
    assert len(set(looks)) == len(names)
    assert len({(look.colour, look.dash) for look in looks}) == len(names)
    assert styles(["tcn", "lstm"], BASELINES) == [
        looks[names.index("tcn")],
        looks[names.index("lstm")],
    ]
