"""The tasks, declared once as data: families of tasks, suites, data sets.

A task id is ``family``, ``family/parameter=value,…`` or ``family/variant,parameter=value,…``; after
``text:``, ``translation:`` or ``audio:`` it is the path of the user's own files. The id is the
argument on the command line, the key in tables and (with safe characters) the folder of the
records. Importing this module is cheap: a family's module (and torch) is imported when one of its
tasks is loaded.
"""

import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING

import seqmem
from seqmem.errors import InputError, unknown
from seqmem.tasks.parameters import read_parameters
from seqmem.tasks.suites import SUITES, Suite, find_suite

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
    "every_id",
    "family_of",
    "find_suite",
    "listed_tasks",
    "load_source",
    "load_task",
]


@dataclass(frozen=True)
class Family:
    """Tasks that differ only in their parameters, or in which of a few data sets they use.

    Attributes:
        factory: ``module:callable``; called with the id's parameters (text to text), returns a
            Task.
        example: a valid id, for help and error messages.
        summary: what is predicted, in one line.
        data: the data set (see DATA) that must be available; None if the task generates its data;
            "{variant}" if each variant has the data set of its name.
        variants: names that may follow the slash, before any parameters, which a comma separates;
            the factory is then called with {"variant": name, …}.
        files: whether an id may name the user's own files after a colon, as in ``text:FILE``; the
            factory is then called with {"text": what follows}.
        own_to_machine: whether other machines may have other data, which nobody can look up.
    """

    factory: str
    example: str
    summary: str
    data: str | None = None
    variants: tuple[str, ...] = ()
    files: bool = False
    own_to_machine: bool = False

    @property
    def user_data(self) -> bool:
        """Whether all data are the user's own: the example is then a pattern of ids."""
        return self.files and self.data is None


_PYTHON = "python-stdlib"  # the one text with a name

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "copy-memory": Family(
            "seqmem.tasks.copy_memory:CopyMemory.parse",
            "copy-memory/T=30",
            "recall 10 symbols after a delay T; with a range T=10-50 it is drawn for each sequence",
        ),
        "adding-problem": Family(
            "seqmem.tasks.adding_problem:AddingProblem.parse",
            "adding-problem/T=50",
            "add the two marked numbers out of T",
        ),
        "hidden-markov": Family(
            "seqmem.tasks.hidden_markov:HiddenMarkov.parse",
            "hidden-markov/dwell=20",
            "next symbol, emitted by a hidden topic that lasts `dwell` steps on average",
        ),
        "associative-recall": Family(
            "seqmem.tasks.associative_recall:AssociativeRecall.parse",
            "associative-recall/keys=32,values=64,zipf=0",
            "recall the value that came with a key; key j has a frequency of j^−zipf",
        ),
        "state-tracking": Family(
            "seqmem.tasks.state_tracking:StateTracking.parse",
            "state-tracking/group=S3,reset=0.05",
            "product of all elements of `group` since a mark, which has probability `reset`; "
            "groups are parity, Z<n>, S3, A5 and S5",
        ),
        "selective-copy": Family(
            "seqmem.tasks.selective_copy:SelectiveCopy.parse",
            "selective-copy/T=64,data=8",
            "recall the `data` symbols that were scattered among T places, in their order",
        ),
        "induction": Family(
            "seqmem.tasks.induction:Induction.parse",
            "induction/V=16,T=64",
            "recall which of V symbols followed a trigger within the last T",
        ),
        "long-memory": Family(
            "seqmem.tasks.long_memory:LongMemory.parse",
            "long-memory/d=0.4",
            "next value of a process whose correlations fall as a power 2d − 1 of the lag",
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
        "sequential-image": Family(
            "seqmem.tasks.sequential_image:SequentialImage.parse",
            "sequential-image/fashion-mnist",
            "class of an image that is read pixel by pixel, row by row",
            data="{variant}",
            variants=("fashion-mnist", "mnist", "digits"),
        ),
        "permuted-image": Family(
            "seqmem.tasks.permuted_image:PermutedImage.parse",
            "permuted-image/fashion-mnist,seed=0",
            "class of an image that is read pixel by pixel, in the random order of `seed`",
            data="{variant}",
            variants=("fashion-mnist", "mnist", "digits"),
        ),
        "wikitext-103": Family(
            "seqmem.tasks.wikitext:WikiText103.parse",
            "wikitext-103",
            "next word of Wikipedia articles, vocabulary of 267,735; vocabulary=FILE or "
            "vocabulary=valid uses another and needs no training split",
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
            files=True,
        ),
        "translation": Family(
            "seqmem.tasks.translation:Translation.parse",
            "translation/bible-es-en",
            "next word of a translation, after its source; translation:FILE.tsv is your own pairs",
            data="{variant}",
            variants=("bible-es-en", "multi30k-de-en"),
            files=True,
        ),
        "speech": Family(
            "seqmem.tasks.speech:Speech.parse",
            "speech/ljspeech",
            "next of 8,000 samples a second of a reader's voice, 256 levels; rate=16000: of 16,000",
            data="{variant}",
            variants=("ljspeech",),
        ),
        "audio": Family(
            "seqmem.tasks.audio:Audio.parse",
            "audio:GLOB",
            "next of 8,000 samples a second of your own recordings, WAV files; "
            "audio:GLOB?rate=16000: of 16,000",
            files=True,
        ),
        "python-stdlib": Family(
            "seqmem.tasks.python_stdlib:PythonStdlib.parse",
            "text:python-stdlib?unit=char",
            "next character of the source of Python's standard library, or next word without "
            "unit=char; another text in every version of Python",
            data="python-stdlib",
            own_to_machine=True,
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
        "fashion-mnist": "seqmem.tasks.data.image_sets:FASHION_MNIST",
        "mnist": "seqmem.tasks.data.image_sets:MNIST",
        "digits": "seqmem.tasks.data.image_sets:DIGITS",
        "bible-es-en": "seqmem.tasks.data.translation_files:BIBLE",
        "multi30k-de-en": "seqmem.tasks.data.translation_files:MULTI30K",
        "ljspeech": "seqmem.tasks.data.speech_clips:LJSPEECH",
        "python-stdlib": "seqmem.tasks.data.python_files:PYTHON_STDLIB",
    }
)


