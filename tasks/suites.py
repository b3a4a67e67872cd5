"""Suites: which settings of the tasks are run together."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from seqmem.errors import unknown

__all__ = ["SUITES", "Suite", "find_suite"]


@dataclass(frozen=True)
class Suite:
    """A named set of tasks.

    Attributes:
        tasks: the ids, in the order in which they run.
        budget: the default training budget.
        longest_context: the longest context measured; None for each task's own.
    """

    tasks: tuple[str, ...]
    budget: str
    longest_context: int | None = None


SUITES: Mapping[str, Suite] = MappingProxyType(
    {
        # Every family in seconds; a task whose data are not available is skipped, never downloaded.
        "smoke": Suite(
            (
                "copy-memory/T=10",
                "copy-memory/T=5-25",
                "adding-problem/T=20",
                "hidden-markov/dwell=10",
                "wikitext-2",
                "music/jsb",
                "billion-word/heldout-10-13",
                "sequential-image/digits",
                "text:python-stdlib?unit=char",
            ),
            budget="smoke",
            longest_context=64,
        ),
        "core": Suite(
            (
                "copy-memory/T=30",
                "copy-memory/T=10-50",
                "adding-problem/T=50",
                "adding-problem/T=200",
                "hidden-markov/dwell=20",
                "wikitext-2",
                "music/jsb",
                "music/nottingham",
                "billion-word/heldout-10-13",
            ),
            budget="small",
        ),
        # How much is held, beside how long; no data to fetch.
        "memory": Suite(
            (
                "associative-recall/keys=8,values=64,zipf=0",
                "associative-recall/keys=32,values=64,zipf=0",
                "associative-recall/keys=32,values=64,zipf=1",
                "state-tracking/group=parity,reset=0.05",
                "state-tracking/group=S3,reset=0.05",
                "state-tracking/group=A5,reset=0.05",
                "selective-copy/T=64,data=8",
                "induction/V=16,T=64",
                "long-memory/d=0.4",
            ),
            budget="small",
        ),
        "full": Suite(
            (
                "copy-memory/T=100",
                "copy-memory/T=500",
                "copy-memory/T=1000",
                "copy-memory/T=10-500",
                "adding-problem/T=200",
                "adding-problem/T=400",
                "adding-problem/T=600",
                "hidden-markov/dwell=20",
                "hidden-markov/dwell=100",
                "wikitext-2",
                "music/jsb",
                "music/nottingham",
                "music/muse",
                "music/piano",
                "sequential-image/digits",
                "sequential-image/fashion-mnist",
                "sequential-image/mnist",
                "permuted-image/fashion-mnist,seed=0",
                "permuted-image/mnist,seed=0",
                "translation/bible-es-en",
                "translation/multi30k-de-en",
                "speech/ljspeech",
            ),
            budget="full",
        ),
    }
)


def find_suite(name: str, command: str) -> Suite:
    """Return the suite of a name.

    Args:
        name: the name.
        command: the command, for the message, as in "seqmem eval".

    Raises:
        InputError: there is no such suite.
    """
    if name not in SUITES:
        raise unknown("suite", name, SUITES, f"{command} --help")
    return SUITES[name]
