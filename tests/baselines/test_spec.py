"""Specifications of models: text, options, ranges, and models without weights."""

from typing import Any

import pytest
import torch

from seqmem.baselines import BASELINES
from seqmem.baselines.options import Option, Range
from seqmem.baselines.spec import build_model, options_of, parse_model, ranges_of
from seqmem.baselines.training.loop import seeded
from seqmem.errors import InputError
from seqmem.tasks import load_task
from seqmem.tasks.task import Task


def test_specs_read_and_write() -> None:
    spec = parse_model("lstm:layers=2,hidden=256,tied=TRUE,dropout=.5")
    assert spec.options == {"layers": 2, "hidden": 256, "tied": True, "dropout": 0.5}
    assert str(spec) == "lstm:dropout=0.5,hidden=256,layers=2,tied=true"
    assert parse_model(str(spec)) == spec
    assert str(parse_model("tcn")) == "tcn"
    assert set(options_of("tcn")) == {"hidden", "kernel", "levels", "dropout", "tied"}


def test_options_of_the_user_override_recipes() -> None:
    task = load_task("copy-memory/T=5")
    recipe: dict[str, Option] = {"hidden": 5, "dropout": 0.1, "kernel": 9}
    with seeded(0):
        _, options = build_model(parse_model("lstm:hidden=7"), task, "full", recipe)
    assert options == {"hidden": 7, "layers": 1, "dropout": 0.1, "tied": False}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lsmt", "did you mean lstm"),
        ("lsmt:dropout=0.5", "did you mean lstm"),
        ("", "unknown model '': `seqmem models` lists them"),
        ("net.onnx", "'net.onnx' is none of the baselines .* `seqmem measure net.onnx --task"),
        ("./net.py:build", "'./net.py:build' is none of the baselines .* `seqmem measure"),
        ("hf:gpt2", "'hf:gpt2' is none of the baselines"),
        ("lstm:", "unknown option ''"),
        ("lstm:hiden=3", "unknown option 'hiden'; lstm takes: hidden"),
        ("lstm:hidden", "has no value"),
        ("lstm:hidden=3,hidden=4", "given twice"),
        ("lstm:hidden=2.5", "not a whole number"),
        ("lstm:hidden=0", "out of range: from 1"),
        ("lstm:hidden=-3", "out of range: from 1"),
        ("lstm:dropout=1", "out of range: at least 0 and below 1"),
        ("lstm:dropout=nan", "out of range"),
        ("lstm:tied=2", "not true or false"),
        ("tcn:context=3", "unknown option 'context'"),
        ("marginal:hidden=3", "marginal takes: none"),
    ],
)
def test_wrong_models_are_explained(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_model(text)


def test_sizes_are_found_without_reading_data_to_their_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task may read its data to find its number of outputs, which fails on "meta"."""
    task = load_task("hidden-markov/dwell=2")
    usual, seen = task.outputs, []

    def outputs(self: Task) -> int:
        seen.append(torch.get_default_device().type)
        return usual

    monkeypatch.setattr(type(task), "outputs", property(outputs), raising=False)
    model, _ = build_model(parse_model("lstm"), task, 8, {}, device="meta")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert set(seen) == {"cpu"}


def test_what_every_option_may_be_is_declared() -> None:
    """Its class declares it, and its default is within it."""
    for name in BASELINES:
        allowed: dict[str, Any] = dict(ranges_of(name))
        for option, default in options_of(name).items():
            assert isinstance(default, bool) or default in allowed[option], (name, option)


def test_ranges_contain_their_closed_ends_only() -> None:
    assert (0 in Range(0, 1), 1 in Range(0, 1)) == (True, True)
    assert (0 in Range(0, 1, open_low=True), 1 in Range(0, 1, open_high=True)) == (False, False)
    assert float("nan") not in Range(0, 1)
    assert str(Range(0, 100_000)) == "from 0 to 100,000"
    assert str(Range(0, 1, open_high=True)) == "at least 0 and below 1"
    assert str(Range(0, 0.99999, open_low=True)) == "above 0 and ≤ 0.99999"
