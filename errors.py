"""The ways in which a run ends early, each told to the user in one line."""

import difflib
from collections.abc import Iterable, Sequence

__all__ = [
    "CellError",
    "DivergedError",
    "FetchError",
    "InputError",
    "ModelMemoryError",
    "NotApplicableError",
    "NotFiniteError",
    "NotTrainableError",
    "RefusedError",
    "SubmissionError",
    "unknown",
]

FEW = 6  # names that are all told where none is near


class InputError(ValueError):
    """What the user gave is wrong: the message quotes it, the rule it broke and the way out."""


class NotApplicableError(InputError):
    """A model is not made for this kind of task; a suite passes over the two together."""


class NotTrainableError(InputError):
    """A model cannot be trained with this context on this task; a diagonal leaves it out."""


class SubmissionError(InputError):
    """A model that was submitted cannot be taken: it does not load, or breaks a rule."""


class RefusedError(RuntimeError):
    """A submitted model failed a check of its validity.

    Attributes:
        report: what was found, several lines.
    """

    def __init__(self, message: str, report: str) -> None:
        """Take the refusal in one line, and all that was found."""
        super().__init__(message)
        self.report = report


class CellError(RuntimeError):
    """One cell (model, task, k_train, seed) cannot be measured; the other cells are kept."""


class NotFiniteError(CellError):
    """A model's outputs are NaN or infinite."""


class ModelMemoryError(CellError, MemoryError):
    """A model's process needs more memory than it may have; smaller batches may fit."""


class DivergedError(CellError):
    """Training ended in a loss that is not finite or has exploded.

    Attributes:
        reason: what was seen.
        step: the optimiser step at which it was seen, from 1 on.
        losses: mean losses of the latest steps, the last one last.
    """

    def __init__(self, reason: str, step: int, losses: Sequence[float]) -> None:
        """Take what was seen, and where."""
        super().__init__(f"training diverged: {reason} at step {step:,}")
        self.reason, self.step, self.losses = reason, step, tuple(losses)

    def __reduce__(self) -> tuple[type["DivergedError"], tuple[str, int, tuple[float, ...]]]:
        """Let it come from another process."""
        return type(self), (self.reason, self.step, self.losses)


class FetchError(OSError):
    """A download failed, as writing to a disk fails; what was finished before is kept."""


def unknown(kind: str, given: str, known: Iterable[str], listing: str) -> InputError:
    """Build the error for a name that is not known, with the nearest names that are.

    Args:
        kind: what the name stands for, as in "task".
        given: what the user wrote.
        known: every name that would have been right.
        listing: the command that lists them all.
    """
    names = list(known)
    nearest = difflib.get_close_matches(given, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
    if not nearest and 0 < len(names) <= FEW:
        hint = f"there are {', '.join(names)}; "
    return InputError(f"unknown {kind} '{given}': {hint}`{listing}` lists them")
