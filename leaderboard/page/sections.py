"""The parts of a page: an overview of the tasks, a section for each, and the context needs."""

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any

from seqmem.leaderboard.record import Context
from seqmem.leaderboard.tables.formatting import number
from seqmem.leaderboard.tables.wording import count

__all__ = ["contents", "glance", "needs", "section"]

Task = Mapping[str, Any]


def contents(tasks: Sequence[Task]) -> str:
    """Return links to the parts of the page; the overview links to the tasks."""
    if not any(task["rows"] for task in tasks):
        return ""
    links = (("glance", "Tasks"), ("needs", "Context needs"), ("reading", "How to read this page"))
    items = "".join(f'<li><a href="#{place}">{title}</a></li>' for place, title in links)
    return f'<nav aria-label="On this page"><ul>{items}</ul></nav>'


def glance(tasks: Sequence[Task], at: Context) -> str:
    """Return the overview: for each measured task, the memory it needs and the best models.

    Args:
        tasks: of the page.
        at: the k at which models are compared until the reader chooses another.
    """
    measured = [(i, task) for i, task in enumerate(tasks) if task["rows"]]
    if not measured:
        return ""
    rows = "\n".join(_glance_row(i, task, at) for i, task in measured)
    return f"""<section aria-labelledby="glance">
<h2 id="glance">The tasks at a glance</h2>
<div class="scroll" role="region" tabindex="0" aria-labelledby="glance">
<table class="glance">
<caption><span>Lower scores are better. Chance is the score without any memory; the optimum is the
best possible one, where it is known.</span></caption>
<thead><tr><th scope="col">task</th><th scope="col">memory it needs</th>
<th scope="col">best model with <span data-at-k>{_inputs(at)}</span></th>
<th scope="col" class="wide">best model with all inputs</th>
<th scope="col" class="n wide">chance</th><th scope="col" class="n wide">optimum</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
</section>"""


def _inputs(k: Context) -> str:
    return "all inputs" if k == "full" else f"k = {count(k, 'input')}"


