"""`seqmem plot`: the records of some tasks as a picture."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seqmem.errors import InputError, unknown
from seqmem.files import write_output
from seqmem.leaderboard.charts.curve import Layout, curve_chart
from seqmem.leaderboard.charts.picture import form_of, picture, width_of
from seqmem.leaderboard.charts.theme import Spec
from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.leaderboard.selection import names, select
from seqmem.leaderboard.statistics.aggregate import Board, boards
from seqmem.leaderboard.statistics.rows import named_rows
from seqmem.leaderboard.tables.wording import count

__all__ = ["PlotRequest", "draw"]

POINTS = 72  # in an inch
# Of a picture of a given width: its labels of 11 pixels become 8 points, the size of a caption.
SCALE = 8 / 11
NARROWEST = 100  # pixels: the narrowest frame on which curves can be read


@dataclass(frozen=True)
class PlotRequest:
    """What is drawn, and how.

    Attributes:
        tasks: a panel for each.
        output: the file; .svg, .pdf or .png.
        places: files, folders or URLs of records; none: the committed ones, and ./results.
        budget: of training; None for all.
        models: only these, with or without their options; none: all.
        highlight: the models that stand out.
        width: of the whole picture in inches; None for the usual one.
        columns: panels side by side.
        font: the font family; None for the usual one.
    """

    tasks: tuple[str, ...]
    output: Path
    places: tuple[Path | RemoteResults, ...] = ()
    budget: str | None = None
    models: tuple[str, ...] = ()
    highlight: tuple[str, ...] = ()
    width: float | None = None
    columns: int = 1
    font: str | None = None


def draw(request: PlotRequest, baselines: Iterable[str], log: Callable[[str], object]) -> None:
    """Draw context curves to a file.

    Args:
        request: what is drawn, and how.
        baselines: names of known models; each has its own colour in every chart.
        log: called with one line for each file that is no record.

    Raises:
        InputError: there are no such records or models, the file's name has another ending or it
            cannot be written, the width is too small, or the package that draws is missing.
    """
    output = request.output
    form = form_of(output, "plot")
    found = _boards(request, log)
    shown = [name for board in found for name in named_rows(board)]
    highlight = tuple(
        name for name in shown if any(names(name, given) for given in request.highlight)
    )
    for given in request.highlight:
        if not any(names(name, given) for name in shown):
            raise unknown("model to highlight", given, sorted(set(shown)), "seqmem leaderboard")
    layout = Layout(columns=request.columns, highlight=highlight)
    if request.font is not None:
        layout = replace(layout, font=request.font)
    known = list(baselines)
    if request.width is None:
        content = picture(curve_chart(found, known, layout), form)
    else:
        content = picture(_fitted(found, known, layout, request.width), form, SCALE)
    write_output(output, content)


def _boards(request: PlotRequest, log: Callable[[str], object]) -> list[Board]:
    """Return the boards of the tasks, in the order requested."""
    chosen = select(
        request.places, request.tasks, log, models=request.models, budget=request.budget
    )
    order = {task: place for place, task in enumerate(request.tasks)}
    return sorted(boards(chosen.records), key=lambda board: order[board.task_id])


def _fitted(
    found: Sequence[Board], baselines: Sequence[str], layout: Layout, inches: float
) -> Spec:
    """Return a chart whose whole width, times SCALE, is the given one.

    Raises:
        InputError: no curve could be read in the frames that remain beside axes and labels.
    """
    columns = min(layout.columns, len(found))
    around = width_of(curve_chart(found, baselines, layout)) - columns * layout.width
    frame = int((inches * POINTS / SCALE - around) / columns)
    if frame < NARROWEST:
        least = (around + columns * NARROWEST) * SCALE / POINTS
        raise InputError(
            f"--width {inches:g}: {count(columns, 'panel')} with labels need {least:.1f} inches or "
            "more; widen it, show fewer --columns, or only some --model"
        )
    return curve_chart(found, baselines, replace(layout, width=frame))
