"""What tasks of predicting the next word or character share."""

from abc import abstractmethod
from functools import cache, cached_property
from typing import ClassVar, Literal

from torch import Tensor

from seqmem.tasks.data.vocabulary import Ids
from seqmem.tasks.streams import hash_with_words, log_frequencies, mean_loss
from seqmem.tasks.task import InputSpec, Task, Tokens

__all__ = ["LanguageTask"]


class LanguageTask(Task):
    """Inputs and targets are ids of one vocabulary, which is known once the data are read.

    Attributes:
        line_ends: the words that stand for the end of a line, or of a sentence on its own line.
        unit: what a target is.
    """

    next_token: ClassVar[bool] = True
    line_ends: ClassVar[tuple[str, ...]] = ("<eos>",)
    unit: Literal["word", "char"] = "word"

    @property
    @abstractmethod
    def words(self) -> tuple[str, ...]:
        """The vocabulary: id -> word or character.

        Raises:
            InputError: the data are missing, damaged or altered.
        """

    @abstractmethod
    def counted_ids(self) -> Ids:
        """Give the tokens whose frequencies are chance: as a rule those of the training split."""

    @property
    def inputs(self) -> InputSpec:  # type: ignore[override]  # known once the data are read
        """Ids of words or characters."""
        return Tokens(self.outputs)

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """The size of the vocabulary."""
        return len(self.words)

    @cache  # noqa: B019 - a task lives as long as the run
    def constant(self) -> Tensor:
        """Log frequencies; a word that was not counted is taken to occur once."""
        return log_frequencies(self.counted_ids(), self.outputs)

    def initial_outputs(self) -> Tensor:
        """Log frequencies: learning them word by word would take most of a short training."""
        return self.constant()

    @cache  # noqa: B019 - a task lives as long as the run
    def chance(self) -> float:
        """The unigram model's loss on the test split, in nats."""
        return mean_loss(self.constant(), self.split("test"))

    @cached_property
    def data_hash(self) -> str:
        """The test split's ids, and the vocabulary."""
        return hash_with_words(self.split("test").fingerprint(), self.words)
