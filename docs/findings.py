"""Write docs/findings.md, and its charts in docs/findings/, from the committed records alone.

python docs/findings.py            write them
python docs/findings.py --check    say whether text and charts are as they would be written
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seqmem.baselines import BASELINES
from seqmem.docs.sentences import MOST, kinds, most_gained, needs, stable, trained_at, uses
from seqmem.docs.unsettled import unsettled
from seqmem.leaderboard.aggregate import Board, Row, boards, solved
from seqmem.leaderboard.failure import Failure, read_failures
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.rows import k_train, latest, name_of, named_rows
from seqmem.leaderboard.statistics.context_need import optimum_need, tolerance
from seqmem.leaderboard.statistics.envelope import envelope, envelope_need
from seqmem.leaderboard.store import COMMITTED, read_records
from seqmem.leaderboard.tables.formatting import need, number, row_need, state_floats, unit
from seqmem.leaderboard.tables.stable_table import PROMISE, measured_pairs
from seqmem.leaderboard.tables.wording import count, listed, shown
from seqmem.leaderboard.tables.writing import table as write_table
from seqmem.tasks import SUITES

if TYPE_CHECKING:
    from seqmem.leaderboard.charts.theme import Spec

PAGE = Path(__file__).parent / "findings.md"
CHARTS = PAGE.with_suffix("")
BUDGET = "small"
OLDEST = 2  # schema; before, one small sample of targets served every k

INTRODUCTION = """# Findings

Everything below is computed from the committed records of the `{budget}` budget ({records} on
{tasks}) by `make findings`, and changes with them. Nothing is said of what was not measured.

