"""Models of equal size: every baseline comes within 5 %, and what cannot says so."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmem.baselines import BASELINES
from seqmem.baselines import match as match_module
from seqmem.baselines.match import Match, matched, parameters_of, parse_match
from seqmem.baselines.spec import build_model, model_class, options_of, parse_model
from seqmem.baselines.training.loop import seeded
from seqmem.baselines.training.recipes import recipe_for
from seqmem.cli.listings import EXAMPLE
from seqmem.errors import InputError
from seqmem.tasks import family_of, load_task
from seqmem.tasks.task import Context
from seqmem.tests.zoo import task_for

SIZED = [name for name in BASELINES if {"hidden", "units"} & set(options_of(name))]
TASKS = [EXAMPLE, "adding-problem/T=50"]


@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize(("match", "k_train"), [("parameters=30k", 64), ("state=4096", 16)])
def test_every_baseline_comes_within_five_percent(name: str, match: str, k_train: Context) -> None:
    wanted = parse_match(match)
    for task_id in TASKS:
        task, recipe = task_for(name, task_id), recipe_for(family_of(task_id), "small")
        spec = matched(parse_model(name), task, k_train, recipe.options, wanted)
        with seeded(0):
            model, _ = build_model(spec, task, k_train, recipe.options, device="meta")
        size = parameters_of(model)
        if wanted.quantity == "state":
            size = model.state_size(task.longest_context)
        assert size == pytest.approx(wanted.number, rel=0.05), (spec, task.id, k_train)


@pytest.mark.parametrize("name", ["lstm", "transformer", "tcn", "lru"])
def test_no_other_width_is_nearer(name: str) -> None:
    task = load_task(EXAMPLE)
    wanted = Match("parameters", 20_123)
    spec = matched(parse_model(name), task, 32, {}, wanted)
    sizes = {}
    for width in range(1, 2 * spec.options["hidden"]):
        with seeded(0):
            model, _ = build_model(
                parse_model(f"{name}:hidden={width}"), task, 32, {}, device="meta"
            )
        sizes[width] = parameters_of(model) or 0
    least = min(abs(size - 20_123) for size in sizes.values())
    assert abs(sizes[spec.options["hidden"]] - 20_123) == least


def test_sizes_are_those_of_models_with_weights() -> None:
    task = load_task(EXAMPLE)
    spec = parse_model("lstm:tied=true,layers=2")
    spec = matched(spec, task, 32, {}, Match("parameters", 50_000))
    with seeded(0):
        model, options = build_model(spec, task, 32, {})
    assert sum(weight.numel() for weight in model.parameters()) == parameters_of(model)
    assert (options["layers"], options["tied"]) == (2, True)


@settings(max_examples=200, deadline=None)
@given(
    wanted=st.integers(1, 10**9),
    square=st.integers(0, 30),
    each=st.integers(1, 5000),
    fixed=st.integers(0, 10**6),
    step=st.sampled_from([1, 1, 2, 4, 6]),
)
def test_the_nearest_width_of_any_size(
    wanted: int, square: int, each: int, fixed: int, step: int
) -> None:
    """Sizes are quadratic in the width, which may have to be a multiple."""

    def size(width: int) -> int | None:
        return None if width % step else square * width**2 + each * width + fixed

    width, found = match_module._nearest(size, wanted)
    assert size(width) == found
    for other in (width - step, width + step):
        if 0 < other <= match_module.LARGEST:
            assert abs(found - wanted) <= abs((size(other) or 0) - wanted)


def test_the_state_of_an_lru_has_its_own_width() -> None:
    task = load_task(EXAMPLE)
    spec = matched(parse_model("lru"), task, 32, {}, Match("state", 1000))
    assert spec.options == {"state": 250}  # two layers of complex numbers
    held = matched(parse_model("lru:hidden=20"), task, 32, {}, Match("parameters", 30_000))
    assert set(held.options) == {"hidden", "state"}


@pytest.mark.parametrize(
    ("text", "number"),
    [("parameters=100k", 100_000), ("parameters=1.5M", 1_500_000), ("state=4096", 4096)],
)
def test_numbers_may_be_short(text: str, number: int) -> None:
    assert parse_match(text).number == number


@pytest.mark.parametrize("text", ["parameters", "parameters=", "size=3", "state=0", "state=1e3"])
def test_another_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=rf"--match {text}: is parameters=NUMBER or state=NUMBER"):
        parse_match(text)


@pytest.mark.parametrize(
    ("model", "k_train", "match", "problem"),
    [
        ("lstm:hidden=8", 32, "parameters=1k", r"chooses hidden, which 'lstm:hidden=8' sets"),
        ("marginal", 32, "parameters=1k", "marginal on .* has no option that changes its param"),
        ("kneser-ney", 32, "state=1k", "kneser-ney on .* has no option that changes its state"),
        ("lstm", 32, "state=3", r"lstm on .* comes nearest with hidden=1, 2 floats: ask"),
        ("lstm:layers=40", 32, "parameters=10", r"comes nearest with hidden=1, [\d,]+ parameters"),
        ("transformer", 1, "state=64", "has no option that changes its state"),
    ],
)
def test_what_cannot_be_says_so(model: str, k_train: Context, match: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        matched(parse_model(model), load_task(EXAMPLE), k_train, {}, parse_match(match))


def test_only_models_without_width_are_left_out_here() -> None:
    assert {name for name in BASELINES if name not in SIZED} == {"marginal", "kneser-ney"}
    assert all(model_class(name) for name in SIZED)
