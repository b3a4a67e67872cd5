"""Code of the pages runs as printed; what takes hours or a cluster is parsed."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from torch import Tensor, nn

from seqmem import submit
from seqmem.baselines.training import recipes
from seqmem.tests.command import Command

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
BLOCK = re.compile(r"(?:<!-- file: (\S+) -->\n)?```(python|console)\n(.*?)```", re.DOTALL)
PAGES = [ROOT / "README.md", ROOT / "examples/board/README.md", *sorted(DOCS.glob("*.md"))]


class Net(nn.Module):
    """What the page on submissions calls `net`."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(32, 8)
        self.layer = nn.GRU(8, 8, batch_first=True)
        self.readout = nn.Linear(8, 32)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return scores (B, L, 32) of ids (B, L)."""
        scores: Tensor = self.readout(self.layer(self.embedding(inputs))[0])
        return scores


LAYER = """
from torch import nn

class MyLSTM(nn.LSTM):
    pass
"""
LONG = "--suite smoke"  # `make regression` runs it
RECIPES = recipes._RECIPES


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch.onnx.export has many of its own
@pytest.mark.parametrize(
    "page", ["your_layer", "your_model", "probe", "submit", "ci", "why", "exponent"]
)
def test_the_page_runs(
    page: str, seqmem_: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mypkg").mkdir()
    (tmp_path / "mypkg" / "layers.py").write_text(LAYER)
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert blocks
    if page == "ci":  # expectations are of the recipes themselves
        monkeypatch.setattr(recipes, "_RECIPES", RECIPES)
    with torch.random.fork_rng():
        names: dict[str, Any] = {"net": Net().eval()}
    for file, kind, content in blocks:
        if file:
            (tmp_path / file).write_text(content)
        elif kind == "python":
            with torch.random.fork_rng():
                exec(content, names)
        else:
            for line in content.splitlines():
                program, *arguments = shlex.split(line.removeprefix("$ "))
                assert (line[:2], program) == ("$ ", "seqmem")
                if LONG not in line:
                    ran = seqmem_(*arguments)
                    assert ran.status == 0, ran.err
    for file, _, _ in blocks:
        sys.modules.pop(file.removesuffix(".py"), None)


def commands(page: Path) -> list[str]:
    """Return the commands of seqmem in a page: indented, fenced, in a workflow or in a sentence."""
    text = re.sub(r"\\\n", " ", page.read_text(encoding="utf-8"))
    text = re.sub(r"run: >\n((?: {10,}.*\n)+)", lambda found: " ".join(found[1].split()), text)
    lines = re.findall(r"^(?:\$ | {4,}(?:srun .*)?)(seqmem [^#\n]*)", text, re.MULTILINE)
    lines += re.findall(r"- run: (seqmem .*)", text)
    lines += re.findall(r"`(seqmem [a-z][^`]*)`", text)
    return [" ".join(line.split()) for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_understood(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their options exist and take these values, given that the files exist."""
    monkeypatch.setattr(click.Path, "convert", lambda self, value, *place: Path(value))
    for line in commands(page):
        name, *arguments = shlex.split(line)[1:]
        command = submit.cli.commands[name]
        if arguments:
            command.make_context(name, arguments)


def test_commands_of_pages_are_found() -> None:
    assert "seqmem check --suite smoke --jobs 2 --format github -o check.xml -o check.md" in (
        commands(DOCS / "ci.md")
    )
    assert sum(len(commands(page)) for page in PAGES) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_benchmarks_that_pages_name_exist(page: Path) -> None:
    for name in re.findall(r"(?:python )?benchmarks/(\w+\.py)", page.read_text(encoding="utf-8")):
        assert (ROOT / "benchmarks" / name).exists()
