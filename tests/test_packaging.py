"""The repository root is the package: what a build ships, and what a type checker sees."""

import importlib
import tomllib
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = (
    "tasks",
    "leaderboard",
    "measuring",
    "baselines",
    "probing",
    "submissions",
    "runs",
    "check",
    "cli",
    "api",
)

MODULES = sorted(
    "seqmem." + str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
    for path in [*ROOT.glob("*.py"), *(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))]
    if path.name != "__init__.py"
)


def test_every_subpackage_is_listed() -> None:
    """A forgotten one works in an editable install and is missing from the wheel."""
    folders = {
        "seqmem." + ".".join(path.parent.relative_to(ROOT).parts)
        for room in ROOMS
        for path in (ROOT / room).rglob("__init__.py")
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == {"seqmem"} | folders


@pytest.mark.parametrize(
    ("room", "one"), [("leaderboard", "published.toml"), ("tasks/data", "expected.toml")]
)
def test_data_files_are_shipped(room: str, one: str) -> None:
    """A wheel holds only what is named: the records, what papers print, what data sets contain."""
    package = f"seqmem.{room.replace('/', '.')}"
    named = PROJECT["tool"]["setuptools"]["package-data"][package]
    folder = ROOT / room
    shipped = {path for pattern in named for path in folder.glob(pattern)}
    data = {p for p in folder.rglob("*") if p.suffix in (".json", ".toml", ".csv", ".txt")}
    assert data
    assert shipped == data
    assert folder / one in shipped


def test_type_checkers_see_every_entry() -> None:
    """One link for each room and each module at the root: checkers run no import hooks."""
    links = {path.name: path for path in (ROOT / ".typing" / "seqmem").iterdir()}
    modules = {path.name for path in ROOT.glob("*.py")}
    assert set(links) == {*ROOMS, "docs", "tests", "py.typed", *modules}
    for name, link in links.items():
        assert link.resolve() == ROOT / name


def test_root_modules_cannot_be_imported_twice() -> None:
    banned = PROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    modules = {path.stem for path in ROOT.glob("*.py")} - {"__init__"}
    assert set(banned) == {*ROOMS, "docs", *modules}


def test_layers_name_every_room() -> None:
    """The order in which rooms import each other; `make lint` checks that they keep it."""
    (rooms,) = [c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["id"] == "rooms"]
    named = {part.strip("() ") for layer in rooms["layers"] for part in layer.split("|")}
    modules = {path.stem for path in ROOT.glob("*.py")} - {"__init__"}
    assert named == {*ROOMS, *modules}


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_listed(name: str) -> None:
    """A public name, and only such, is one without underscore that stands in __all__."""
    for part, library in (
        (".ray_", "ray"),
        (".hooks.l", "lightning"),
        (".hooks.t", "transformers"),
    ):
        if part in name:
            pytest.importorskip(library)
    module = importlib.import_module(name)
    assert module.__doc__
    own = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and getattr(value, "__module__", None) == name
        and not isinstance(value, TypeVar | ParamSpec)
    }
    assert own <= set(module.__all__)
    assert all(hasattr(module, key) for key in module.__all__)
    assert not [key for key in module.__all__ if key.startswith("_")]


def test_versions_are_pinned_and_bounds_are_wide() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pins["torch"] == "2.13.0"
    names = {name.lower().replace("_", "-") for name in pins}
    wanted = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["dev"],
    ]
    for requirement in wanted:
        name, _, bound = requirement.partition(">=")
        assert name.lower() in names
        assert "==" not in requirement
        assert "<" not in bound
