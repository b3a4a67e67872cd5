"""Write docs/findings.md, and its charts in docs/findings/, from the committed records alone.

python docs/findings.py            write them
python docs/findings.py --check    check that text and charts are up to date
"""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from seqmem.baselines import BASELINES
from seqmem.docs.committed import committed_records
from seqmem.docs.limitations import limitations
from seqmem.docs.sentences import MOST, kinds, most_need, needs, stable, trained_at, uses
from seqmem.leaderboard.charts.styles import listing_order
from seqmem.leaderboard.failure import Failure, read_failures
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.statistics.aggregate import Board, Row, boards, id_order, solved
from seqmem.leaderboard.statistics.context_need import optimum_need, tolerance
from seqmem.leaderboard.statistics.envelope import envelope, envelope_need
from seqmem.leaderboard.statistics.rows import k_train, latest, name_of, named_rows
from seqmem.leaderboard.store import COMMITTED
from seqmem.leaderboard.tables.formatting import need, number, row_need, state_floats, unit
from seqmem.leaderboard.tables.stable_table import GUARANTEE, measured_pairs
from seqmem.leaderboard.tables.truncation import HARM
from seqmem.leaderboard.tables.wording import count, listed, shown
from seqmem.leaderboard.tables.writing import table as write_table
from seqmem.tasks import SUITES

if TYPE_CHECKING:
    from seqmem.leaderboard.charts.theme import Spec

PAGE = Path(__file__).parent / "findings.md"
CHARTS = PAGE.with_suffix("")
BUDGET = "small"
EXAMPLE = "hidden-markov/dwell=20"  # the task that README.md shows
EXAMPLE_MODELS = ("lstm", "tcn", "lstm-stable")  # and its models; the first stands out

INTRODUCTION = """# Findings

`make findings` computes everything below from the committed records of the `{budget}` budget
({records} on {tasks}). Nothing is said about what was not measured. The
[What each number means](numbers.md) explains loss, chance, optimum, k, k_train and the
context need k\\*(1 %). The results hold for these trained models, not for whole architectures: with
more training every number may change.

- **Scores** are medians over seeds, with half the 95 % interval over data of the same kind. In
  tables, the range of several seeds follows in brackets.
- **Context needs** are those of the seed with the median full-context score. If seeds differ, the
  smallest and largest context need follow in brackets.
- **Solved** is the number of seeds whose full-context score is within 1 % of the optimum.
- **k_train** is the recipe's if none is given.
- **Best** is the best model here with k inputs or fewer, chosen on the test set that it is scored
  on; in statements about a task alone, over all k_train.
- **Differences** are of means over seeds, paired over groups of dependent targets. Their intervals
  include the variation between trainings, pooled over the task's models, and are as wide as Holm's
  correction for all pairs of the task's models at that k asks, so that they say what the ranks of
  the board say. Between different k they are 95 % intervals, with the variation between trainings
  of the two models alone. Differences of perplexities are relative, in per cent; others are in the
  task's unit. They are negative if the first model is better.
- **Verdicts**: *better* and *worse*: the interval of the difference excludes zero, and the medians
  agree. *The same within 1 %*: the whole interval lies within the tolerance, whatever its sign, and
  both models gain more than that over chance. *Tied*: neither of these. *In one training each*: it
  is unknown how much trainings vary, as there is only one; the verdict is about these weights, and
  the board does not rank them. *Neither at least 1 % better than chance* and *neither significantly
  better than chance*: the models learned too little to be compared.
- **1 %**, the tolerance, is of perplexity; elsewhere of chance minus optimum, or of chance where
  the optimum is unknown. A model that gains less than that over chance has no context need."""


def chosen(records: Sequence[Record]) -> list[Board]:
    """Return one board for each task: of several versions, data or recipes the latest."""
    newest: dict[str, Board] = {}
    found = boards(record for record in records if record.training["budget"] == BUDGET)
    for board in sorted(found, key=lambda b: max(record.created for record in b.records)):
        newest[board.task_id] = latest(board)
    return [newest[task_id] for task_id in sorted(newest, key=id_order)]


def committed() -> tuple[list[Record], list[Failure]]:
    """Return the committed records of the budget, and trainings of it that diverged."""
    failures = [f for f in read_failures(COMMITTED) if f.cell["budget"] == BUDGET]
    return committed_records(BUDGET), failures


def page(found: Sequence[Board], failures: Sequence[Failure]) -> str:
    """Return the whole text."""
    number_of_records = sum(len(row.records) for board in found for row in board.rows)
    parts = [
        INTRODUCTION.format(
            budget=BUDGET,
            records=count(number_of_records, "record"),
            tasks=count(len(found), "task"),
        ),
        "## How much context each task needs",
        f"The smallest k for {100 * MOST:.0f} % of the best model's gain over chance (in loss), "
        "and for its best score to within 1 %; 95 % intervals in parentheses.",
        need_table(found),
        "## How much context each model uses",
        HARM,
        f"![Context need of each model on each task, listed in the table below]"
        f"({CHARTS.name}/need.svg)",
        use_table(found),
        "## Stable and unconstrained models",
        *stable_part(found),
        "## Feed-forward and recurrent models at equal k",
        *by_task(found, kinds, "No task has records of both."),
        "## Trained at k, and truncated to k at inference",
        *by_task(found, trained_at, "No model has records of several k_train."),
        *[
            f"![k_train against k: {label} on {board.task_id}]({CHARTS.name}/{name})"
            for board, label, name in matrices(found)
        ],
        "## Limitations of these results",
        bullets(limitations(found, failures, SUITES["core"].tasks, list(BASELINES))),
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
                f"k for {100 * MOST:.0f} %": need(most_need(board, bests)),
                "k to within 1 %": need(envelope_need(board, bests, tolerance(record))),
                f"optimum: k for {100 * MOST:.0f} %": best_possible or "–",
            }
        )
    return table(rows)


