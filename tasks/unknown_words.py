"""How many targets of a text are ``<unk>``: words that the task's vocabulary lacks."""

from seqmem.errors import InputError
from seqmem.tasks.data.vocabulary import UNKNOWN
from seqmem.tasks.language import LanguageTask
from seqmem.tasks.task import Task

__all__ = ["MANY", "check_known_words", "unknown_share"]

# More than in the published corpora: of Penn Treebank's words 4.8 % are <unk>, of WikiText-2's
# 2.6 % (Merity et al. 2016, table 1).
MANY = 0.05


def unknown_share(task: Task) -> float | None:
    """Return the share of test targets that are ``<unk>``; None for a task without words."""
    if not isinstance(task, LanguageTask):
        return None
    if UNKNOWN not in task.words:
        return 0.0
    targets = task.split("test").targets
    return float((targets == task.words.index(UNKNOWN)).double().mean())


def check_known_words(task: Task) -> None:
    """Check that not all words to be predicted in the test split are ``<unk>``.

    Raises:
        InputError: they are, ends of lines not counted; or data are missing or altered.
    """
    targets = task.split("test").targets
    if not isinstance(task, LanguageTask) or UNKNOWN not in task.words:
        return
    present = {task.words[i] for i in targets.unique().tolist()}
    if present <= {UNKNOWN, *task.line_ends}:
        raise InputError(
            f"{task.id}: all that is to be predicted in the test part is {UNKNOWN}, as it never "
            "occurs in the training part, or too rarely; lower min-count, or take a text whose "
            "parts are alike"
        )
