"""Flat tables as Parquet files, which keep the types of their columns."""

import io
from collections.abc import Mapping, Sequence
from typing import Literal

__all__ = ["TYPES", "parquet"]

Kind = Literal["string", "int64", "float64"]

# The type of each column of the flat table: the same in every file, also where nothing is known.
# Context lengths are text, as in csv: "1", "2", …, "full".
TYPES: dict[str, Kind] = {
    "task": "string",
    "task_version": "int64",
    "model": "string",
    "k_train": "string",
    "state": "string",
    "budget": "string",
    "seed": "int64",
    "k": "string",
    "n": "int64",
    "method": "string",
    "loss": "float64",
    "half_width": "float64",
    "loss_low": "float64",
    "loss_high": "float64",
    "loss_unit": "string",
    "perplexity": "float64",
    "excess_over_full": "float64",
    "accuracy": "float64",
    "optimum": "float64",
    "chance": "float64",
    "parameters": "int64",
    "trust": "string",
    "k_at_most": "int64",
    "printed": "string",
    "printed_unit": "string",
    "source": "string",
    "note": "string",
    "state_floats": "int64",
    "rank_best": "int64",
    "rank_worst": "int64",
    "bits_held": "float64",
    "bits_held_low": "float64",
    "bits_held_high": "float64",
    "bits_per_float": "float64",
}
# Of the columns that only a table of strata has.
_STRATA: dict[str, Kind] = {
    "by": "string",
    "stratum": "string",
    "targets": "int64",
    "excess_over_full_low": "float64",
    "excess_over_full_high": "float64",
    "share_of_excess": "float64",
}


def parquet(columns: Mapping[str, Sequence[object]]) -> bytes:
    """Return the columns of a flat table, of the board or of strata, as a Parquet file."""
    import pyarrow as arrow
    from pyarrow.parquet import write_table

    types = TYPES | _STRATA
    arrays = {
        name: arrow.array(
            [str(v) if v is not None and types[name] == "string" else v for v in values],
            getattr(arrow, types[name])(),
        )
        for name, values in columns.items()
    }
    content = io.BytesIO()
    write_table(arrow.table(arrays), content)
    return content.getvalue()
