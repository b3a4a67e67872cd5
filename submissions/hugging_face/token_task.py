"""A text as a model's own tokens, so that the model can be examined as any other."""

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.errors import InputError
from seqmem.submissions.hugging_face.model import HuggingFaceModel
from seqmem.submissions.hugging_face.word_pieces import language_task, text_of
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.streams import stream_split
from seqmem.tasks.task import Split, Task, Tokens

__all__ = ["TokenTask"]

WORDS = 4000  # of the test split: enough for what the gate reads
LONGEST = 256  # tokens of its longest window


class TokenTask(Task):
    """Predict the next token of the beginning of a task's test text."""

    version = 1
    next_token = True

    def __init__(self, task: Task, model: HuggingFaceModel) -> None:
        """Take the task of words and the model whose tokens it becomes.

        Raises:
            NotApplicableError: the task is not one of words.
            InputError: the tokenizer gives next to nothing for its text.
        """
        language = language_task(task)
        words = task.split("test").inputs[:WORDS].numpy().astype(np.int64)
        (ids,) = model.encode([text_of(language, words)])
        if len(ids) < 3:
            raise InputError(f"{model.given}: its tokenizer gives no tokens for a text of words")
        self.id = task.id
        self.inputs = Tokens(model.vocabulary)
        self.outputs = model.vocabulary
        self.loss = CrossEntropy()
        longest = min(LONGEST, model.longest or LONGEST, len(ids) - 1)
        self.longest_context = longest
        # Nothing that is longer than what the model reads is put before it.
        test, most = stream_split(np.array(ids), np.arange(len(ids) - 1)), model.longest
        if most is not None:
            starts = torch.arange(0, len(test.inputs), most)
            test = replace(test, starts=torch.cat([starts, test.starts[-1:]]))
        self._test = test

    def train(self, seed: int, epoch: int) -> Split:
        """Nothing is learned here."""
        raise InputError(f"{self.id} as tokens has no training data")

    def split(self, name: Literal["valid", "test"]) -> Split:
        """Give the text."""
        return self._test

    def constant(self) -> Tensor:
        """All tokens alike."""
        return torch.zeros(self.outputs)

    def chance(self) -> float:
        """The logarithm of the number of tokens."""
        return math.log(self.outputs)
