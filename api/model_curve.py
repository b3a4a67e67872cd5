"""The measured curve of one model on one task, as a notebook shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from seqmem.api.picture import Picture, pictured
from seqmem.errors import InputError
from seqmem.files import require_writable
from seqmem.leaderboard.charts.picture import FORMATS
from seqmem.leaderboard.record import Context, Record, to_json
from seqmem.leaderboard.statistics.aggregate import Row, boards
from seqmem.leaderboard.statistics.bits_held import BitsHeld, bits_held
from seqmem.leaderboard.statistics.context_need import ContextNeed
from seqmem.leaderboard.statistics.strata import require_kind
from seqmem.leaderboard.store import record_directory, write_record
from seqmem.leaderboard.tables.flat import flat
from seqmem.leaderboard.tables.formatting import number, row_need, score_text, unit
from seqmem.leaderboard.tables.strata_table import strata_rows

if TYPE_CHECKING:
    import pandas as pd

    from seqmem.measuring.target_losses import TargetLosses

__all__ = ["ModelCurve", "frame_of", "tracked"]


def frame_of(records: Sequence[Record]) -> "pd.DataFrame":
    """Return records as a data frame with a row for each model, seed and k."""
    import pandas as pd

    return pd.DataFrame(flat(boards(records))).dropna(axis="columns", how="all")


def tracked(task_id: str, scores: Mapping[Context, float]) -> dict[str, float]:
    """Return scores by the names that experiment trackers get."""
    names = {k: "full" if k == "full" else f"k={k}" for k in scores}
    return {f"seqmem/{task_id}/{names[k]}": float(value) for k, value in scores.items()}


@dataclass(frozen=True, repr=False)
class ModelCurve:
    """The loss of a model at each context length.

    Attributes:
        records: one for each seed.
        target_losses: the losses of single targets, of each record; empty where they are not known.
    """

    records: tuple[Record, ...]
    target_losses: "tuple[TargetLosses, ...]" = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.records[0].model["label"])

    @property
    def task(self) -> str:
        """The task's id."""
        return self.records[0].task.id

    @property
    def frame(self) -> "pd.DataFrame":
        """A data frame with a row for each seed and k."""
        return frame_of(self.records)

    @property
    def need(self) -> ContextNeed:
        """k*: the context that suffices, with its interval; of the median seed."""
        return self._row.need

    @property
    def bits_held(self) -> BitsHeld | None:
        """How much it holds with the full context: bits, their interval, bits per float of state.

        Of the median seed; None where the task does not define them.
        """
        found = [held for record in self._row.records if (held := bits_held(record)) is not None]
        found.sort(key=lambda held: held.bits)
        return found[len(found) // 2] if found else None

    def by(self, kind: str) -> "pd.DataFrame":
        """Return the curve split by a kind of targets: a row for each seed, stratum and k.

        Columns are ``stratum``, ``targets``, ``k``, ``loss`` and ``excess_over_full``, both with
        their 95 % intervals, ``share_of_excess`` and more. Means weighted by ``targets`` are those
        of the whole curve.

        Args:
            kind: as in "frequency" or "recurrence"; which ones there are depends on the task.

        Raises:
            InputError: the records are not split so.
        """
        import pandas as pd

        require_kind(self.records, kind)
        return pd.DataFrame(strata_rows(self.records, kind))

    def losses(self) -> "pd.DataFrame":
        """Return the losses of single targets: a row for each seed, target and k.

        Columns are ``target`` (its index in the test split, by which other models' losses join),
        ``position`` (at which input it is predicted), ``block`` (of dependent targets), ``k`` (as
        text), ``loss``, ``scored`` (whether a window was scored, else the full context is no more),
        each kind of strata, and ``seed``. Unless the curve is exact, targets are those that were
        scored at that k, and those with no more than k inputs before them.

        Raises:
            InputError: only records are known, which contain means.
        """
        import pandas as pd

        if not self.target_losses:
            raise InputError(
                "the losses of single targets are not in records, and this curve was read from "
                "them: measure again under a name, seqmem.measure(model, task, name='again')"
            )
        frames = [
            each.frame().assign(seed=record.training["seed"])
            for record, each in zip(self.records, self.target_losses, strict=True)
        ]
        return pd.concat(frames, ignore_index=True)

    def plot(self, *others: str) -> Picture:
        """Return a picture of the curve, in front of those of other models.

        Args:
            others: names on the board, as "lstm".

        Raises:
            InputError: there is no such model, or the package that draws is missing.
        """
        return pictured(self.records, others)

    def save(self, folder: str | Path = "results") -> list[Path]:
        """Write the records to a folder, where `seqmem leaderboard` reads them; return the paths.

        A record that is there already is not written again.

        Raises:
            InputError: the folder has the name of a picture, or cannot be written to.
        """
        if Path(folder).suffix.lower().removeprefix(".") in FORMATS:
            raise InputError(
                f"{folder}: save writes records to a folder; curve.plot().save('{folder}') writes "
                "a picture"
            )
        require_writable(Path(folder), "folder")
        place = record_directory(Path(folder) / "records", self.task)
        stem = f"measured-{self.name.translate({ord(':'): '_', ord(' '): '_'})}"
        known = {path.read_text(encoding="utf-8"): path for path in place.glob("*.json")}
        paths = []
        for record in self.records:
            paths.append(known.get(to_json(record)) or write_record(record, place, stem))
        return paths

    def to_dict(self) -> dict[str, float]:
        """Return flat numbers, as experiment trackers take them.

        ``seqmem/TASK/k=8`` and so on, and ``seqmem/TASK/full``, are the scores that boards show:
        perplexity for words, otherwise the mean loss; of several seeds the median.
        ``seqmem/TASK/need`` is k*, and is missing where no measured k suffices;
        ``seqmem/TASK/bits_held`` is how much is held, where the task defines it.
        """
        numbers = tracked(self.task, {k: score.value for k, score in self._row.scores.items()})
        if self.need.k is not None:
            numbers[f"seqmem/{self.task}/need"] = float(self.need.k)
        if (held := self.bits_held) is not None:
            numbers[f"seqmem/{self.task}/bits_held"] = held.bits
        return numbers

    def to_json(self) -> str:
        """Return the records as JSON, a list."""
        return f"[{','.join(map(to_json, self.records))}]"

    @property
    def _row(self) -> Row:
        (board,) = boards(self.records)
        if len(board.rows) != 1:
            raise InputError("a curve is of one model; these records are of several")
        return board.rows[0]

    def __repr__(self) -> str:
        """Return it in one line."""
        row = self._row
        k, last = list(row.scores.items())[-1]
        need = row_need(row)
        return (
            f"{self.name} on {self.task}: {unit(self.records[0].task)} {number(last.value)} at "
            f"{'full context' if k == 'full' else f'k = {k}'}, k*(1 %) = {need}"
        )

    def _repr_html_(self) -> str:
        """Return a small table with intervals, and the curve where it can be drawn."""
        (board,) = boards(self.records)
        best = board.optimum
        rows = {
            "k": board.contexts,
            escape(self.name): [score_text(self._row.scores.get(k)) for k in board.contexts],
            "optimum": [number(best[k]) if k in best else "" for k in board.contexts],
            "chance": [number(board.chance)] * len(board.contexts),
        }
        table = "".join(
            f"<tr><th>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
            for name, cells in rows.items()
            if any(cells)
        )
        table = f"<table>{table}</table>"
        try:
            drawn = self.plot()._repr_svg_()
        except InputError:  # without the package that draws
            drawn = ""
        return f"<p>{escape(repr(self))}</p>{table}{drawn}"