def load_source(name: str) -> "Source":
    """Return a data set's description."""
    source: Source = pkgutil.resolve_name(DATA[name])
    return source


def listed_tasks() -> tuple[str, ...]:
    """Return the id of every task that `seqmem tasks` lists: examples, and those of the suites."""
    examples = [family.example for family in FAMILIES.values()]
    return tuple(dict.fromkeys(examples + [t for suite in SUITES.values() for t in suite.tasks]))


def family_of(task_id: str) -> str:
    """Return the part of an id before its parameters or, as in ``text:FILE``, the user's files."""
    name, colon, rest = task_id.partition(":")
    if name == "text" and rest.partition("?")[0] == _PYTHON:
        return _PYTHON  # no file of the user, but a text on every machine
    return name if colon and _files(name) else task_id.partition("/")[0]


def _files(name: str) -> bool:
    return name in FAMILIES and FAMILIES[name].files


def _names_files(task_id: str) -> bool:
    """Return whether an id names the user's own files."""
    name, colon, _ = task_id.partition(":")
    return bool(colon) and _files(name) and family_of(task_id) == name


def every_id(text: str) -> list[str]:
    """Return the ids of a text in which parameters may have several values, as in ``T=10|20``.

    Of several parameters, all combinations.
    """
    family = FAMILIES.get(family_of(text))
    if family is None or _names_files(text):  # a name of a file may contain anything
        return [text]
    name, slash, parameters = text.partition("/")
    choices = []
    for part in parameters.split(","):
        key, equals, values = part.partition("=")
        choices.append([f"{key}{equals}{value}" for value in values.split("|")])
    return [f"{name}{slash}{','.join(chosen)}" for chosen in product(*choices)]


def data_problem(task_id: str) -> str:
    """Return why a known task's data are not available without a download; empty if they are."""
    data = FAMILIES[family_of(task_id)].data
    if data is None or _names_files(task_id):
        return ""
    variant = _split_variant(task_id.partition("/")[2])[0]
    located = load_source(data.format(variant=variant)).locate()
    return located.variants.get(variant, located.problem)


def _split_variant(text: str) -> tuple[str, str]:
    """Return what is before the first comma after an id's slash, and what is after it."""
    variant, comma, rest = text.partition(",")
    return variant, comma + rest


def load_task(task_id: str) -> "Task":
    """Return the task of an id, as in ``load_task("adding-problem/T=200")``.

    Raises:
        InputError: the family is unknown, or a parameter is unknown, missing or out of range.
    """
    if not isinstance(task_id, str):
        raise InputError(f"{task_id!r} is no task's id, which is a text as in 'copy-memory/T=10'")
    name = family_of(task_id)
    if name not in FAMILIES:
        raise unknown("task", task_id, FAMILIES, "seqmem tasks")
    family = FAMILIES[name]
    text = task_id[len(name) + 1 :]
    own = _names_files(task_id)
    variant, rest = _split_variant(text)
    is_variant = bool(family.variants) and not own
    is_variant = is_variant and ("=" not in variant or variant.startswith("variant="))
    if is_variant and (variant not in family.variants or (rest and "=" not in rest)):
        known = [f"{name}/{variant}" for variant in family.variants]
        raise unknown("task", task_id, known, "seqmem tasks")
    try:
        if own:
            parameters = {"text": text}
        elif name == _PYTHON and task_id.startswith("text:"):
            parameters = {"text": task_id.removeprefix("text:")}
        elif family.user_data:
            raise InputError(f"the path of your own files follows a colon, {family.example}")
        elif is_variant:
            parameters = read_parameters(f"variant={variant}{rest}", ",", family.example)
        else:
            parameters = read_parameters(text, ",", family.example)
        task: Task = pkgutil.resolve_name(family.factory)(parameters)
    except InputError as error:
        raise InputError(f"task '{task_id}': {error}") from None
    return task


# `seqmem.tasks()` is a function of the Python interface.
sys.modules[__name__].__class__ = seqmem.CallableRoom
