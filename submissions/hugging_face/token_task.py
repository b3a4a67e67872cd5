"""A task of predicting a model's own tokens, on which the validity gate checks the model."""

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.errors import InputError
from seqmem.submissions.hugging_face.model import HuggingFaceModel
from seqmem.submissions.hugging_face.word_text import language_task, text_of
from seqmem.tasks.language import stream_split
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.task import Split, Task, Tokens

__all__ = ["TokenTask"]

WORDS = 4000  # of the test split: as many as the gate needs
LONGEST = 256  # tokens in the longest window


class TokenTask(Task):
    """Predict the next token, on the beginning of a task's test text."""

    version = 1
    next_token = True

    def __init__(self, task: Task, model: HuggingFaceModel) -> None:
        """Encode a text.

        Args:
            task: the task of predicting words.
            model: the model, whose tokenizer encodes the text.

        Raises:
            NotApplicableError: the task is not one of words.
            InputError: the tokenizer returns fewer than three tokens.
        """
        language = language_task(task)
        words = task.split("test").inputs[:WORDS].numpy().astype(np.int64)
        (ids,) = model.encode([text_of(language, words)])
        if len(ids) < 3:
            raise InputError(f"{model.given}: its tokenizer returns no tokens for a text of words")
        self.id = task.id
        self.inputs = Tokens(model.vocabulary)
        self.outputs = model.vocabulary
        self.loss = CrossEntropy()
        longest = min(LONGEST, model.longest or LONGEST, len(ids) - 1)
        self.longest_context = longest
        # No sequence is longer than the model's longest input.
        test, most = stream_split(np.array(ids), np.arange(len(ids) - 1)), model.longest
        if most is not None:
            starts = torch.arange(0, len(test.inputs), most)
            test = replace(test, starts=torch.cat([starts, test.starts[-1:]]))
        self._test = test

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
