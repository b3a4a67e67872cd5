"""Translations of which a part is out of view: what ``source=`` and ``target=`` in an id ask for.

``source=8`` keeps the last 8 tokens of each test source, next to the separator. ``target=4`` makes
each test target a sequence of its own: the source, the separator and the last 4 tokens of the
translation before it, so that what is between them is out of view. Both together are a window of
the source side and one of the target side, of any lengths. At 0 nothing of a side remains but the
separator.

k counts inputs as ever, of the sequences that are left; what was cut is out of view at every k, at
full as well. Everything else is that of the task without them: models are trained and validated on
whole pairs, once for all cuts, and the targets are the same. Scores stand under an id of their own,
so that they never mix.

With ``train=cut`` beside ``source=``, sources of training and validation are cut as well:
``source=0,train=cut`` is a language model of the target side alone, on the same test targets.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from seqmem.errors import InputError
from seqmem.tasks import family_of
from seqmem.tasks.parameters import integer, split_options
from seqmem.tasks.task import Split

__all__ = ["CUT", "WHOLE", "Cuts", "cut_split", "ids_with_sources", "with_parameters"]

CUT = ("source", "target", "train")  # options of an id
SIDES = {"source", "target"}
LONGEST = 10_000


@dataclass(frozen=True)
class Cuts:
    """How much of each side is in view.

    Attributes:
        source: the number of latest source tokens; None: all.
        target: the number of latest target tokens before a target; None: all.
        trained: whether sources are cut in training and validation too.
    """

    source: int | None = None
    target: int | None = None
    trained: bool = False

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> "Cuts":
        """Return the cuts among the options of an id.

        Raises:
            InputError: one is no number within 0 … 10,000, or training cannot be cut so.
        """
        train = options.get("train")
        if train not in (None, "cut"):
            raise InputError(f"train={train}: write train=cut, or leave it out to train on all")
        if train and ("source" not in options or "target" in options):
            raise InputError("train=cut cuts sources: give it with source=N, and without target=")
        sides = {name: integer(name, options[name], 0, LONGEST) for name in SIDES & options.keys()}
        return cls(**sides, trained=train == "cut")

    @property
    def options(self) -> dict[str, object]:
        """What is cut, as options of an id."""
        train = "cut" if self.trained else None
        given = {"source": self.source, "target": self.target, "train": train}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def longest(self) -> int | None:
        """The largest number of inputs that are in view; None if it is unlimited."""
        if self.source is None or self.target is None:
            return None
        return self.source + 1 + self.target


WHOLE = Cuts()


def with_parameters(task_id: str, parameters: Mapping[str, object]) -> str:
    """Return a translation's id with parameters added at its end."""
    for name, value in parameters.items():
        if task_id.startswith("translation:"):
            mark = "&" if split_options(task_id)[1] else "?"
        else:
            mark = ","
        task_id = f"{task_id}{mark}{name}={value}"
    return task_id


def ids_with_sources(task_ids: Iterable[str], sources: Iterable[int]) -> tuple[str, ...]:
    """Return each translation with each number of source tokens in view.

    Raises:
        InputError: a task is no translation, or there is none.
    """
    task_ids, sources = tuple(task_ids), tuple(dict.fromkeys(sources))
    if not task_ids:
        raise InputError(
            f"--k-source {sources[0]}: no translation is named; name one, as in "
            "--task translation/bible-es-en"
        )
    for task_id in task_ids:
        if family_of(task_id) != "translation":
            raise InputError(
                f"--k-source {sources[0]}: {task_id} has no source side; give it with translations "
                "alone, as in --task translation/bible-es-en"
            )
    return tuple(with_parameters(task, {"source": n}) for task in task_ids for n in sources)


def cut_split(split: Split, separator: int, cuts: Cuts) -> Split:
    """Return a split of pairs with parts of them cut out; targets and blocks are the same.

    Args:
        split: pairs, each with one separator.
        separator: its id.
        cuts: what remains in view.
    """
    inputs, positions = split.inputs.numpy(), split.positions.numpy()
    separators = np.flatnonzero(inputs == separator)
    begins = split.starts.numpy()[:-1]
    if cuts.source is not None:
        begins = np.maximum(begins, separators - cuts.source)
    ends = split.starts.numpy()[1:]  # after the last input in view
    skipped = np.zeros(len(begins), np.int64)  # inputs right after the separator
    pair = np.searchsorted(separators, positions, side="right") - 1
    if cuts.target is not None:  # a sequence for each target
        begins, separators, ends = begins[pair], separators[pair], positions + 1
        skipped = np.maximum(positions - separators - cuts.target, 0)
        pair = np.arange(len(positions))
    lengths = ends - begins - skipped
    starts = np.concatenate([[0], np.cumsum(lengths)])
    step = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
    after = step > np.repeat(separators - begins, lengths)
    index = np.repeat(begins, lengths) + step + np.where(after, np.repeat(skipped, lengths), 0)
    return Split(
        inputs=torch.from_numpy(inputs[index]),
        starts=torch.from_numpy(starts),
        positions=torch.from_numpy(starts[pair] + positions - begins[pair] - skipped[pair]),
        targets=split.targets,
        blocks=split.blocks,
    )
