"""What `seqmem tasks`, `seqmem models` and `seqmem data` list."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace

from seqmem.baselines import BASELINES
from seqmem.baselines.match import parameters_of
from seqmem.baselines.options import Option
from seqmem.baselines.spec import (
    ModelSpec,
    build_model,
    model_class,
    options_of,
    ranges_of,
)
from seqmem.baselines.training.recipes import recipe_for
from seqmem.errors import InputError, unknown
from seqmem.leaderboard import Format
from seqmem.leaderboard.statistics.aggregate import id_order
from seqmem.leaderboard.tables.fitted import terminal_width
from seqmem.leaderboard.tables.writing import table
from seqmem.tasks import (
    DATA,
    FAMILIES,
    SUITES,
    Family,
    data_problem,
    family_of,
    listed_tasks,
    load_source,
    load_task,
)
from seqmem.tasks.task import Tokens

__all__ = ["EXAMPLE", "data_rows", "model_rows", "task_rows", "write_rows"]

ListingRow = Mapping[str, object]

# The task that models' sizes are shown for.
EXAMPLE = "hidden-markov/dwell=20"


def task_rows(ids: Sequence[str] = ()) -> list[ListingRow]:
    """Return one row for each of these tasks; none: for each of the suites.

    Raises:
        InputError: there is no such task.
    """
    return [_task_row(task_id) for task_id in ids or sorted(listed_tasks(), key=id_order)]


def _task_row(task_id: str) -> ListingRow:
    task = load_task(task_id)
    family = FAMILIES[family_of(task_id)]
    problem = data_problem(task_id)
    optimum = chance = digest = None
    if not problem and not family.user_data:
        try:
            chance, optimum = task.chance(), task.optimum("full")
            digest = task.data_hash
        except InputError as error:
            problem = str(error)
    return {
        "task": task_id,
        "asks": family.summary,
        "loss": task.loss.name,
        "unit": task.loss.unit + ("; shown as perplexity" if task.loss.score != "loss" else ""),
        "chance": None if chance is None else round(chance, 4),
        "optimum": None if optimum is None else round(optimum, 4),
        "longest useful k": task.longest_context,
        "contexts": ",".join(map(str, (*task.contexts, "full"))),
        "suites": ",".join(name for name, suite in SUITES.items() if task_id in suite.tasks),
        "data": _data_state(family, problem),
        "data sha256": digest and digest[:16],
    }


def _data_state(family: Family, problem: str) -> str:
    if family.user_data:
        return "yours"
    return "generated" if family.data is None else "missing" if problem else "found"


def model_rows(names: Sequence[str] = ()) -> list[ListingRow]:
    """Return one row for each of these baselines, or each, as trained on `EXAMPLE` by default.

    State floats are those stored after reading the task's longest useful context.

    Raises:
        InputError: there is no such model.
    """
    for name in names:
        if name not in BASELINES:
            raise unknown("model", name, BASELINES, "seqmem models")
    task = load_task(EXAMPLE)  # a task of the next token, which nearly every baseline can do
    pairs = copy(task)
    assert isinstance(task.inputs, Tokens)
    pairs.inputs = replace(task.inputs, separator=0)
    recipe = recipe_for(task.family, "small")
    rows: list[ListingRow] = []
    for name in names or BASELINES:
        spec = ModelSpec(name)  # sizes only: no weights are made or drawn
        sized = pairs if model_class(name).needs_separator else task
        model, _ = build_model(spec, sized, recipe.k_train, recipe.options, device="meta")
        options = options_of(name).items()
        rows.append(
            {
                "model": name,
                "is": BASELINES[name].summary,
                "options": _texts(options),
                "ranges": "; ".join(f"{key} {each}" for key, each in ranges_of(name).items()),
                "sizes on": _as_trained(name, recipe.options)
                + (", if one of its ids were a separator" if sized is pairs else ""),
                "parameters": parameters_of(model),
                "receptive field": model.receptive_field,
                "state floats": model.state_size(task.longest_context),
            }
        )
    return rows


def _as_trained(name: str, options: Mapping[str, Option]) -> str:
    """Return the example task, with the options of its recipe that the model has."""
    own = options_of(name)
    used = _texts((key, value) for key, value in options.items() if key in own)
    return f"{EXAMPLE}{f' with {used}' if used else ''}"


def _texts(options: Iterable[tuple[str, Option]]) -> str:
    """Return options as text that a narrow terminal breaks between them."""
    return ", ".join(f"{key}={value}" for key, value in options)


def data_rows() -> list[ListingRow]:
    """Return one row for each data set."""
    rows: list[ListingRow] = []
    for source in map(load_source, DATA):
        located = source.locate()
        state = "not here"
        if located.files is not None:
            try:
                note = source.check()
                state = "found, counts and hashes right" + (f"; {note}" if note else "")
            except InputError as error:
                state = f"wrong: {error}"
        rows.append(
            {
                "data": source.name,
                "is": source.title,
                "licence": source.licence,
                "looked for in": located.where,
                "state": state,
                "to get it": source.how_to_get,
            }
        )
    return rows


def write_rows(rows: Sequence[ListingRow], form: Format) -> str:
    """Return rows in one of `FORMATS`."""
    if form != "table":
        return table(rows, form).rstrip("\n")
    # In a terminal one block for each entry is easier to read than a line of 300 characters.
    indent = max(len(key) for row in rows for key in row) + 4
    blocks = []
    for row in rows:
        first, *rest = [(key, "–" if value is None else str(value)) for key, value in row.items()]
        lines = [_entry(key, value, indent) for key, value in rest]
        blocks.append("\n".join([first[1], *lines]))
    return "\n\n".join(blocks)


def _entry(key: str, value: str, indent: int) -> str:
    """Return one fact of a block, on as many lines as the terminal's width asks for."""
    width = max(terminal_width() - indent, 20)
    lines = textwrap.wrap(value, width, break_on_hyphens=False) or [""]
    return f"  {key}".ljust(indent) + f"\n{' ' * indent}".join(lines)
