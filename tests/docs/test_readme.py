"""The README is up to date."""

import re
from pathlib import Path

import pytest

from seqmem import submit
from seqmem.docs import generate

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_generated_parts_are_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEQMEM_DATA", raising=False)
    assert generate.generated(README) == README, "run `make board`"


def test_every_command_is_mentioned() -> None:
    for command in submit.cli.commands:
        assert f"seqmem {command}" in README


def test_options_named_in_the_readme_exist() -> None:
    known = {
        option
        for command in submit.cli.commands.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) - {"--help"} <= known


def test_links_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists()
