"""Every code block of the pages on users' own models runs as printed."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from seqmem.tests.command import Command

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGES = ("your_layer", "your_model")
BLOCK = re.compile(r"(?:<!-- file: (\S+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch.onnx.export has many of its own
@pytest.mark.parametrize("page", PAGES)
def test_the_page_runs(
    page: str, seqmem_: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert {kind for _, kind, _ in blocks} == {"python", "console"}
    assert text.count("```") == 2 * len(blocks)
    names: dict[str, Any] = {}
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
                ran = seqmem_(*arguments)
                assert ran.status == 0, ran.err
    for file, _, _ in blocks:
        sys.modules.pop(file.removesuffix(".py"), None)
