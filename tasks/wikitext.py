"""WikiText-2: predict the next word of Wikipedia articles.

Merity et al. 2016 (arXiv 1609.07843). Each split is one stream of words with an ``<eos>`` after
every line, in the published vocabulary of 33,278 (rare words are already ``<unk>`` in the files).
The input at t is word t, the target word t + 1; the first word of a split has no input before it
and is not scored, as usual: 245,568 of the test split's 245,569 tokens are. Loss: cross-entropy,
reported as perplexity per word. Chance: word frequencies of the training split.

Contexts run on across articles, as everywhere in the literature; intervals treat articles as the
independent units, 60 in the test split.
"""

from collections.abc import Mapping
from functools import cache, cached_property
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.tasks.corpora import WIKITEXT_2, Corpus, load_corpus
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.parameters import only
from seqmem.tasks.task import Split, Task, Tokens

__all__ = ["WikiText2"]


class WikiText2(Task):
    """``wikitext-2``."""

    version: ClassVar[int] = 1
    block_name: ClassVar[str] = "article"
    # Differences to full context, what a curve is read for, are known to about ±1 % from k = 8.
    sample: ClassVar[int | None] = 20_480
    stream: ClassVar[bool] = True

    def __init__(self) -> None:
        """Take nothing: the data are read when they are first needed."""
        self.id = "wikitext-2"
        self.inputs = Tokens(WIKITEXT_2.vocabulary)
        self.outputs = WIKITEXT_2.vocabulary
        self.loss = CrossEntropy(score="perplexity")
        # Khandelwal et al. 2018 (arXiv 1805.04623): an LSTM uses about 250 words.
        self.longest_context = 256

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "WikiText2":
        """Read the parameters of an id: there are none.

        Raises:
            InputError: there are some.
        """
        only(parameters, (), "wikitext-2")
        return cls()

    @cached_property
    def corpus(self) -> Corpus:
        """The checked corpus.

        Raises:
            InputError: it is missing, damaged or altered.
        """
        return load_corpus(WIKITEXT_2)

    def train(self, seed: int, epoch: int) -> Split:
        """Give the training stream, the same for every seed and epoch."""
        return self._stream("train")

    @cache  # noqa: B019 - a task lives as long as the run
    def split(self, name: Literal["valid", "test"]) -> Split:
        """Give the validation or test stream."""
        return self._stream(name)

    def constant(self) -> Tensor:
        """Log word frequencies of the training split; every word occurs there."""
        counts = np.bincount(self.corpus.ids["train"], minlength=self.outputs)
        return torch.from_numpy(np.log(counts / counts.sum())).float()

    @cache  # noqa: B019 - a task lives as long as the run
    def chance(self) -> float:
        """The unigram model's loss on the test split, in nats."""
        return float(-self.constant().double()[self.split("test").targets.long()].mean())

    def _stream(self, name: str) -> Split:
        ids = torch.from_numpy(self.corpus.ids[name])
        articles = torch.from_numpy(self.corpus.articles[name])
        positions = torch.arange(len(ids) - 1)
        return Split(
            inputs=ids[:-1],
            starts=torch.tensor([0, len(ids) - 1]),
            positions=positions,
            targets=ids[1:],
            blocks=torch.searchsorted(articles, positions + 1, right=True) - 1,
        )
