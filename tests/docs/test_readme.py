"""README.md and the pages of docs/ are up to date, and lead where they say."""

import re
from pathlib import Path

import pytest

from seqmem import submit
from seqmem.docs import generate
from seqmem.leaderboard.selection import select
from seqmem.leaderboard.tables.flat import COLUMNS

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_generated_parts_are_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEQMEM_DATA", raising=False)
    assert generate.stale() == [], "run `make board`"


def test_the_readme_is_short() -> None:
    assert len(README.encode()) <= 12_288
    first_screen = "\n".join(README.splitlines()[:45])
    for shown in (
        "readme.svg",
        "pip install",
        "seqmem eval my.py:MyLayer",
        "import seqmem",
        "chance",
    ):
        assert shown in first_screen


def test_models_beside_a_curve_are_on_the_board_of_its_task() -> None:
    (task,) = re.findall(r'seqmem.train\(MyLayer, "(.*?)", budget="smoke"\)', README)
    (names,) = re.findall(r"curve.plot\((.*?)\)", README)
    records = select((), [task], lambda line: None, budget="smoke").records
    assert set(re.findall(r'"(.*?)"', names)) <= {record.model["label"] for record in records}


def test_every_command_is_mentioned() -> None:
    for command in submit.cli.commands:
        assert f"seqmem {command}" in README


# These pages also name options of benchmarks, bubblewrap, Ray and Slurm.
OTHER_PROGRAMS = ("gate.md", "performance.md", "scale.md")


@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.name not in OTHER_PROGRAMS], ids=lambda page: page.name
)
def test_options_named_in_a_page_exist(page: Path) -> None:
    known = {
        option
        for command in submit.cli.commands.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text(encoding="utf-8")))
    assert named - {"--help"} <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_exist(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_column_of_an_export_is_described() -> None:
    text = (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)))
    assert sorted(named) == sorted(COLUMNS)
