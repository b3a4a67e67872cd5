"""Write the generated parts of README.md and pages, from <!-- generated: … --> to <!-- end -->.

python docs/generate.py            write them
python docs/generate.py --check    check that they are up to date
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from seqmem.cli.listings import ListingRow, model_rows, task_rows, write_rows
from seqmem.docs.blog_table import blog_sentence, most_pairs
from seqmem.docs.committed import BUDGET, board_records, chosen, committed_records
from seqmem.docs.findings import EXAMPLE, EXAMPLE_MODELS, committed
from seqmem.docs.other_systems import is_cut
from seqmem.docs.published_curve import curves, excess_sentence
from seqmem.docs.wikitext import text_boards
from seqmem.leaderboard.published import read_published
from seqmem.leaderboard.statistics.aggregate import Board, Row, beats_chance, boards
from seqmem.leaderboard.statistics.context_need import tolerance
from seqmem.leaderboard.statistics.envelope import envelope, envelope_need
from seqmem.leaderboard.statistics.rows import name_of, named_rows
from seqmem.leaderboard.tables.board_table import board_text
from seqmem.leaderboard.tables.brief_board import brief_text
from seqmem.leaderboard.tables.formatting import need, number, row_need
from seqmem.leaderboard.tables.wording import shown
from seqmem.leaderboard.tables.writing import table

ROOT = Path(__file__).parent.parent
PAGES = (
    ROOT / "README.md",
    ROOT / "docs" / "tasks.md",
    ROOT / "docs" / "models.md",
    ROOT / "docs" / "board.md",
)

# The board that README.md shows.
TEXT, TEXT_MODELS = "wikitext-2", ("transformer", "lstm", "gcnn", "kneser-ney", "lstm-stable")


def tasks() -> str:
    columns = ("task", "asks", "loss", "unit", "longest useful k", "suites")
    return write_rows(_columns(task_rows(), columns), "markdown")


def models() -> str:
    return write_rows(_columns(model_rows(), ("model", "is", "options")), "markdown")


def board() -> str:
    """Return the committed records, a table for each task."""
    some = board_records()
    measured = {record.task.id for record in some}
    beside = [entry for entry in read_published() if entry.task in measured]
    return board_text(boards(some), "markdown", beside).rstrip()


def caption() -> str:
    """Return what the README's picture shows, in words."""
    found = _board(EXAMPLE)
    rows = named_rows(found)
    high, low = rows[EXAMPLE_MODELS[0]], rows[EXAMPLE_MODELS[-1]]
    return (
        f"*The `{high.label}` comes within {_above(found, high)} nats of the optimum and needs "
        f"k\\*(1 %) = {row_need(high)} inputs; `{low.label}`, which provably forgets, needs "
        f"{row_need(low)} and stays {_above(found, low)} nats above. [{EXAMPLE}](docs/tasks.md), "
        f"budget {BUDGET}.*"
    )


def excerpt() -> str:
    """Return a board as a terminal of 80 columns shows it."""
    found = _board(TEXT)
    records = [r for r in found.records if r.model["label"] in TEXT_MODELS]
    lines = brief_text(boards(records), 80).splitlines()
    asked = f"$ seqmem leaderboard --task {TEXT} --model {','.join(TEXT_MODELS)} --budget {BUDGET}"
    return "\n".join(["```text", asked, *lines[: lines.index("", 3)], "```"])


def overview() -> str:
    """Return a row for each measured task: chance, optimum, best model and context need.

    Of whole tasks, and of models with their usual options.
    """
    rows: list[dict[str, object]] = []
    for found in chosen([record for record in committed()[0] if not is_cut(record)]):
        usual = tuple(row for row in found.rows if ":" not in row.label)
        bests = envelope(found, usual)
        last = bests[-1]
        optimum = found.optimum.get("full")
        best = f"{shown(last.row.scores[last.at])} ({name_of(found, last.row)})"
        rows.append(
            {
                "task": f"`{found.task_id}`",
                "chance": number(found.chance),
                "optimum": "unknown" if optimum is None else number(optimum),
                "best model": best if beats_chance(last.row, last.at, found.chance) else "none",
                "context need": need(envelope_need(found, bests, tolerance(found.records[0]))),
            }
        )
    return table(rows, "markdown", left=("task", "best model")).rstrip()


def _board(task_id: str) -> Board:
    (found,) = (board for board in chosen(committed()[0]) if board.task_id == task_id)
    return found


def _above(found: Board, row: Row) -> str:
    return f"{row.scores['full'].value - found.optimum['full']:.4f}"


def answers() -> str:
    """Return what the findings say first, a line each."""
    found = text_boards(committed_records())
    pairs, known = most_pairs(found), curves(found)
    said = [excess_sentence(known)] if len(known) > 1 else []
    said += [blog_sentence(pairs)] if pairs else []
    return "\n".join(f"- {sentence}" for sentence in said)


BLOCKS: Mapping[str, Callable[[], str]] = {
    "tasks": tasks,
    "models": models,
    "board": board,
    "caption": caption,
    "excerpt": excerpt,
    "overview": overview,
    "answers": answers,
}


def generated(text: str) -> str:
    """Return a text with every generated part replaced."""
    return re.sub(
        r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n\n{found[3]}",
        text,
        flags=re.DOTALL,
    )


def _columns(rows: Sequence[ListingRow], names: tuple[str, ...]) -> list[ListingRow]:
    return [{name: row[name] for name in names} for row in rows]


def stale() -> list[str]:
    """Return the names of pages that are not up to date."""
    return [
        page.name for page in PAGES if generated(text := page.read_text(encoding="utf-8")) != text
    ]


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(f"stale: {', '.join(stale())}; run `make board`" if stale() else 0)
    for page in PAGES:
        page.write_text(generated(page.read_text(encoding="utf-8")), encoding="utf-8")
