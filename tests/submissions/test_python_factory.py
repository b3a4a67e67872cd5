"""Factories: their arguments, and a one-line error for each invalid one."""

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from seqmem.baselines.recurrent import LSTM
from seqmem.errors import InputError, SubmissionError
from seqmem.submissions.python_factory import build_module, parse_factory
from seqmem.tasks.task import Features, InputSpec, Tokens

IDS = Tokens(7)

Build = Callable[..., nn.Module]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Build the factory of a file with this code."""

    def from_code(code: str, inputs: InputSpec = IDS, seed: int = 0) -> nn.Module:
        (tmp_path / "model.py").write_text("from torch import nn\n" + textwrap.dedent(code))
        return build_module(parse_factory("model.py:build", tmp_path), inputs, 3, seed)

    return from_code


@pytest.mark.parametrize(
    ("parameters", "given"),
    [
        ("", {}),
        ("outputs", {"outputs"}),
        ("seed, inputs", {"seed", "inputs"}),
        ("inputs, outputs, seed, layers=2, *more", {"inputs", "outputs", "seed"}),
        ("layers=2, **options", {"inputs", "outputs", "seed"}),
        ("*, outputs=5", {"outputs"}),
        ("outputs=5, /", {}),
    ],
)
def test_a_factory_gets_the_arguments_that_it_names(
    parameters: str, given: set[str], build: Build
) -> None:
    code = f"""
    def build({parameters}):
        module = nn.Identity()
        found = dict(locals()) | locals().get("options", {{}})
        module.given = found
        return module
    """
    found = build(code, Features(2), 11).given
    offered: dict[str, object] = {"inputs": Features(2), "outputs": 3, "seed": 11}
    assert isinstance(found, dict)
    same = {name for name, value in offered.items() if found.get(name) == value}
    assert same == set(given)


@pytest.mark.parametrize(
    "code",
    [
        "class build(nn.Module):\n    def forward(self, x): return x",
        "build = nn.Identity()",
        "build = nn.Identity",
    ],
)
def test_a_module_without_arguments_gets_none(code: str, build: Build) -> None:
    assert build(code)(torch.ones(2)).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("built = 1", "there is no 'build' in model; it has no functions"),
        ("def make(): ...", "there is no 'build' in model; it has make"),
        ("build = 3", "'build' is int; it must be a function"),
        ("def build(): return 3", r"build\(\) returned int; it must return a torch.nn.Module"),
        ("def build(): return nn.Linear", r"build\(\) returned type; it must"),
        ("def build(width): ...", r"build\(\) requires 'width'; .* are inputs, outputs, seed$"),
        ("def build(inputs, /): ...", r"build\(\) requires 'inputs'"),
        ("def build(*, width): ...", r"build\(\) requires 'width'"),
        (
            "class build:\n    def __init__(self, width): ...",
            r"build\(\) requires 'width'; .*, seed; `seqmem eval model.py:build` trains a layer$",
        ),
        (
            "def build():\n    raise ValueError('so\\nit is')",
            r"build\(\) raised ValueError: so it is, line 3$",
        ),
        ("def build():\n    return nn.Linear('x', 1)", r"build\(\) raised TypeError: .*, line 3$"),
        ("import no_such_module_here", "its code raised ModuleNotFoundError: .*, line 2$"),
        ("def build(:", r"its code raised SyntaxError: .*model.py, line 2\)"),
        ("import sys; sys.exit('bye')", "its code raised SystemExit: bye, line 2"),
    ],
)
def test_an_invalid_factory_is_one_line(code: str, says: str, build: Build) -> None:
    before = list(sys.path)
    with pytest.raises(SubmissionError, match=f"^model 'model.py:build': {says}") as caught:
        build(code)
    assert "\n" not in str(caught.value)
    assert sys.path == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gone.py:build", r"there is no file .*gone.py"),
        ("folder.py:build", r"there is no file .*folder.py"),
        ("no_such_package.module:build", "there is no module 'no_such_package' in Python's path"),
        ("torch.no_such_part:build", "there is no module 'torch.no_such_part'"),
        ("torch:no_such_name", "there is no 'no_such_name' in torch; it has"),
    ],
)
def test_a_missing_file_or_module_is_one_line(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(InputError, match=says) as caught:
        build_module(parse_factory(text, tmp_path), Tokens(3), 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["model.py", "model.py:", ":build", "model", "a b:build", "model.py:a.b", "a..b:build"]
)
def test_other_text_is_no_factory(text: str) -> None:
    with pytest.raises(InputError, match=r"named file.py:function or package.module:function"):
        parse_factory(text)


def test_the_seed_determines_the_weights_and_not_the_generator(build: Build) -> None:
    """A fixture of all tests checks the generator."""
    code = "def build(outputs): return nn.Linear(2, outputs)"
    first, again, other = (next(build(code, seed=seed).parameters()) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_file_may_import_its_neighbours(build: Build, tmp_path: Path) -> None:
    (tmp_path / "beside_the_model.py").write_text("WIDTH = 4")
    code = """
    from dataclasses import dataclass
    from beside_the_model import WIDTH

    @dataclass
    class Sizes:
        width: int = WIDTH

    def build():
        return nn.Dropout(Sizes().width / 8)
    """
    module = build(code)
    assert isinstance(module, nn.Dropout)
    assert module.p == 0.5
    assert not module.training


def test_a_module_is_found_as_python_finds_it() -> None:
    factory = parse_factory("seqmem.baselines.recurrent:LSTM")
    module = build_module(factory, Tokens(5), 4)
    assert isinstance(module, LSTM)
    assert factory.places() == ()  # what can be seen of this package is seen by all
    assert [place.name for place in parse_factory("torch.nn:Linear").places()] == ["torch"]
