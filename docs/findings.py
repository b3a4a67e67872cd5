"""Write docs/findings.md, and its charts in docs/findings/, from the committed records alone.

python docs/findings.py            write them
python docs/findings.py --check    check that text and charts are up to date
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from seqmem.baselines import BASELINES
from seqmem.baselines.training.recipes import BUDGETS
from seqmem.docs import sentences
from seqmem.docs.committed import BUDGET, chosen, committed_records, sources
from seqmem.docs.how_much import how_much_charts, how_much_parts, is_memory
from seqmem.docs.limitations import limitations
from seqmem.docs.markup import bullets, chart_name, details, safe, table
from seqmem.docs.other_systems import is_cut, other_parts
from seqmem.docs.sentences import MARGIN, Finding, by_gain, compare, gain
from seqmem.docs.why_memory import why_charts, why_parts
from seqmem.docs.wikitext import text_boards, text_charts, text_parts
from seqmem.leaderboard.charts.styles import listing_order
from seqmem.leaderboard.failure import Failure, read_failures
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.statistics.aggregate import Board, Row, solved
from seqmem.leaderboard.statistics.answers import CLOSE
from seqmem.leaderboard.statistics.context_need import optimum_need
from seqmem.leaderboard.statistics.envelope import envelope, envelope_need
from seqmem.leaderboard.statistics.rows import k_train, name_of, named_rows
from seqmem.leaderboard.store import COMMITTED
from seqmem.leaderboard.tables.formatting import need, number, row_need, state_floats, unit
from seqmem.leaderboard.tables.stable_table import GUARANTEE, measured_pairs
from seqmem.leaderboard.tables.truncation import HARM, truncation_note
from seqmem.leaderboard.tables.wording import count, listed, shown
from seqmem.tasks import SUITES

if TYPE_CHECKING:
    from seqmem.leaderboard.charts.theme import Spec

PAGE = Path(__file__).parent / "findings.md"
CHARTS = PAGE.with_suffix("")
EXAMPLE = "hidden-markov/dwell=20"  # the task that README.md shows
EXAMPLE_MODELS = ("lstm", "tcn", "lstm-stable")  # and its models; the first stands out
TEXT = "wikitext-2"  # of which the LSTM of any budget counts

INTRODUCTION = """# Findings

When can a feed-forward model that sees only the k latest inputs replace a recurrent one, and is a
recurrent model that provably forgets as good as a free one? What the committed records say, as
computed by `make findings`. They are about *these trained models*: only where the optimum is known
is a need that of the task."""

ANSWERS = """## All tasks

{records} on {tasks}, budget `{budget}` unless another is named. Differences are in per cent of a
task's **gain**: chance minus the optimum, or, where that is unknown, minus the best loss here;
below zero, the first model is better. Intervals are in parentheses; where that of a difference does
not exclude zero, the two are *tied*."""

READING = """[What each number means](numbers.md) explains loss, chance, optimum, k and k_train.

- **Scores** are medians over seeds, with half the 95 % interval over data of the same kind. The
  range of several seeds follows in brackets.
- **Context needs** are for 99 % of the gain: the smallest measured k whose loss is within 1 % of
  the gain of the model's own loss at full, of the seed with the median full-context score. Their
  95 % interval follows in parentheses; if seeds differ, the smallest and largest in brackets. On
  the [boards](board.md), k\\*(1 %) is for 1 % of perplexity, and on music for 1 % of chance.
- **Best** is the best model with k inputs or fewer, chosen on the test set that it is scored on.
- **Differences** are of means over seeds, paired over groups of dependent targets. Their intervals
  include the variation between trainings, pooled over the task's models, and are as wide as Holm's
  correction for all pairs of the task's models at that k asks, so that they say what the ranks of
  the board say. Between different k of one comparison they are 95 % intervals.
