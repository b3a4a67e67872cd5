"""The values that models' options may have, as their classes declare them in `__init__`."""

from dataclasses import dataclass
from typing import Annotated

__all__ = ["Count", "OneOf", "Option", "Range", "Share"]

Option = int | float | bool | str  # the value of an option


@dataclass(frozen=True)
class Range:
    """The numbers that an option may be.

    Attributes:
        low: the smallest.
        high: the largest.
        open_low: whether `low` itself is excluded.
        open_high: whether `high` itself is excluded.
    """

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, number: float) -> bool:
        """Return whether a number is in the range; NaN is not."""
        above = self.low < number if self.open_low else self.low <= number
        return above and (number < self.high if self.open_high else number <= self.high)

    def __str__(self) -> str:
        """Return the range in words."""
        if not self.open_low and not self.open_high:
            return f"from {self.low:,} to {self.high:,}"
        low = f"above {self.low:,}" if self.open_low else f"at least {self.low:,}"
        return f"{low} and " + (f"below {self.high:,}" if self.open_high else f"≤ {self.high:,}")


@dataclass(frozen=True)
class OneOf:
    """The words that an option may be.

    Attributes:
        words: all of them.
    """

    words: tuple[str, ...]

    def __contains__(self, word: object) -> bool:
        """Return whether it is one of the words."""
        return word in self.words

    def __str__(self) -> str:
        """Return the words in a sentence."""
        return " or ".join(self.words)


Count = Annotated[int, Range(1, 100_000)]  # of units, layers, heads, …
Share = Annotated[float, Range(0, 1, open_high=True)]