def _glance_row(index: int, task: Task, at: Context) -> str:
    optimum = [value for value in task["optimum"] if value is not None]
    about = f"<small>{escape(task['about'])}</small>" if task["about"] else ""
    title = escape(task["title"]).replace("/", "/<wbr>")
    cells = [
        f'<th scope="row"><a href="#task-{index}">{title}</a>{about}</th>',
        f"<td>{_answer(task['answers']['memory'])}</td>",
        f'<td data-leaders="{index}">{_answer(_leaders(task, at))}</td>',
        f'<td class="wide">{_answer(_leaders(task, "full"))}</td>',
        f'<td class="n wide">{_number(task["chance"])}</td>',
        f'<td class="n wide">{_number(optimum[-1]) if optimum else "–"}</td>',
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _leaders(task: Task, at: Context) -> Sequence[str]:
    """Return the best model at one k, as a headline and an explanation."""
    leaders: Sequence[Sequence[str]] = task["answers"]["leaders"]
    found: dict[Context, Sequence[str]] = dict(zip(task["contexts"], leaders, strict=True))
    return found.get(at, ["not measured", ""])


def _answer(words: Sequence[str]) -> str:
    """Return a headline and its explanation."""
    return f"<strong>{escape(words[0])}</strong> <small>{escape(words[1])}</small>"


def _number(value: float | None) -> str:
    return "–" if value is None else number(value)


def section(index: int, task: Task, at: Context) -> str:
    """Return the section of a task; the page's script adds its charts and tables.

    Args:
        index: of the task on the page.
        task: its data.
        at: as for `glance`.
    """
    name = f"task-{index}"
    about = f"{escape(task['about'])}. " if task["about"] else ""
    score, parts = "Nothing measured.", []
    if task["rows"]:
        score = f"Score: <strong>{escape(task['unit'])}</strong>; lower is better."
        parts.append(_measured(index, task, at))
        if "sameModels" in task:
            parts.append(f'<p class="more">{escape(task["sameModels"])}</p>')
        parts += [_strata(*each) for each in task["strata"]]
    parts += [_published(*each) for each in task["published"]]
    content = "\n".join(parts)
    return f"""<section class="task" id="{name}" data-task="{index}" aria-labelledby="{name}-h">
<h2 id="{name}-h">{escape(task["title"])}</h2>
<p class="about">{about}{score}</p>
{content}
</section>"""


def _measured(index: int, task: Task, at: Context) -> str:
    """Return the answers to what readers ask first about a task, and places for its numbers."""
    return f"""<dl class="answers">
<div><dt>Memory it needs</dt><dd>{_answer(task["answers"]["memory"])}</dd></div>
<div><dt>Best model with <span data-at-k>{_inputs(at)}</span></dt>
<dd data-leaders="{index}">{_answer(_leaders(task, at))}</dd></div>
<div><dt>Best model with all inputs</dt><dd>{_answer(_leaders(task, "full"))}</dd></div>
</dl>
<figure class="curves">
<div class="plot" role="img" aria-label="{escape(task["title"])}: {escape(task["unit"])} against
context length k, a line for each model. The table below holds the same numbers."></div>
<ul class="legend" aria-label="Lines"></ul>
<figcaption></figcaption>
</figure>
<div class="scroll board" role="region" tabindex="0" aria-labelledby="task-{index}-h"></div>
<p class="more"></p>
<div class="matrices"></div>"""


def _published(caption: str, columns: Mapping[str, Sequence[Any]]) -> str:
    """Return a table of published numbers."""
    return _table("published", "Published numbers", caption, columns, ("source", "note"))


def _strata(by: str, caption: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a folded table of the models, split by one kind of strata."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    name = f"By {by}"
    content = _table("strata", name, caption, columns, (by,))
    return f"""<details class="strata"><summary>{escape(name)}</summary>
{content}</details>"""


def _table(
    kind: str,
    name: str,
    caption: str,
    columns: Mapping[str, Sequence[Any]],
    texts: Collection[str],
) -> str:
    """Return a table that scrolls on a narrow screen; its first column heads the rows.

    Args:
        kind: its class in the style sheet.
        name: of the region that scrolls.
        caption: above the table.
        columns: cells by heading.
        texts: headings of columns of text; others are of numbers.
    """
    heads = "".join(f'<th scope="col">{escape(title)}</th>' for title in columns)
    rows = ""
    for cells in zip(*columns.values(), strict=True):
        rows += f'<tr><th scope="row">{escape(cells[0])}</th>'
        for title, cell in list(zip(columns, cells, strict=True))[1:]:
            shape = "text" if title in texts else "n"
            rows += f'<td class="{shape}">{escape("–" if cell is None else str(cell))}</td>'
        rows += "</tr>"
    return f"""<div class="scroll {kind}" role="region" tabindex="0"
aria-label="{escape(name)}"><table>
<caption><span>{escape(caption)}</span></caption>
<thead><tr>{heads}</tr></thead>
<tbody>{rows}</tbody></table></div>"""


def needs(tasks: Sequence[Task]) -> str:
    """Return the section of context needs."""
    panels = "\n".join(
        f'<figure class="need" data-task="{i}"><figcaption>{escape(task["title"])}</figcaption>'
        f'<div class="plot" role="img" aria-label="Context need of each model on '
        f'{escape(task["title"])}; the table above holds the same numbers."></div></figure>'
        for i, task in enumerate(tasks)
        if task["rows"]
    )
    return f"""<section id="needs" aria-labelledby="needs-h">
<h2 id="needs-h">Context needs</h2>
<p class="about">How much context each model uses: k*(1&nbsp;%), the smallest k measured whose loss
is within 1&nbsp;% of the model's own full-context loss, with its 95&nbsp;% interval.</p>
<div class="scroll" role="region" tabindex="0" aria-labelledby="needs-h"
id="need-table"></div>
<p class="key"><span class="dot"></span> k*(1&nbsp;%), with its 95&nbsp;% interval
<span class="tri"></span> larger than every k measured <span class="ring"></span> never better than
chance <span class="dash"></span> enough for the best of all models</p>
<div class="needs">
{panels}
</div>
</section>"""
