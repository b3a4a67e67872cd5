"""WikiText-2 and WikiText-103: predict the next word of Wikipedia articles.

Merity et al. 2016 (arXiv 1609.07843). Each split is one stream of words with an ``<eos>`` after
every line, in the published vocabulary: every word of the training split, where rare words are
already ``<unk>``; 33,278 and 267,735. The input at t is word t, the target word t + 1; the first
word of a split has no input before it and is not scored, as usual: 245,568 of the test split's
245,569 tokens are. Loss: cross-entropy, reported as perplexity per word. Chance: word frequencies
of the training split.

Contexts extend across articles, as usual in the literature; intervals treat articles as the
independent units, 60 in the test split.

WikiText-103 can be measured without its training split, with another vocabulary. Such scores are
not comparable with those in the published one, and the id says so:

* ``wikitext-103/vocabulary=FILE``: one word a line; ``<unk>`` and ``<eos>`` are appended if the
  file lacks them;
* ``wikitext-103/vocabulary=valid``: the words of the validation split.

Other words become ``<unk>``. Chance is then word frequencies of the validation split, where a word
of the vocabulary that does not occur counts once. There is no training data: only models that are
trained already, or need no training, can be measured.
"""

import hashlib
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from seqmem.errors import InputError
from seqmem.tasks.data.vocabulary import Ids
from seqmem.tasks.data.wikitext_files import (
    WIKITEXT_2,
    WIKITEXT_103,
    Corpus,
    CorpusSource,
    VocabularyFrom,
    load_corpus,
)
from seqmem.tasks.language import LanguageTask, stream_split
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.parameters import check_names
from seqmem.tasks.task import Split

__all__ = ["WikiText2", "WikiText103"]


class _WikiText(LanguageTask):
    """The parts common to both."""

    version: ClassVar[int] = 1
    block_name: ClassVar[str] = "article"
    stream: ClassVar[bool] = True
    source: ClassVar[CorpusSource]

    def __init__(self, vocabulary: VocabularyFrom = "train") -> None:
        """Take the source of the vocabulary; the data are read when they are first needed."""
        self.id = self.source.name
        if vocabulary != "train":
            self.id += f"/vocabulary={vocabulary}"
        self.vocabulary = vocabulary
        self.loss = CrossEntropy(score="perplexity", unit="nats per word")
        # Khandelwal et al. 2018 (arXiv 1805.04623): an LSTM uses about 250 words.
        self.longest_context = 256

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """The size of the vocabulary."""
        return self.source.vocabulary if self.vocabulary == "train" else len(self.corpus.words)

    @property
    def user_file(self) -> str | None:
        """The file of a vocabulary that is not one of the corpus."""
        return str(self.vocabulary) if isinstance(self.vocabulary, Path) else None

    @cached_property
    def corpus(self) -> Corpus:
        """The checked corpus.

        Raises:
            InputError: it is missing, damaged or altered.
        """
        return load_corpus(self.source, self.vocabulary)

    def train(self, seed: int, epoch: int) -> Split:
        """Return the training stream, the same for every seed and epoch.

        Raises:
            InputError: the task has no training split.
        """
        if self.vocabulary != "train":
            raise InputError(
                f"{self.id} has no training split, so nothing can be trained on it; measure a "
                f"model that is trained already, or use {self.source.name} with its train.txt"
            )
        return stream_split(self.corpus.ids["train"])

    @cache  # noqa: B019 - a task lives as long as the run
    def split(self, name: Literal["valid", "test"]) -> Split:
        """Return the validation or test stream."""
        ids, articles = self.corpus.ids[name], self.corpus.articles[name]
        blocks = np.searchsorted(articles, np.arange(1, len(ids)), side="right") - 1
        return stream_split(ids, blocks)

    @property
    def words(self) -> tuple[str, ...]:
        """The vocabulary: id -> word."""
        return self.corpus.words

    def counted_ids(self) -> Ids:
        """Return the training split, or the validation split if there is none."""
        return self.corpus.ids["train" if self.vocabulary == "train" else "valid"]

    @cached_property
    def data_hash(self) -> str:
        """The hash of the test split's ids, and of a vocabulary that is not the published one."""
        if self.vocabulary == "train":
            return self.split("test").fingerprint()
        return super().data_hash


class WikiText2(_WikiText):
    """``wikitext-2``."""

    source: ClassVar[CorpusSource] = WIKITEXT_2

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "WikiText2":
        """Return the task of an id without parameters.

        Raises:
            InputError: parameters are given.
        """
        check_names(parameters, (), "wikitext-2")
        return cls()


class WikiText103(_WikiText):
    """``wikitext-103``, ``wikitext-103/vocabulary=valid``, ``wikitext-103/vocabulary=FILE``."""

    source: ClassVar[CorpusSource] = WIKITEXT_103

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "WikiText103":
        """Return the task of an id's parameters.

        Raises:
            InputError: one is not ``vocabulary``.
        """
        if not parameters:
            return cls()
        check_names(parameters, ("vocabulary",), WIKITEXT_103.without_train[0])
        given = parameters["vocabulary"]
        return cls("valid" if given == "valid" else Path(given))

    def training_hash(self, seed: int) -> str:
        """Return the hash of the constant where a model can learn from nothing else."""
        if self.vocabulary == "train":
            return super().training_hash(seed)
        return hashlib.sha256(self.constant().numpy().tobytes()).hexdigest()
