"""A picture of curves that a notebook shows and that can be saved."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqmem.baselines import BASELINES
from seqmem.errors import unknown
from seqmem.files import write_output
from seqmem.leaderboard.charts.curve import Layout, curve_chart
from seqmem.leaderboard.charts.picture import form_of, picture
from seqmem.leaderboard.charts.theme import Spec
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.selection import select
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.statistics.rows import named_rows

__all__ = ["Picture", "pictured"]


@dataclass(frozen=True, repr=False)
class Picture:
    """A chart; a notebook shows it.

    Attributes:
        chart: a specification of Vega-Lite.
    """

    chart: Spec

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file, .svg, .pdf, .png or .html; return its path.

        Raises:
            InputError: it has another ending, cannot be written, or the package that draws is
                missing.
        """
        path = Path(path)
        write_output(path, picture(self.chart, form_of(path, "save")))
        return path

    def _repr_svg_(self) -> str:
        """Return the picture as SVG."""
        return picture(self.chart, "svg").decode()


def pictured(
    records: Sequence[Record], others: Sequence[str] = (), budget: str | None = None
) -> Picture:
    """Return a picture of records, with a panel for each task, in front of other models.

    Args:
        records: drawn strong.
        others: names of further models on the board of the same tasks, drawn faint.
        budget: of the others; None: that of the records, if they were trained.

    Raises:
        InputError: there is no such model.
    """
    tasks = list(dict.fromkeys(record.task.id for record in records))
    beside: list[Record] = []
    if others:
        known = select((), tasks, lambda line: None).records
        editions = {_edition(record): record for record in records}
        known = tuple(record for record in known if _edition(record) in editions)
        labels = sorted({record.model["label"] for record in known})
        for name in others:
            found = [record for record in known if record.model["label"] == name]
            if not found:
                raise unknown("model among the records", name, labels, "seqmem leaderboard")
            usual = budget or records[0].training["budget"].partition(",")[0]
            beside += [r for r in found if r.training["budget"] == usual] or found
    mine = {record.created for record in records}
    drawn = boards([*(each for each in beside if each.created not in mine), *records])
    names = [
        name
        for board in drawn
        for name, row in named_rows(board).items()
        if not mine.isdisjoint(record.created for record in row.records)
    ]
    layout = Layout(highlight=tuple(names) if others else ())
    return Picture(curve_chart(drawn, list(BASELINES), layout))


def _edition(record: Record) -> tuple[str, int, str]:
    return record.task.id, record.task.version, record.task.data_hash