How to read it. A score is the median over seeds, with half the 95 % interval over data of the same
kind, and in tables, where there are several seeds, the range of theirs in brackets. A context need
is that of the seed with the median full-context score; where seeds differ, the least and the most
of any follow in brackets. *Solved* counts the seeds whose full-context score is within 1 % of the
optimum. The
[README](../README.md#what-each-number-means) explains loss, chance, optimum, k, k_train and the
context need k\\*(1 %). A model is what its recipe at this budget makes of it: more training
may change every number. Where no other k_train is named, the recipe's is meant. The *best* is the
best of the models here, chosen on the test set that it is scored on, at k inputs or fewer; in what
is said of a task alone, whatever it was trained with. Differences are paired: over seeds where both
models have several (Student's t over the differences of seeds, on this test set), and then they are
means; else over groups of dependent targets of one seed, and then how training varies is not in
them. *Better* and *worse* mean that the 95 % interval of the
difference excludes zero; *the same within 1 %* that it lies within ±1 % (of perplexity; else of
the way from chance to the optimum, or to 0), whatever its sign; *not told apart* is the rest. Where
neither of two is proved better than chance in most of its seeds, paired target by target, that is
said instead. No correction is made for the number of comparisons. Differences of perplexities are
relative, in per cent; others are in the task's unit, and negative where the first is better."""


def chosen(records: Sequence[Record]) -> list[Board]:
    """One board for each task: of several versions, data or recipes, the latest record's."""
    newest: dict[str, Board] = {}
    made = boards(record for record in records if record.training["budget"] == BUDGET)
    for board in sorted(made, key=lambda b: max(record.created for record in b.records)):
        newest[board.task_id] = latest(board)
    return [newest[task_id] for task_id in sorted(newest)]


def committed() -> tuple[list[Record], list[Failure]]:
    """The committed records of a schema that is not too old, and trainings that diverged."""
    paths = [
        path
        for path in sorted(COMMITTED.rglob("*.json"))
        if json.loads(path.read_text(encoding="utf-8")).get("schema", 0) >= OLDEST
    ]
    records, problems = read_records(paths)
    if problems:
        raise SystemExit("\n".join(problems))
    failures = [f for f in read_failures(COMMITTED) if f.cell["budget"] == BUDGET]
    return records, failures


def page(found: Sequence[Board], failures: Sequence[Failure]) -> str:
    """The whole text."""
    number_of_records = sum(len(row.records) for board in found for row in board.rows)
    parts = [
        INTRODUCTION.format(
            budget=BUDGET,
            records=count(number_of_records, "record"),
            tasks=count(len(found), "task"),
        ),
        "## How much context each task needs",
        f"What {100 * MOST:.0f} % of the best model's gain over chance takes (counted in loss), "
        "and its best score to within 1 %. Brackets: what the interval allows.",
        need_table(found),
        "## How much context each model uses",
        f"![Context need of each model on each task, listed in the table below]"
        f"({CHARTS.name}/need.svg)",
        use_table(found),
        "## Where stable and unstable models differ",
        *stable_part(found),
        "## Feed-forward and recurrent models at equal k",
        *by_task(found, kinds, "No task has records of both."),
        "## Trained at k, and cut to k at inference",
        *by_task(found, trained_at, "No model has records of several k_train."),
        *[
            f"![k_train against k: {label} on {board.task_id}]({CHARTS.name}/{name})"
            for board, label, name in matrices(found)
        ],
        "## What this budget cannot settle",
        bullets(unsettled(found, failures, SUITES["core"].tasks, list(BASELINES))),
        "## Task by task",
    ]
    for board in found:
        parts += task_part(board)
    return "\n\n".join(part for part in parts if part) + "\n"


def need_table(found: Sequence[Board]) -> str:
    rows: list[dict[str, object]] = []
    for board in found:
        bests = envelope(board)
        if not bests:
            continue
        last, record = bests[-1], board.records[0]
        best_possible = optimum_need(record, board.optimum, MOST)
        rows.append(
            {
                "task": board.task_id,
                "best score": shown(last.row.scores[last.at]),
                "model": name_of(board, last.row),
                "chance": number(board.chance),
                f"k for {100 * MOST:.0f} %": need(envelope_need(bests, most_gained(board, bests))),
                "k to within 1 %": need(envelope_need(bests, tolerance(record))),
                f"optimum: k for {100 * MOST:.0f} %": best_possible or "–",
            }
        )
    return table(rows)


def use_table(found: Sequence[Board]) -> str:
    """k*(1 %) of each model, a row, on each task, a column."""
    needed = {
        (name, board.task_id): row_need(row)
        for board in found
        for name, row in named_rows(board).items()
    }
    models = sorted({name for name, _ in needed}, key=in_order)
    return table(
        [
            {
                "model": model,
                **{b.task_id: needed.get((model, b.task_id), "–") for b in found},
            }
            for model in models
        ]
    )


def in_order(name: str) -> tuple[int, str]:
    """Baselines as `seqmem models` lists them."""
    listing = list(BASELINES)
    known = re.split("[:,]", name)[0]
    return (listing.index(known) if known in listing else len(listing), name)


def stable_part(found: Sequence[Board]) -> list[str]:
    """A table of every stable model beside the unconstrained one, and how often which is better."""
    rows = measured_pairs(found)
    if not rows:
        return ["No stable model has records beside the unconstrained one."]
    known = [name for name in rows[0] if name != "budget" and {row[name] for row in rows} != {"–"}]
    says = []
    for word in dict.fromkeys(row["the stable one is"] for row in rows):
        which = [
            f"{row['model']} on {row['task']}" for row in rows if row["the stable one is"] == word
        ]
        says.append(f"{word} in {len(which)} ({listed(which)})")
    return [
        f"Of {count(len(rows), 'pair')}, the stable model is {'; '.join(says)}. *Free* is the same "
        f"model, unconstrained; the difference is the stable one's score less its. {PROMISE}",
        table([{name: row[name] for name in known} for row in rows]),
    ]


def by_task(found: Sequence[Board], say: Callable[[Board], list[str]], otherwise: str) -> list[str]:
    lines = [f"{board.task_id}: {' '.join(said)}" for board in found if (said := say(board))]
    return [bullets(lines) if lines else otherwise]


def task_part(board: Board) -> list[str]:
    facts = board.records[0].task
    rows = [
        {
            "model": name,
            "k_train": k_train(row),
            "seeds": len(row.records),
            **({} if (some := solved(row)) is None else {"solved": some}),
            "parameters": f"{row.records[0].model['parameters']:,}",
            "state, floats": "–" if (kept := state_floats(row)) is None else f"{kept:,}",
            **best(row),
            "full": shown(row.scores["full"], spread=True) if "full" in row.scores else "–",
            "k*(1 %)": row_need(row),
        }
        for name, row in named_rows(board).items()
    ]
    sentences = [say for part in (needs, uses, stable, kinds, trained_at) for say in part(board)]
    return [
        f"### {board.task_id}",
        f"{unit(facts).capitalize()}; chance {number(board.chance)}.",
        f"![{board.task_id}: score against context length k]({CHARTS.name}/{chart_name(board)})",
        table(rows),
        bullets(sentences),
    ]


def best(row: Row) -> dict[str, str]:
    """The best score at any k, and the smallest k that has it."""
    k = min(row.scores, key=lambda k: row.scores[k].value)
    return {"best score": shown(row.scores[k], spread=True), "at k": str(k)}


def matrices(found: Sequence[Board]) -> list[tuple[Board, str, str]]:
    """Models with at least three k_train on a task: board, label, name of the chart."""
    some = []
    for board in found:
        for label in sorted({row.label for row in board.rows}):
            rows = [row for row in board.rows if row.label == label]
            if len({row.k_train for row in rows}) > 2:
                name = f"{safe(label)}-on-{chart_name(board)}"
                some.append((board, label, name))
    return some


def chart_name(board: Board) -> str:
    return f"{safe(board.task_id)}.svg"


def safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.=_-]", "_", text)


def table(rows: Sequence[dict[str, object]]) -> str:
    if not rows:
        return "Nothing measured."
    left = {"task", "model", "the stable one is"}
    return write_table(rows, "markdown", left).rstrip("\n")


def bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def charts(found: Sequence[Board]) -> dict[str, "Spec"]:
    """Every chart, by the name of its file."""
    from seqmem.leaderboard.charts import curve_chart, matrix_chart, need_chart

    drawn = {chart_name(board): curve_chart([board], BASELINES) for board in found}
    drawn |= {name: matrix_chart(board, label) for board, label, name in matrices(found)}
    return drawn | ({"need.svg": need_chart(found, BASELINES)} if found else {})


def stale(found: Sequence[Board], failures: Sequence[Failure]) -> list[str]:
    """The files that would be written otherwise, or taken away.

    A chart counts as what it draws: fonts, and with them the drawing, differ between machines.
    """
    from seqmem.leaderboard.charts.picture import fingerprint

    texts = {PAGE: page(found, failures)}
    texts |= {CHARTS / name: fingerprint(chart) for name, chart in charts(found).items()}
    gone = set(CHARTS.glob("*.svg")) - set(texts)
    return sorted(path.name for path in gone | {p for p in texts if current(p) != texts[p]})


def current(path: Path) -> str | None:
    """What a file says now: a page its text, a chart its fingerprint."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if path.suffix != ".svg":
        return text
    mark = re.search(r'data-fingerprint="(\w+)"', text)
    return mark and mark[1]


def write(found: Sequence[Board], failures: Sequence[Failure]) -> None:
    """Write the page and every chart, and take away those of no record."""
    from seqmem.leaderboard.charts.picture import picture

    PAGE.write_text(page(found, failures), encoding="utf-8")
    CHARTS.mkdir(exist_ok=True)
    drawn = charts(found)
    for old in CHARTS.glob("*.svg"):
        if old.name not in drawn:
            old.unlink()
    for name, chart in drawn.items():
        (CHARTS / name).write_bytes(picture(chart, "svg"))


if __name__ == "__main__":
    records, failures = committed()
    found = chosen(records)
    if "--check" not in sys.argv:
        write(found, failures)
    elif names := stale(found, failures):
        sys.exit(f"stale: {listed(names)}; run `make findings`")
