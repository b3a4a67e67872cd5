"""`seqmem plot`: a task's records as a picture."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from seqmem.errors import InputError, unknown
from seqmem.files import write_output
from seqmem.leaderboard.charts.curve import curve_chart
from seqmem.leaderboard.charts.picture import FORMATS, picture, renderer
from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.leaderboard.selection import select
from seqmem.leaderboard.statistics.aggregate import boards

__all__ = ["draw"]


def draw(
    task_id: str,
    output: Path,
    places: Sequence[Path | RemoteResults],
    budget: str | None,
    models: Iterable[str],
    log: Callable[[str], object],
) -> None:
    """Draw the context curves of one task to a file.

    Args:
        task_id: the task.
        output: the file; .svg or .png.
        places: files, folders or URLs of records; none: the committed ones, and ./results.
        budget: of training; None for all.
        models: names of known models; each has its own colour in every chart.
        log: called with one line for each file that is no record.

    Raises:
        InputError: there are no such records, the file's name has another ending or it cannot be
            written, or the package that draws is missing.
    """
    form = output.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise InputError(
            f"--output {output}: a picture's name ends in .svg or .png; choose such a name"
        )
    renderer("plot")
    records = list(select(places, [task_id], log).records)
    if budget is not None:
        known = sorted({record.training["budget"] for record in records})
        if budget not in known:
            raise unknown(f"budget of {task_id}", budget, known, "seqmem leaderboard")
        records = [record for record in records if record.training["budget"] == budget]
    write_output(output, picture(curve_chart(boards(records), models), form))
