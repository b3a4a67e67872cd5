"""The suite, declared once as data: task ids, and the named sets of tasks.

A task id is ``family``, ``family/parameter=value,…`` or ``family/variant``; an id that begins with
``text:`` names the user's own text, the rest of it as is. The id is at once the argument on the
command line, the key in a table and (made safe) the folder of the records. Importing this module
is cheap: a family's module (and torch) is imported when one of its tasks is loaded.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from seqmem.errors import InputError, unknown

if TYPE_CHECKING:
    from seqmem.tasks.data.sources import Source
    from seqmem.tasks.task import Task

__all__ = [
    "DATA",
    "FAMILIES",
    "SUITES",
    "Family",
    "Suite",
    "data_problem",
    "family_of",
    "find_suite",
    "listed_tasks",
    "load_source",
    "load_task",
]


@dataclass(frozen=True)
class Family:
    """Tasks that differ only in their parameters, or in which of a few data sets they take.

    Attributes:
        factory: ``module:callable``; called with the id's parameters (text to text), gives a Task.
        example: an id that works, shown in help and error messages.
        summary: what is asked, in one line.
        data: the data set (see DATA) that must be at hand; None where the task makes its own.
        variants: names that may stand after the slash in place of parameters; the factory is then
            called with {"variant": name}.
        user_data: whether the text is the user's: the example then stands for ids that work.
    """

    factory: str
    example: str
    summary: str
    data: str | None = None
    variants: tuple[str, ...] = ()
    user_data: bool = False


@dataclass(frozen=True)
class Suite:
    """A named set of tasks.

    Attributes:
        tasks: the ids, in the order in which they run.
        budget: the training budget used where the user names none.
        longest_context: the longest context measured; None for each task's own.
    """

    tasks: tuple[str, ...]
    budget: str
    longest_context: int | None = None


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "copy-memory": Family(
            "seqmem.tasks.copy_memory:CopyMemory.parse",
            "copy-memory/T=30",
            "recall 10 symbols after a delay T; a range T=10-50 draws it for each sequence",
        ),
        "adding-problem": Family(
            "seqmem.tasks.adding_problem:AddingProblem.parse",
            "adding-problem/T=50",
            "add the two marked ones of T numbers",
        ),
        "hidden-markov": Family(
            "seqmem.tasks.hidden_markov:HiddenMarkov.parse",
            "hidden-markov/dwell=20",
            "next symbol, emitted by a hidden topic that lasts `dwell` steps on average",
        ),
        "wikitext-2": Family(
            "seqmem.tasks.wikitext:WikiText2.parse",
            "wikitext-2",
            "next word of Wikipedia articles, vocabulary of 33,278",
            data="wikitext-2",
        ),
        "music": Family(
            "seqmem.tasks.polyphonic_music:PolyphonicMusic.parse",
            "music/jsb",
            "next frame of piano rolls, 88 keys",
            data="polymusic",
            variants=("jsb", "nottingham", "muse", "piano"),
        ),
        "wikitext-103": Family(
            "seqmem.tasks.wikitext:WikiText103.parse",
            "wikitext-103",
            "next word of Wikipedia articles, vocabulary of 267,735; vocabulary=FILE or "
            "vocabulary=valid takes another and needs no training split",
            data="wikitext-103",
        ),
        "billion-word": Family(
            "seqmem.tasks.billion_word:BillionWord.parse",
            "billion-word/heldout-10-13",
            "next word of a news sentence, context within the sentence; train=, valid=, test= "
            "and min-count= choose other shards",
            data="lm1b",
            variants=("heldout-10-13",),
        ),
        "text": Family(
            "seqmem.tasks.text:Text.parse",
            "text:FILE",
            "next word of your own text, a file or a glob; text:FILE?unit=char: next character",
            user_data=True,
        ),
    }
)

SUITES: Mapping[str, Suite] = MappingProxyType(
    {
        # Every family in seconds; a task whose data is not here is passed over, never downloaded.
        "smoke": Suite(
            (
                "copy-memory/T=10",
                "copy-memory/T=5-25",
                "adding-problem/T=20",
                "hidden-markov/dwell=10",
                "wikitext-2",
                "music/jsb",
                "billion-word/heldout-10-13",
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
            ),
            budget="full",
        ),
    }
)


# Data sets by name: ``module:source``.
DATA: Mapping[str, str] = MappingProxyType(
    {
        "wikitext-2": "seqmem.tasks.data.wikitext_files:WIKITEXT_2",
        "polymusic": "seqmem.tasks.data.music_files:POLYMUSIC",
        "wikitext-103": "seqmem.tasks.data.wikitext_files:WIKITEXT_103",
        "lm1b": "seqmem.tasks.data.lm1b:LM1B",
    }
)


def load_source(name: str) -> "Source":
    """Import a data set's description."""
    source: Source = _imported(DATA[name])
    return source


