"""The committed records of one training budget: the same for tables, findings and the page."""

from seqmem.leaderboard.record import Record
from seqmem.leaderboard.store import COMMITTED, read_records

__all__ = ["committed_records"]


def committed_records(budget: str) -> list[Record]:
    """Return them, of every schema.

    Raises:
        SystemExit: a committed file is no record.
    """
    records, problems = read_records([COMMITTED])
    if problems:
        raise SystemExit("\n".join(problems))
    return [record for record in records if record.training["budget"] == budget]
