"""Records of measurements, and the tables, charts and page computed from them; without torch."""

import sys
from typing import Literal, get_args

import seqmem

__all__ = ["FORMATS", "OWN", "Format"]

# "table" fits the terminal; "wide" is as wide as it needs.
Format = Literal["table", "wide", "markdown", "csv", "json", "latex"]
FORMATS: tuple[Format, ...] = get_args(Format)

OWN = "(own)"  # follows the name of a user's own model in a table

# `seqmem.leaderboard()` is a function of the Python interface.
sys.modules[__name__].__class__ = seqmem.CallableRoom
