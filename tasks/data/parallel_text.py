"""Parallel text: pairs of lines that are translations of each other, read and checked.

A pair is one line of a file, source and target separated by a tab; or line i of two files, joined
by a plus sign: ``news.es+news.en``. Lines are read as by `text_files`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from seqmem.errors import InputError
from seqmem.files import expand_user
from seqmem.tasks.data.text_files import expand, read_lines

__all__ = ["MOST_WORDS", "Pair", "pair_files", "read_pairs"]

MOST_WORDS = 1000  # on one side of a pair: longer ones are no sentences but broken lines


@dataclass(frozen=True)
class Pair:
    """A sentence and its translation.

    Attributes:
        source: the sentence.
        target: its translation.
        where: file and line, for messages.
    """

    source: str
    target: str
    where: str


def pair_files(pattern: str) -> tuple[Path, ...]:
    """Return the file of this name, or the two files of ``SOURCE+TARGET``.

    Raises:
        InputError: there is no such file, or a name matches several.
    """
    one, plus, two = pattern.partition("+")
    names = (one, two) if plus and not expand_user(pattern).exists() else (pattern,)
    found = [expand(name) for name in names]
    for name, paths in zip(names, found, strict=True):
        if len(paths) > 1:
            raise InputError(
                f"{name} matches {len(paths)} files; name one file of pairs, or one SOURCE+TARGET"
            )
    return tuple(paths[0] for paths in found)


def read_pairs(files: tuple[Path, ...]) -> Iterator[Pair]:
    """Yield the pairs of one file with tabs, or of two files, in order.

    Raises:
        InputError: a line is not a pair, a side is empty or has more than MOST_WORDS words, or two
            files differ in their number of lines.
    """
    for pair in _tabbed(files[0]) if len(files) == 1 else _aligned(*files):
        for name, side in (("source", pair.source), ("target", pair.target)):
            words = len(side.split())
            if not words:
                raise InputError(
                    f"{pair.where}: the {name} is empty; remove the pair, or fill it in"
                )
            if words > MOST_WORDS:
                raise InputError(
                    f"{pair.where}: the {name} has {words:,} words, more than {MOST_WORDS:,}; "
                    "split it into sentences, one pair a line"
                )
        yield pair


def _tabbed(path: Path) -> Iterator[Pair]:
    for number, line in enumerate(read_lines(path), 1):
        sides = line.split("\t")
        if len(sides) != 2:
            raise InputError(
                f"{path}, line {number}: has {_tabs(len(sides) - 1)}; a pair is one line, source "
                "and target separated by one tab"
            )
        yield Pair(sides[0], sides[1], f"{path}, line {number}")


def _tabs(number: int) -> str:
    return {0: "no tab", 1: "one tab"}.get(number, f"{number} tabs")


def _aligned(source: Path, target: Path) -> Iterator[Pair]:
    lines: Iterable[tuple[str | None, str | None]]
    lines = zip_longest(read_lines(source), read_lines(target))
    for number, (one, two) in enumerate(lines, 1):
        if one is None or two is None:
            short, long = (source, target) if one is None else (target, source)
            raise InputError(
                f"{short} ends before line {number}, which {long} has; line i of one is the "
                "translation of line i of the other"
            )
        yield Pair(one, two, f"{source} and {target}, line {number}")