def listed_tasks() -> tuple[str, ...]:
    """Give the id of every task that `seqmem tasks` lists: examples, and those of the suites."""
    examples = [family.example for family in FAMILIES.values()]
    return tuple(dict.fromkeys(examples + [t for suite in SUITES.values() for t in suite.tasks]))


def find_suite(name: str, command: str) -> Suite:
    """Return the suite of a name.

    Args:
        name: the name.
        command: the command that asks, for the message, as in "seqmem eval".

    Raises:
        InputError: there is no such suite.
    """
    if name not in SUITES:
        raise unknown("suite", name, SUITES, f"{command} --help")
    return SUITES[name]


def family_of(task_id: str) -> str:
    """Give the part of an id before its parameters: up to the slash, or ``text`` for a text."""
    return "text" if task_id.startswith("text:") else task_id.partition("/")[0]


def data_problem(task_id: str) -> str:
    """Say why a known task's data cannot be had without a download; empty where they can."""
    data = FAMILIES[family_of(task_id)].data
    if data is None:
        return ""
    located = load_source(data).locate()
    return located.variants.get(task_id.partition("/")[2], located.problem)


def load_task(task_id: str) -> "Task":
    """Make the task that an id names, as in ``load_task("adding-problem/T=200")``.

    Raises:
        InputError: the family is unknown, or a parameter is unknown, missing or out of range.
    """
    name = family_of(task_id)
    if name not in FAMILIES:
        raise unknown("task", task_id, FAMILIES, "seqmem tasks")
    family = FAMILIES[name]
    text = task_id[len(name) + 1 :]
    if family.user_data:
        if not task_id.startswith("text:"):
            raise InputError(f"task '{task_id}': a text is named after a colon, {family.example}")
        parameters = {"text": text}
    elif family.variants and ("=" not in text or text.startswith("variant=")):
        if text not in family.variants:
            known = [f"{name}/{variant}" for variant in family.variants]
            raise unknown("task", task_id, known, "seqmem tasks")
        parameters = {"variant": text}
    else:
        parameters = _parameters(task_id, text, family.example)
    try:
        task: Task = _imported(family.factory)(parameters)
    except InputError as error:
        raise InputError(f"task '{task_id}': {error}") from None
    return task


def _parameters(task_id: str, text: str, example: str) -> dict[str, str]:
    """Read ``parameter=value,…``."""
    parameters: dict[str, str] = {}
    for item in text.split(",") if text else ():
        key, equals, value = item.partition("=")
        if not (key and equals and value):
            raise InputError(
                f"task '{task_id}': '{item}' is not parameter=value; an id looks like {example}"
            )
        if key in parameters:
            raise InputError(f"task '{task_id}': parameter {key} is given twice")
        parameters[key] = value
    return parameters


def _imported(place: str) -> Any:
    """Import ``module:name`` or ``module:class.method``."""
    module, _, path = place.partition(":")
    return attrgetter(path)(importlib.import_module(module))
