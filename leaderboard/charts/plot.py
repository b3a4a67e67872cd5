"""`seqmem plot`: the records of some tasks as a picture."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seqmem.errors import InputError, unknown
from seqmem.files import write_output
from seqmem.leaderboard.charts.curve import Layout, curve_chart
from seqmem.leaderboard.charts.picture import form_of, picture, width_of
from seqmem.leaderboard.charts.strata import WIDTH as STRATA_FRAME
from seqmem.leaderboard.charts.strata import strata_chart
from seqmem.leaderboard.charts.sweep import WIDTH as FRAME
from seqmem.leaderboard.charts.sweep import kinds_of, sweep_chart
from seqmem.leaderboard.charts.theme import PRINT, Spec
from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.leaderboard.selection import names, select
from seqmem.leaderboard.statistics.aggregate import Board, boards
from seqmem.leaderboard.statistics.rows import named_rows
from seqmem.leaderboard.statistics.strata import require_kind, split_row
from seqmem.leaderboard.statistics.sweep import Sweep, sweeps
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
        against: what scores are drawn against instead of k: "state", or a parameter of the tasks.
        by: a kind of strata: what each of them loses with less context is drawn, for each model.
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
    against: str | None = None
    by: str | None = None


def draw(request: PlotRequest, baselines: Iterable[str], log: Callable[[str], object]) -> None:
    """Draw context curves, a sweep or strata to a file.

    Args:
        request: what is drawn, and how.
        baselines: names of known models; each has its own colour in every chart.
        log: called with one line for each file that is no record.

    Raises:
        InputError: there are no such records, models, parameters or strata, the file's name has
            another ending or it cannot be written, the width is too small, or the package that
            draws is missing.
    """
    form = form_of(request.output, "plot")
    found, known = _boards(request, log), list(baselines)
    if request.by is not None:
        drawing = _strata(request, found, request.by)
    elif request.against is None:
        drawing = _curves(request, found, known)
    else:
        drawing = _sweeps(request, sweeps(found, request.against), known)
    if request.width is None:
        content = picture(drawing.chart(drawing.frame), form)
    else:
        content = picture(_fitted(drawing, request.width), form, SCALE)
    write_output(request.output, content)


@dataclass(frozen=True)
class _Drawing:
    """A chart of any width.

    Attributes:
        chart: returns it, of the width of a frame in pixels.
        frame: the usual width of a frame.
        columns: frames side by side.
    """

    chart: Callable[[int], Spec]
    frame: int
    columns: int


def _curves(request: PlotRequest, found: Sequence[Board], known: Sequence[str]) -> _Drawing:
    names = [name for board in found for name in named_rows(board)]
    layout = Layout(columns=request.columns, highlight=_highlighted(request, names))
    layout = layout if request.font is None else replace(layout, font=request.font)

    def chart(width: int) -> Spec:
        return curve_chart(found, known, replace(layout, width=width))

    return _Drawing(chart, layout.width, min(layout.columns, len(found)))


def _strata(request: PlotRequest, found: Sequence[Board], by: str) -> _Drawing:
    require_kind([record for board in found for record in board.records], by)
    rows = {
        f"{name} on {board.task_id}": row
        for board in found
        for name, row in named_rows(board).items()
    }
    splits = {name: split for name, row in rows.items() if (split := split_row(row, by))}
    font = request.font or PRINT.font

    def chart(width: int) -> Spec:
        return strata_chart(splits, width=width, columns=request.columns, font=font)

    return _Drawing(chart, STRATA_FRAME, min(request.columns, len(splits)))


def _sweeps(request: PlotRequest, found: Sequence[Sweep], known: Sequence[str]) -> _Drawing:
    lines = [point.line for sweep in found for point in sweep.points]
    highlight = _highlighted(request, lines)
    font = request.font or PRINT.font

    def chart(width: int) -> Spec:
        return sweep_chart(found, known, highlight=highlight, width=width, font=font)

    return _Drawing(chart, FRAME, max(len(kinds_of(sweep)) for sweep in found))


def _highlighted(request: PlotRequest, lines: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the lines that stand out.

    Raises:
        InputError: there is no line of a requested model.
    """
    for given in request.highlight:
        if not any(names(name, given) for name in lines):
            raise unknown("model to highlight", given, sorted(set(lines)), "seqmem leaderboard")
    return tuple(name for name in lines if any(names(name, given) for given in request.highlight))


def _boards(request: PlotRequest, log: Callable[[str], object]) -> list[Board]:
    """Return the boards of the tasks, in the order requested."""
    chosen = select(
        request.places, request.tasks, log, models=request.models, budget=request.budget
    )
    order = {task: place for place, task in enumerate(request.tasks)}
    return sorted(boards(chosen.records), key=lambda board: order[board.task_id])


def _fitted(drawing: _Drawing, inches: float) -> Spec:
    """Return a chart whose whole width, times SCALE, is the given one.

    Raises:
        InputError: no curve could be read in the frames that remain beside axes and labels.
    """
    columns = drawing.columns
    around = width_of(drawing.chart(drawing.frame)) - columns * drawing.frame
    frame = int((inches * POINTS / SCALE - around) / columns)
    if frame < NARROWEST:
        least = (around + columns * NARROWEST) * SCALE / POINTS
        raise InputError(
            f"--width {inches:g}: {count(columns, 'panel')} with labels need {least:.1f} inches or "
            "more; widen it, show fewer --columns, or only some --model"
        )
    return drawing.chart(frame)
