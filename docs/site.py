"""Build the documentation site in build/site.

python docs/site.py

The pages of this folder, and generated ones: one for each family of tasks and each baseline, from
docstrings and committed records; the board; and texts at the root of the repository. A warning,
such as a link that leads nowhere, is an error. Nothing is loaded from the network.
"""

import importlib
import inspect
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from sphinx.cmd.build import build_main

from seqmem.baselines import BASELINES
from seqmem.baselines.spec import model_class, options_of, ranges_of
from seqmem.docs import board as board_page
from seqmem.docs.committed import chosen
from seqmem.docs.findings import CHARTS, committed
from seqmem.docs.markup import chart_name
from seqmem.leaderboard.statistics.aggregate import Board, beats_chance
from seqmem.leaderboard.statistics.envelope import envelope
from seqmem.leaderboard.statistics.rows import name_of
from seqmem.leaderboard.tables.formatting import number, unit
from seqmem.leaderboard.tables.wording import shown
from seqmem.leaderboard.tables.writing import table
from seqmem.tasks import FAMILIES, family_of

DOCS = Path(__file__).parent
ROOT = DOCS.parent
BUILD = ROOT / "build"
REPOSITORY_FILES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
OTHER_PAGES = {f"../{name}": page for name, page in REPOSITORY_FILES.items()}


def build() -> int:
    """Build the site; return Sphinx's exit status."""
    source, site = BUILD / "docs", BUILD / "site"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("*.py", "__pycache__", "*.html"))
    for path, text in generated(chosen(committed()[0])).items():
        (source / path).parent.mkdir(exist_ok=True)
        (source / path).write_text(text, encoding="utf-8")
    for page in source.glob("*.md"):
        page.write_text(linked(page.read_text(encoding="utf-8")), encoding="utf-8")
    site.mkdir(parents=True, exist_ok=True)
    status: int = build_main(["-W", "--keep-going", "-q", "-c", str(DOCS), str(source), str(site)])
    (site / "board.html").write_text(board_page.written(), encoding="utf-8")
    return status


def generated(found: Sequence[Board]) -> dict[str, str]:
    """Return the generated pages by their path."""
    pages = {
        "tasks.md": with_pages_below("tasks", list(FAMILIES)),
        "models.md": with_pages_below("models", list(BASELINES)),
    }
    pages |= {f"tasks/{name}.md": task_page(name, found) for name in FAMILIES}
    pages |= {f"models/{name}.md": model_page(name) for name in BASELINES}
    return pages | {path: root_text(name) for name, path in REPOSITORY_FILES.items()}


def with_pages_below(name: str, below: Sequence[str]) -> str:
    """Return a page of docs/ with links to the generated pages below it."""
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    links = " · ".join(f"[{each}]({name}/{each}.md)" for each in below)
    contents = "\n".join(f"{name}/{each}" for each in below)
    return f"{text}\nEach in full: {links}\n\n```{{toctree}}\n:hidden:\n\n{contents}\n```\n"


def task_page(name: str, found: Sequence[Board]) -> str:
    """Return a family's specification, and what the committed records say about its tasks."""
    module = importlib.import_module(FAMILIES[name].factory.partition(":")[0])
    parts = [f"# {name}", f"`{FAMILIES[name].example}`", inspect.getdoc(module) or ""]
    for board in (board for board in found if family_of(board.task_id) == name):
        parts += [
            f"## {board.task_id}",
            table([facts(board)], "markdown"),
            f"![Loss against context length of the models on {board.task_id}]"
            f"(../{CHARTS.name}/{chart_name(board)})",
        ]
    return "\n\n".join(parts) + "\n"


def facts(board: Board) -> dict[str, object]:
    """Return chance, optimum and best model of a task as a row of a table."""
    last = envelope(board)[-1]
    optimum = board.optimum.get("full")
    best = f"{shown(last.row.scores[last.at])} ({name_of(board, last.row)})"
    return {
        "score": unit(board.records[0].task),
        "chance": number(board.chance),
        "optimum": "unknown" if optimum is None else number(optimum),
        "best here": best if beats_chance(last.row, last.at, board.chance) else "none beats chance",
    }


def model_page(name: str) -> str:
    """Return a model's docstrings and options."""
    kind = model_class(name)
    module = inspect.getmodule(kind)
    ranges = ranges_of(name)
    rows = [
        {"option": key, "default": str(value).lower(), "range": str(ranges.get(key, "–"))}
        for key, value in options_of(name).items()
    ]
    options = table(rows, "markdown", left=set(rows[0])) if rows else "It has no options."
    more = inspect.getdoc(module) or ""
    parts = [f"# {name}", inspect.getdoc(kind) or "", "## Options", options, "## More", more]
    return "\n\n".join(parts) + "\n"


def linked(text: str) -> str:
    """Return a page whose links to texts at the repository's root lead to their pages.

    Records are no part of the site: their paths stay, as text.
    """
    for old, new in OTHER_PAGES.items():
        text = text.replace(f"]({old}", f"]({new}")
    return re.sub(r"\[(`leaderboard/[^`]+`)\]\([^)]+\)", r"\1", text)


def root_text(name: str) -> str:
    """Return a text of the repository's root, its links as seen from the site."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.sub(r"\]\(docs/", "](", text)


if __name__ == "__main__":
    sys.exit(build())
