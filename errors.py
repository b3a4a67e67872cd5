"""The errors that end a run early; each is reported to the user in one line."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, unquote

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
    "without_secrets",
]

FEW = 6  # names at most that are all listed where none is similar

# A URL's user and password: up to the first @ of the host, or up to the last @ where a colon that
# does not begin a port shows a password, which may contain slashes.
_USER = re.compile(r"(?<=://)(?:[^\s/?#@:]*:(?!\d+/)\S*|[^\s/@]*)@")
# A URL's query and fragment, without the punctuation of the sentence after it.
_QUERY = re.compile(r"(://[^\s?#]*[?#])\S*[^\s:;,.'\")]")
SHORTEST = 4  # characters of a secret that is looked for outside of its URL


class InputError(ValueError):
    """What the user gave is wrong: the message quotes it, the rule it broke and the way out."""


class NotApplicableError(InputError):
    """A model is not made for this kind of task; a suite skips the pair."""


class NotTrainableError(InputError):
    """A model cannot be trained with this context on this task; a diagonal leaves it out."""


class SubmissionError(InputError):
    """A submitted model cannot be accepted: it does not load, or breaks a rule."""


class CellError(RuntimeError):
    """One cell (model, task, k_train, seed) cannot be measured; the other cells are kept."""


class RefusedError(CellError):
    """A model failed a check of the validity gate.

    Attributes:
        report: what was found, several lines.
    """

    def __init__(self, message: str, report: str) -> None:
        """Take the refusal in one line, and the whole report."""
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type["RefusedError"], tuple[str, str]]:
        """Return how it is pickled, for other processes."""
        return type(self), (str(self), self.report)


class NotFiniteError(CellError):
    """A model's outputs are NaN or infinite."""


class ModelMemoryError(CellError, MemoryError):
    """A model's process needs more memory than it may have; smaller batches may fit."""


class DivergedError(CellError):
    """Training ended in a loss that is not finite or has exploded.

    Attributes:
        reason: what was observed.
        step: the optimiser step at which it was observed, from 1 on.
        losses: mean losses of the latest steps, the last one last.
    """

    def __init__(self, reason: str, step: int, losses: Sequence[float]) -> None:
        """Take the reason, the step and the latest losses."""
        super().__init__(f"training diverged: {reason} at step {step:,}")
        self.reason, self.step, self.losses = reason, step, tuple(losses)

    def __reduce__(self) -> tuple[type["DivergedError"], tuple[str, int, tuple[float, ...]]]:
        """Return how it is pickled, for other processes."""
        return type(self), (self.reason, self.step, self.losses)


class FetchError(OSError):
    """A download failed; what was finished before is kept."""


def unknown(kind: str, given: str, known: Iterable[str], listing: str) -> InputError:
    """Return the error for an unknown name, with the most similar known names.

    Args:
        kind: what the name denotes, as in "task".
        given: what the user wrote.
        known: every valid name.
        listing: the command that lists them all.
    """
    names = list(known)
    lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(given.lower(), lower, n=3, cutoff=0.5)
    nearest = [lower[name] for name in close]
    hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
    if not nearest and 0 < len(names) <= FEW:
        hint = f"there are {', '.join(names)}; "
    return InputError(f"unknown {kind} '{given}': {hint}`{listing}` lists them")


def without_secrets(text: str, url: str = "") -> str:
    """Return a text without what URLs in it may hide: user, password, query and fragment.

    Args:
        text: a message, which may contain URLs.
        url: a URL whose password, query values and fragment are removed wherever they stand, also
            decoded or encoded, as libraries quote them.
    """
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, "…")
    return _QUERY.sub(r"\1…", _USER.sub("", text))


def _secrets(url: str) -> Iterator[str]:
    user = _USER.search(url)
    name, _, password = user[0][:-1].partition(":") if user else ("", "", "")
    _, _, query = re.sub("[?#]", "?", _USER.sub("", url)).partition("?")
    values = [part.rpartition("=")[2] or part for part in re.split("[?&;]", query)]
    for secret in (password or name, *values, query):
        for form in (secret, unquote(secret), quote(secret), quote(secret, safe="")):
            if len(form) >= SHORTEST:
                yield form
