"""Selection of the records that a command shows: by place, task, model and budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from seqmem.errors import InputError, unknown
from seqmem.leaderboard.published import Published, read_published
from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.statistics.rows import usual_rows
from seqmem.leaderboard.store import COMMITTED, read_records, record_directory

__all__ = ["ELSEWHERE", "Selection", "beside_committed", "names", "select"]

OWN = Path("results") / "records"
MOST_NAMED = 8  # budgets in a message
ELSEWHERE = "elsewhere"  # the budget of a model that was trained outside seqmem


@dataclass(frozen=True)
class Selection:
    """Selected records.

    Attributes:
        records: of the requested tasks.
        published: published numbers of these tasks.
        any_records: whether there are records of any task.
    """

    records: tuple[Record, ...]
    published: tuple[Published, ...]
    any_records: bool


def select(
    places: Sequence[Path | RemoteResults],
    task_ids: Sequence[str],
    log: Callable[[str], object],
    *,
    published: bool = False,
    models: Sequence[str] = (),
    budget: str | None = None,
    rescored: Sequence[Path] = (),
) -> Selection:
    """Return the records of some tasks.

    Args:
        places: files, folders or URLs; none: the committed ones, and ./results.
        task_ids: the tasks; none: all that were measured.
        log: called with one line for each file that is no record, or says more than is known.
        published: whether published numbers are read, also of tasks without records.
        models: only these, with or without their options; none: all.
        budget: only models trained with it; None for all.
        rescored: further folders, whose records are believed if they say "rescored".

    Raises:
        InputError: a place does not exist or cannot be read, or a task, a model or a budget has no
            records.
    """
    here: list[Path] = []
    for place in places:
        if isinstance(place, Path) and not place.exists():
            raise InputError(f"--records {place}: there is no such file or folder")
        found = [place] if isinstance(place, Path) else place.fetch_records()
        if not found:
            raise InputError(f"--records {place}: there are no records")
        here += found
    usual = [place for place in (COMMITTED, OWN) if place.is_dir()]
    records, problems = read_records(here or usual, rescored)
    for problem in problems:
        log(problem)
    printed = read_published() if published else ()
    measured = {record.task.id for record in records}
    known = measured | {entry.task for entry in printed}
    if task_ids and not known:
        raise InputError(
            f"no records of {task_ids[0]}, nor of other tasks: `seqmem eval lstm --suite smoke` "
            "makes some; --records DIR selects other folders"
        )
    for task_id in task_ids:
        if task_id not in known:
            raise unknown("task among the records", task_id, sorted(known), "seqmem leaderboard")
    requested = set(task_ids) or measured
    chosen = [record for record in records if record.task.id in requested]
    return Selection(
        tuple(_of_models(_of_budget(chosen, budget), models)),
        tuple(entry for entry in printed if entry.task in requested),
        bool(records),
    )


def beside_committed(records: Sequence[Record]) -> list[Record]:
    """Return records, and beside the user's own models the committed baselines of their tasks.

    These are models that the records lack, at the same budget (at any, beside a model that was
    trained outside seqmem), as their recipes train them, and at the context lengths that the
    records have.
    """
    budgets = {_edition(each): each.training["budget"].partition(",")[0] for each in records}
    with_own = {_edition(each) for each in records if each.model.get("own")}
    measured = {_edition(each): set[Context]() for each in records}
    for each in records:
        measured[_edition(each)] |= {point.k for point in each.curve}
    labels = {(_edition(each), each.model["label"]) for each in records}
    folders = [record_directory(COMMITTED, edition[0]) for edition in with_own]
    committed, _ = read_records(folder for folder in folders if folder.is_dir())
    beside = [
        each
        for each in committed
        if (edition := _edition(each)) in with_own
        and budgets[edition] in (each.training["budget"], ELSEWHERE)
        and (edition, each.model["label"]) not in labels
    ]
    usual = [r for board in boards(beside) for row in usual_rows(board) for r in row.records]
    shortened = [
        replace(each, curve=tuple(p for p in each.curve if p.k in measured[_edition(each)]))
        for each in usual
    ]
    return [*records, *(each for each in shortened if each.curve)]


def _edition(record: Record) -> tuple[str, int, str]:
    return record.task.id, record.task.version, record.task.data_hash


def _of_budget(records: Sequence[Record], budget: str | None) -> Sequence[Record]:
    if budget is None:
        return records
    known = sorted({record.training["budget"] for record in records})
    if budget not in known:
        close = get_close_matches(budget, known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        listed = ", ".join(f"'{each}'" for each in known[:MOST_NAMED])
        more = ", …" if len(known) > MOST_NAMED else ""
        raise InputError(
            f"unknown budget '{budget}': {hint}these records have {listed or 'none'}{more}"
        )
    return [record for record in records if record.training["budget"] == budget]


def _of_models(records: Sequence[Record], models: Sequence[str]) -> Sequence[Record]:
    labels = {record.model["label"] for record in records}
    for model in models:
        if not any(names(label, model) for label in labels):
            raise unknown("model among the records", model, sorted(labels), "seqmem leaderboard")
    return [r for r in records if not models or any(names(r.model["label"], m) for m in models)]


def names(label: str, given: str) -> bool:
    """Return whether a user names a label: in full, or without options and training settings."""
    model = label.partition(", ")[0]
    return given in (label, model, model.partition(":")[0])