def use_table(found: Sequence[Board]) -> str:
    """Return a table of k*(1 %): a row for each model, a column for each task."""
    needed = {
        (name, board.task_id): row_need(row)
        for board in found
        for name, row in named_rows(board).items()
    }
    models = sorted(
        {name for name, _ in needed}, key=lambda name: listing_order(name, list(BASELINES))
    )
    return table(
        [
            {
                "model": model,
                **{b.task_id: needed.get((model, b.task_id), "–") for b in found},
            }
            for model in models
        ]
    )


def stable_part(found: Sequence[Board]) -> list[str]:
    """Return a table of stable and unconstrained models, and how often which is better."""
    rows = measured_pairs(found)
    if not rows:
        return ["No stable model has records together with the unconstrained one."]
    known = [name for name in rows[0] if name != "budget" and {row[name] for row in rows} != {"–"}]
    verdicts = []
    for word in dict.fromkeys(row["the stable model is"] for row in rows):
        which = [
            f"{row['model']} on {row['task']}" for row in rows if row["the stable model is"] == word
        ]
        verdicts.append(f"{word} in {len(which)} ({listed(which)})")
    return [
        f"Of {count(len(rows), 'pair')}, the stable model is {'; '.join(verdicts)}. The difference "
        f"is the stable model's score minus that of the same model unconstrained. {GUARANTEE}",
        table([{name: row[name] for name in known} for row in rows]),
    ]


def by_task(
    found: Sequence[Board], part: Callable[[Board], list[str]], otherwise: str
) -> list[str]:
    lines = [f"{board.task_id}: {' '.join(some)}" for board in found if (some := part(board))]
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
            "state, floats": "–" if (size := state_floats(row)) is None else f"{size:,}",
            **best(row),
            "full": shown(row.scores["full"], spread=True) if "full" in row.scores else "–",
            "k*(1 %)": row_need(row),
        }
        for name, row in named_rows(board).items()
    ]
    parts = (needs, uses, stable, kinds, trained_at)
    sentences = [sentence for part in parts for sentence in part(board)]
    return [
        f"### {board.task_id}",
        f"{unit(facts).capitalize()}; chance {number(board.chance)}.",
        f"![{board.task_id}: score against context length k]({CHARTS.name}/{chart_name(board)})",
        table(rows),
        bullets(sentences),
    ]


def best(row: Row) -> dict[str, str]:
    """Return the best score at any k, and the smallest k that has it."""
    k = min(row.scores, key=lambda k: row.scores[k].value)
    return {"best score": shown(row.scores[k], spread=True), "at k": str(k)}


def matrices(found: Sequence[Board]) -> list[tuple[Board, str, str]]:
    """Return models with at least three k_train on a task: board, label, name of the chart."""
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
    left = {"task", "model", "the stable model is"}
    return write_table(rows, "markdown", left).rstrip("\n")


def bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def charts(found: Sequence[Board]) -> dict[str, "Spec"]:
    """Return every chart by the name of its file."""
    from seqmem.leaderboard.charts.curve import Layout, curve_chart
    from seqmem.leaderboard.charts.matrix import matrix_chart
    from seqmem.leaderboard.charts.need import need_chart

    drawn = {chart_name(board): curve_chart([board], BASELINES) for board in found}
    drawn |= {name: matrix_chart(board, label) for board, label, name in matrices(found)}
    drawn |= {"need.svg": need_chart(found, BASELINES)} if found else {}
    for board in (board for board in found if board.task_id == EXAMPLE):
        named = named_rows(board)
        rows = tuple(named[name] for name in EXAMPLE_MODELS if name in named)
        layout = Layout(width=420, highlight=EXAMPLE_MODELS[:1])
        drawn["readme.svg"] = curve_chart([replace(board, rows=rows)], BASELINES, layout)
    return drawn


def stale(found: Sequence[Board], failures: Sequence[Failure]) -> list[str]:
    """Return the names of files that are out of date or should not exist.

    Charts are compared by what they draw: fonts, and with them the files, differ between machines.
    """
    from seqmem.leaderboard.charts.picture import fingerprint

    texts = {PAGE: page(found, failures)}
    texts |= {CHARTS / name: fingerprint(chart) for name, chart in charts(found).items()}
    extra = set(CHARTS.glob("*.svg")) - set(texts)
    return sorted(path.name for path in extra | {p for p in texts if current(p) != texts[p]})


def current(path: Path) -> str | None:
    """Return what a file contains now: a page's text, a chart's fingerprint."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if path.suffix != ".svg":
        return text
    mark = re.search(r'data-fingerprint="(\w+)"', text)
    return mark and mark[1]


def write(found: Sequence[Board], failures: Sequence[Failure]) -> None:
    """Write the page and every chart, and delete charts that no record has."""
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
