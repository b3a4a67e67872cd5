"""Records of measurements, and what is made of them. Nothing here imports torch."""

from typing import Literal

__all__ = ["FORMATS", "Format"]

Format = Literal["table", "markdown", "csv", "json", "latex"]
FORMATS: tuple[Format, ...] = ("table", "markdown", "csv", "json", "latex")
