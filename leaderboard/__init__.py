"""Records of measurements, and the tables, charts and page computed from them; without torch."""

from typing import Literal, get_args

__all__ = ["FORMATS", "OWN", "Format"]

Format = Literal["table", "markdown", "csv", "json", "latex"]
FORMATS: tuple[Format, ...] = get_args(Format)

OWN = "(own)"  # follows the name of a user's own model in a table
