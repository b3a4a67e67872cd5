"""What commands give: a board's text, and files."""

from collections.abc import Sequence
from pathlib import Path

from seqmem.errors import InputError
from seqmem.leaderboard import Format
from seqmem.leaderboard.aggregate import boards
from seqmem.leaderboard.published import Published
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.tables.board_table import render
from seqmem.leaderboard.tables.stable_table import stability_text
from seqmem.leaderboard.tables.suite import overview
from seqmem.leaderboard.tables.suite_table import suite_text as overview_text
from seqmem.tasks import SUITES

__all__ = ["board_text", "stable_text", "suite_text", "write_file"]


def board_text(records: Sequence[Record], form: Format, published: Sequence[Published] = ()) -> str:
    """Write records as boards in one of the formats."""
    return render(boards(records), form, published)


def suite_text(name: str, records: Sequence[Record], form: Format) -> str:
    """Write a whole suite's scores and context needs in one of the formats."""
    return overview_text(name, overview(boards(records), SUITES[name].tasks), form)


def stable_text(
    records: Sequence[Record], form: Format, published: Sequence[Published] = ()
) -> str:
    """Write stable models beside the same ones unconstrained in one of the formats."""
    return stability_text(boards(records), published, form)


def write_file(path: Path, content: bytes) -> None:
    """Write what the user asked for to where the user wants it.

    Raises:
        InputError: it cannot be written there.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(
            f"--output {path}: cannot be written ({error.strerror}); name another file"
        ) from None