- **Better** and **worse**: the interval excludes zero, and the medians agree. **In one training
  each**: it is unknown how much trainings vary; the verdict is about these weights. Pairs of which
  neither is at least 1 % better than chance are left out: nothing was compared."""


def committed() -> tuple[list[Record], list[Failure]]:
    """Return the committed records, and trainings of the budget that diverged."""
    failures = [f for f in read_failures(COMMITTED) if f.cell["budget"] == BUDGET]
    return committed_records(), failures


def how_long(records: Sequence[Record]) -> list[Board]:
    """Return the boards of all whole tasks but those that ask how much a model holds."""
    return chosen([record for record in records if not is_memory(record) and not is_cut(record)])


def how_much(records: Sequence[Record]) -> list[Board]:
    """Return the boards of the tasks that ask how much a model holds."""
    return chosen([record for record in records if is_memory(record)])


def cut(records: Sequence[Record]) -> list[Board]:
    """Return the boards of translations of which a part is out of view."""
    return chosen([record for record in records if is_cut(record)])


def findings(records: Sequence[Record]) -> list[Finding]:
    """Return the findings that the records support, at most five."""
    found = [by_gain(board) for board in how_long(records)]
    text = [by_gain(b) for budget in reversed(BUDGETS) for b in chosen(records, budget)]
    some = [
        sentences.kinds(found),
        sentences.words([board for board in text if board.task_id == TEXT]),
        sentences.known_optimum(found),
        sentences.stable(found),
        sentences.trained_at(found),
    ]
    return [finding for finding in some if finding is not None]


def page(records: Sequence[Record], failures: Sequence[Failure]) -> str:
    """Return the whole text."""
    found, told = [by_gain(board) for board in how_long(records)], findings(records)
    number_of_records = sum(len(row.records) for board in found for row in board.rows)
    parts = [
        INTRODUCTION,
        *text_parts(text_boards(records), CHARTS.name),
        ANSWERS.format(
            budget=BUDGET,
            records=count(number_of_records, "record"),
            tasks=count(len(found), "task"),
        ),
        "\n".join(
            f"{i}. {finding.text} ([chart](#chart-{i}); {sources(finding.boards, finding.records)})"
            for i, finding in enumerate(told, start=1)
        )
        or "Nothing measured.",
    ]
    parts += ["## Charts"] * bool(told)
    for i, finding in enumerate(told, start=1):
        parts += [f"### Chart {i}", f"![{alt(finding)}]({CHARTS.name}/{finding.chart})"]
    parts += why_parts(text_boards(records), CHARTS.name)
    parts += how_much_parts(how_much(records), CHARTS.name)
    parts += other_parts(found, cut(records), CHARTS.name)
    parts += [
        "## Evidence",
        details("How to read this", [READING]),
        details("How much context each task needs", [need_table(found)]),
        details("How much context each model uses", [HARM, use_table(found)]),
        details("Feed-forward against recurrent models", [kinds_table(found)]),
        details("Stable and unconstrained models", stable_part(found)),
        details("Trained at k, and cut to k at inference", trained_part(found)),
        *[details(board.task_id, task_part(board)) for board in found],
        "## What these budgets cannot settle",
        bullets(limitations(found, failures, SUITES["core"].tasks, list(BASELINES))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def alt(finding: Finding) -> str:
    return finding.title or "Context need of each model where the optimum is known"


def need_table(found: Sequence[Board]) -> str:
    rows: list[dict[str, object]] = []
    for board in found:
        bests = envelope(board)
        if not bests:
            continue
        last, record = bests[-1], board.records[0]
        shares = {f"{100 * share:.0f} %": share for share in (1 - MARGIN, CLOSE)}
        rows.append(
            {
                "task": board.task_id,
                "best score": shown(last.row.scores[last.at]),
                "model": name_of(board, last.row),
                "chance": number(board.chance),
                **{
                    f"k for {text}": need(envelope_need(board, bests, (1 - share) * gain(board)))
                    for text, share in shares.items()
                },
                **{
                    f"optimum: k for {text}": optimum_need(record, board.optimum, share) or "–"
                    for text, share in shares.items()
                },
            }
        )
    return table(rows)


def use_table(found: Sequence[Board]) -> str:
    """Return a table of context needs: a row for each model, a column for each task."""
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


def kinds_table(found: Sequence[Board]) -> str:
    """Return how the best feed-forward model compares with the best recurrent one at each k."""
    rows: list[dict[str, object]] = []
    for board in found:
        forward, recurrent = sentences.sides(board)
        if "full" not in forward or "full" not in recurrent:
            continue
        words: dict[str, list[str]] = {"better": [], "tied": [], "worse": []}
        for k in board.contexts:
            if k in forward and k in recurrent:
                one, two = sentences.place(forward[k]), sentences.place(recurrent[k])
                compared = compare(board.task_id, board, one, two)
                if compared is not None:
                    words[compared.word].append(str(k))
        names = {"feed-forward": forward["full"], "recurrent": recurrent["full"]}
        enough = sentences.replaced(board)
        rows.append(
            {
                "task": board.task_id,
                **{
                    f"best {kind}": f"{name_of(board, best.row)}: {shown(best.row.scores[best.at])}"
                    for kind, best in names.items()
                },
                f"k within {100 * MARGIN:.0f} %": "–" if enough is None else need(enough),
                **{f"{word} at": listed(ks) if ks else "–" for word, ks in words.items()},
            }
        )
    return table(rows)


def stable_part(found: Sequence[Board]) -> list[str]:
    """Return a table of stable and unconstrained models."""
    rows = measured_pairs(found)
    if not rows:
        return ["No stable model has records together with the unconstrained one."]
    told = [name for name in rows[0] if name != "budget" and not name.startswith("k*")]
    known = [name for name in told if {row[name] for row in rows} != {"–"}]
    return [GUARANTEE, table([{name: row[name] for name in known} for row in rows])]


def trained_part(found: Sequence[Board]) -> list[str]:
    """Return the matrices of models that were trained at several k."""
    return [
        f"![k_train against k: {label} on {board.task_id}]({CHARTS.name}/{name})"
        for board, label, name in matrices(found)
    ] or ["No model has records of several k_train."]


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
            "k for 99 %": row_need(row),
        }
        for name, row in named_rows(board).items()
    ]
    return [
        f"{unit(facts).capitalize()}; chance {number(board.chance)}.",
        f"![{board.task_id}: score against context length k]({CHARTS.name}/{chart_name(board)})",
        table(rows),
        truncation_note(board),
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


def charts(records: Sequence[Record]) -> dict[str, "Spec"]:
    """Return every chart by the name of its file."""
    from seqmem.docs.forest import forest_chart
    from seqmem.leaderboard.charts.curve import Layout, curve_chart
    from seqmem.leaderboard.charts.matrix import matrix_chart
    from seqmem.leaderboard.charts.need import need_chart

    found = how_long(records)
    # The page of each task shows its chart, also where this page has others.
    every = (*found, *how_much(records), *cut(records))
    drawn = {chart_name(board): curve_chart([board], BASELINES) for board in every}
    drawn |= {name: matrix_chart(board, label) for board, label, name in matrices(found)}
    for finding in findings(records):
        drawn[finding.chart] = (
            forest_chart(finding.title, finding.rows)
            if finding.rows
            else need_chart(finding.boards, BASELINES)
        )
    text = text_boards(records)
    drawn |= text_charts(text) | why_charts(text) | how_much_charts(how_much(records))
    for board in (board for board in found if board.task_id == EXAMPLE):
        named = named_rows(board)
        rows = tuple(named[name] for name in EXAMPLE_MODELS if name in named)
        layout = Layout(width=420, highlight=EXAMPLE_MODELS[:1])
        drawn["readme.svg"] = curve_chart([replace(board, rows=rows)], BASELINES, layout)
    return drawn


def stale(records: Sequence[Record], failures: Sequence[Failure]) -> list[str]:
    """Return the names of files that are out of date or should not exist.

    Charts are compared by what they draw: fonts, and with them the files, differ between machines.
    """
    from seqmem.leaderboard.charts.picture import fingerprint

    texts = {PAGE: page(records, failures)}
    texts |= {CHARTS / name: fingerprint(chart) for name, chart in charts(records).items()}
    extra = set(CHARTS.glob("*.svg")) - set(texts)
    return sorted(path.name for path in extra | {p for p in texts if current(p) != texts[p]})


def current(path: Path) -> str | None:
    """Return what a file contains now: a page's text, a chart's fingerprint."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if path.suffix != ".svg":
        return text
    mark = re.search(r'data-fingerprint="(\w+)"', text)
    return mark and mark[1]


def write(records: Sequence[Record], failures: Sequence[Failure]) -> None:
    """Write the page and every chart, and delete charts that no record has."""
    from seqmem.leaderboard.charts.picture import picture

    PAGE.write_text(page(records, failures), encoding="utf-8")
    CHARTS.mkdir(exist_ok=True)
    drawn = charts(records)
    for old in CHARTS.glob("*.svg"):
        if old.name not in drawn:
            old.unlink()
    for name, chart in drawn.items():
        (CHARTS / name).write_bytes(picture(chart, "svg"))


if __name__ == "__main__":
    records, failures = committed()
    if "--check" not in sys.argv:
        write(records, failures)
    elif names := stale(records, failures):
        sys.exit(f"stale: {listed(names)}; run `make findings`")
