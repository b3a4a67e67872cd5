"""The losses of single targets at each context length, as far as they are known.

A sampled curve knows, at each k, the losses of the targets whose windows were scored, and of those
that have no more than k inputs, where a window is the full context. The values that an estimate has
for all other targets are right on average only, and are not among these.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seqmem.errors import InputError
from seqmem.files import write_atomically
from seqmem.measuring.arrays import Floats, Indices
from seqmem.measuring.curve import Curve
from seqmem.tasks.strata import Strata
from seqmem.tasks.task import Context, Task

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as arrow

__all__ = ["KnownLosses", "TargetLosses", "check_losses_path", "known_losses"]

ROWS = 1 << 17  # of one row group of a file
# Methods of an estimate where the loss at k is that of the full context, target by target.
AS_FULL = ("receptive field", "no longer sequence")


@dataclass(frozen=True, eq=False)
class KnownLosses:
    """The known losses at one context length.

    Attributes:
        k: the context length.
        targets: (m,) indices of targets, ascending.
        losses: (m,) in the loss's unit.
        scored: (m,) whether a window of k inputs was scored; else the full context is no more.
    """

    k: Context
    targets: Indices
    losses: Floats
    scored: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TargetLosses:
    """The losses of a model on single targets of a task's test split.

    Attributes:
        facts: of the task and the model, by name, as text.
        positions: (N,) at which input each target is predicted.
        blocks: (N,) the block of dependent targets that each is in.
        strata: kinds of targets.
        known: at each context length.
    """

    facts: Mapping[str, str]
    positions: Indices
    blocks: Indices
    strata: tuple[Strata, ...]
    known: tuple[KnownLosses, ...]

    def frame(self) -> "pd.DataFrame":
        """Return them as a data frame: a row for each target and k."""
        import pyarrow as arrow

        frame: pd.DataFrame = arrow.Table.from_batches(list(self._batches())).to_pandas()
        return frame

    def write(self, path: Path) -> None:
        """Write them to a Parquet file, a row for each target and k, some rows at a time.

        Raises:
            InputError: it cannot be written.
        """
        from pyarrow.parquet import ParquetWriter

        batches = self._batches()
        first = next(batches)
        schema = first.schema.with_metadata({f"seqmem.{k}": v for k, v in self.facts.items()})

        def write(temporary: Path) -> None:
            with ParquetWriter(temporary, schema) as writer:
                writer.write_batch(first)
                for batch in batches:
                    writer.write_batch(batch)

        try:
            write_atomically(path.resolve(), write)
        except OSError as error:
            raise InputError(
                f"{path}: cannot be written ({error.strerror or error}); name another file"
            ) from None

    def _batches(self) -> "Iterator[arrow.RecordBatch]":
        """Yield rows, k ascending, full last; at least one batch, perhaps without rows."""
        names = [str(each.k) for each in self.known]
        for place, known in enumerate(self.known):
            for begin in range(0, max(len(known.targets), 1), ROWS):
                part = slice(begin, begin + ROWS)
                yield self._batch(known, part, place, names)

    def _batch(
        self, known: KnownLosses, part: slice, place: int, names: list[str]
    ) -> "arrow.RecordBatch":
        import pyarrow as arrow

        targets = known.targets[part]
        columns: dict[str, Any] = {
            "target": targets,
            "position": self.positions[targets],
            "block": self.blocks[targets],
            "k": _category(np.full(len(targets), place), names),
            "loss": known.losses[part],
            "scored": known.scored[part],
        }
        for strata in self.strata:
            columns[strata.by] = _category(strata.of[targets], strata.labels)
        batch: arrow.RecordBatch = arrow.RecordBatch.from_pydict(columns)
        return batch


def _category(of: npt.NDArray[np.int64], labels: "list[str] | tuple[str, ...]") -> Any:
    """Return texts by their numbers, each text stored once."""
    import pyarrow as arrow

    numbers = arrow.array(of.astype(np.int16))
    return arrow.DictionaryArray.from_arrays(numbers, arrow.array(labels, arrow.string()))


def known_losses(curve: Curve, task: Task, model: str) -> TargetLosses:
    """Return the known losses of a curve of a task's test split.

    Args:
        curve: the curve.
        task: the task.
        model: the model's name.
    """
    split = task.split("test")
    available = split.available.numpy()
    contexts: list[Context] = [*curve.finite]
    if curve.full is not None:
        contexts.append("full")
    return TargetLosses(
        {
            "task": task.id,
            "version": str(task.version),
            "data_hash": task.data_hash,
            "model": model,
            "unit": task.loss.unit,
        },
        split.positions.numpy(),
        split.blocks.numpy(),
        task.strata(),
        tuple(_known(curve, k, available) for k in contexts),
    )


def _known(curve: Curve, k: Context, available: Indices) -> KnownLosses:
    at = curve.at(k)
    every = np.arange(len(available))
    if k == "full":
        return KnownLosses(k, every, at.losses, np.ones(len(every), np.bool_))
    scored = np.zeros(len(every), np.bool_)
    windows = curve.scored.losses.get(k)
    if windows is not None:
        scored[windows[0]] = True
    if at.method in ("all", *AS_FULL):
        return KnownLosses(k, every, at.losses, scored)
    losses = at.losses.copy()  # of sampled targets it has more than their losses
    if windows is not None:
        losses[windows[0]] = windows[1]
    targets = np.flatnonzero(scored | (available <= k))
    return KnownLosses(k, targets, losses[targets], scored[targets])


def check_losses_path(path: Path, tasks: int) -> None:
    """Check that losses can be written to a file, before they are computed.

    Args:
        path: the file.
        tasks: how many tasks are measured.

    Raises:
        InputError: its name has another ending, its folder does not exist, or there are several
            tasks, which have different targets.
    """
    if path.suffix.lower() != ".parquet":
        raise InputError(f"--losses {path}: the name of such a file ends in .parquet; write it so")
    if not path.resolve().parent.is_dir():
        raise InputError(f"--losses {path}: there is no such folder; make it, or name another file")
    if tasks > 1:
        raise InputError(f"--losses {path}: a file holds one task; name one --task")
