"""The task on which the validity gate checks a model with a tokenizer of its own."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from seqmem.errors import InputError
from seqmem.measuring.reference import LONGEST_PASS
from seqmem.submissions.hugging_face.token_model import TokenModel
from seqmem.submissions.hugging_face.word_text import language_task, word_text
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.task import Context, Split, Task, Tokens

__all__ = ["TokenTask"]

CHECKED_WORDS = 4000  # of the test split, at least: as many as the gate needs


class TokenTask(Task):
    """Predict the next token of a task's test text, from windows as long as those that are scored.

    Some architectures encode positions in another way above some length (`TokenModel.regimes`), so
    that their outputs change when a text is read on beyond it. Only windows on one side of it can
    be compared: the longest.
    """

    version = 1
    next_token = True

    def __init__(self, task: Task, model: TokenModel, contexts: Sequence[Context]) -> None:
        """Encode a text.

        Args:
            task: the task of predicting words.
            model: the model, whose tokenizer encodes the text.
            contexts: the context lengths in words that are scored.

        Raises:
            NotApplicableError: the task is not one of words.
            InputError: there are fewer than three tokens.
        """
        text = word_text(language_task(task), model)
        words = max([CHECKED_WORDS, *(4 * k for k in contexts if k != "full")])
        ids = text.pieces.tokens.joined(text.forms[:words])
        if len(ids) < 3:
            raise InputError(f"{model.given}: its tokenizer returns no tokens for a text of words")
        self.id = task.id
        self.inputs = Tokens(model.vocabulary)
        self.outputs = model.vocabulary
        self.loss = CrossEntropy()
        most = min(model.longest or LONGEST_PASS, len(ids) - 1)
        lengths = [text.longest_window(len(text.words) if k == "full" else k) for k in contexts]
        scored = sorted({length for length in lengths if length <= most} or {most})
        for bound in model.regimes:
            if scored[-1] <= bound:
                most = min(most, bound)
            scored = [length for length in scored if length > bound] or scored
        self._contexts = tuple(scored)
        self.longest_context = scored[-1]
        starts = torch.tensor([*range(0, len(ids) - 1, most), len(ids) - 1])
        self._test = Split(
            inputs=torch.from_numpy(ids[:-1]).int(),
            starts=starts,
            positions=torch.arange(len(ids) - 1),
            targets=torch.from_numpy(ids[1:]).int(),
            blocks=torch.zeros(len(ids) - 1, dtype=torch.int64),
        )

    @property
    def contexts(self) -> tuple[int, ...]:
        """The lengths in tokens of the longest windows that are scored."""
        return self._contexts

    def train(self, seed: int, epoch: int) -> Split:
        """Raise an error: nothing is trained on this task."""
        raise InputError(f"{self.id} as tokens has no training data")

    def split(self, name: Literal["valid", "test"]) -> Split:
        """Return the text."""
        return self._test

    def constant(self) -> Tensor:
        """Return equal scores for all tokens."""
        return torch.zeros(self.outputs)

    def chance(self) -> float:
        """Return the logarithm of the number of different tokens."""
        return math.log(self.outputs)
