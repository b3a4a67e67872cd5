"""Whatever tokenizer and network are: the probabilities of all words sum to at most one."""

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmem.submissions.hugging_face.measure import measure_words
from seqmem.submissions.hugging_face.model import HuggingFaceModel
from seqmem.submissions.hugging_face.token_model import TokenModel
from seqmem.submissions.hugging_face.word_pieces import word_pieces
from seqmem.tasks.data.vocabulary import Ids
from seqmem.tasks.language import LanguageTask
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.model import State
from seqmem.tasks.task import Split
from seqmem.tests import tiny_models as tiny
from seqmem.tests.word_losses import WordLosses

END = "<eos>"


class AllPairs(LanguageTask):
    """Every word after every context of one or two words."""

    version = 1
    id = "all-pairs"
    loss = CrossEntropy(score="perplexity")
    longest_context = 2
    words: tuple[str, ...] = ()

    def __init__(self, words: Sequence[str]) -> None:
        self.words = (END, *words)
        numbers = range(len(self.words))
        contexts = [*product(numbers), *product(numbers, numbers)]
        # (context, word) in order of contexts: the last target of each sequence is the word.
        self.rows = [[*context, word] for context in contexts for word in numbers]

    def split(self, name: Literal["valid", "test"]) -> Split:
        lengths = torch.tensor([len(row) - 1 for row in self.rows])
        inputs = torch.tensor([word for row in self.rows for word in row[:-1]], dtype=torch.int32)
        return Split(
            inputs,
            torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]),
            torch.arange(len(inputs)),
            torch.tensor([word for row in self.rows for word in row[1:]], dtype=torch.int32),
            torch.repeat_interleave(torch.arange(len(self.rows)), lengths),
        )

    train = None  # type: ignore[assignment]

    def counted_ids(self) -> Ids:
        return self.split("test").targets.numpy()

    def totals(self, model: TokenModel) -> np.ndarray[Any, Any]:
        """The sum of all words' probabilities after each context, at k = 1, 2 and full."""
        found = measure_words(model, self, (1, 2, "full")).curve
        assert not found.failures
        last = self.split("test").starts[1:].numpy() - 1
        shares = [np.exp(-found.at(k).losses[last]) for k in (1, 2, "full")]
        sums: np.ndarray[Any, Any] = np.array(shares).reshape(3, -1, len(self.words)).sum(-1)
        return sums


class Invented(TokenModel):
    """Any tokens for any word, and scores that depend on the last three tokens."""

    bos_rule, reads_out_last, longest, regimes = "", False, None, ()

    def __init__(self, codes: dict[str, list[int]], size: int, bos: bool, seed: int) -> None:
        super().__init__()
        self.given, self.codes, self.vocabulary = "hf:invented", codes, size + 1
        self.bos_tokens = (size,) if bos else ()
        rng = torch.Generator().manual_seed(seed)
        self.scores = torch.randn(3, size + 2, size + 1, generator=rng) * 3

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        found = []
        for text in texts:
            tokens = [self.vocabulary - 1] if text.startswith("a") else []
            rest = text.removeprefix("a")
            if rest.startswith("\n"):
                tokens += self.codes["\n"]
                rest = rest.removeprefix("\n")
            found.append(tokens + (self.codes[rest] if rest else []))
        return found

    def hidden(self, inputs: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        before = torch.nn.functional.pad(inputs, (2, 0), value=self.vocabulary)
        places = [before[:, 2 - back : before.shape[1] - back] for back in range(3)]
        parts = [table[place] for table, place in zip(self.scores, places, strict=True)]
        return torch.stack(parts).sum(0), None

    def readout(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden

    def facts(self) -> dict[str, Any]:
        return {}


@st.composite
def invented(draw: st.DrawFn) -> tuple[list[str], Invented]:
    words = [f"w{i}" for i in range(draw(st.integers(1, 4)))]
    size = draw(st.integers(1, 3))
    code = st.lists(st.integers(0, size - 1), min_size=1, max_size=4)
    texts = ["\n", *words, *(" " + word for word in words)]
    codes = {text: draw(code) for text in texts}
    return words, Invented(codes, size, draw(st.booleans()), draw(st.integers(0, 99)))


@settings(deadline=None, max_examples=60)
@given(invented())
def test_all_words_together_have_at_most_all_probability(
    made: tuple[list[str], Invented],
) -> None:
    words, model = made
    task = AllPairs(words)
    assert task.totals(model).max() <= 1 + 1e-6
    # And each loss is that of the definition.
    losses = WordLosses(task.words, task.line_ends, lambda text: model.codes[text])
    found = measure_words(model, task, (2,)).curve.at(2).losses
    last = task.split("test").starts[1:].numpy() - 1
    for row, loss in zip(
        task.rows[:: len(task.words)], found[last][:: len(task.words)], strict=True
    ):
        names = [task.words[i] for i in row]
        expected = losses.loss(
            lambda read: model.hidden(read)[0], model.bos_tokens, names[:-1], names[-1]
        )
        assert loss == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_words_cost_something_with_a_unary_code() -> None:
    """The word of rank r is r times one token, and the network predicts nothing else."""
    words = [f"w{i}" for i in range(8)]
    codes = {text: [0] * (i + 1) for i, text in enumerate(["\n", *words])}
    codes |= {" " + word: codes[word] for word in words}
    model = Invented(codes, 2, False, 0)
    model.scores = torch.zeros_like(model.scores)
    model.scores[0, :, 0] = 20.0
    task = AllPairs(words)
    sums = task.totals(model)
    assert sums.max() <= 1 + 1e-6
    # The longest word is free, for all others the network would have to say where they end.
    found = measure_words(model, task, (1,)).curve.at(1).losses
    mean = found[task.split("test").starts[1:].numpy() - 1].mean()
    assert mean > math.log(len(task.words))


def test_a_code_without_prefixes_costs_its_tokens_alone() -> None:
    words = ["x", "y"]
    codes = {"\n": [0], "x": [1, 0], "y": [1, 1], " x": [1, 0], " y": [1, 1]}
    pieces = word_pieces([END, *words], (END,), Invented(codes, 2, False, 0).encode)
    assert pieces.longer.sizes.sum() == 0
    np.testing.assert_array_equal(pieces.reads, pieces.sizes - 1)
    model = Invented(codes, 2, False, 0)
    model.scores[:, :, 2] = -40.0  # the only token that is in no code
    np.testing.assert_allclose(AllPairs(words).totals(model), 1, atol=1e-5)


def byte_pairs() -> Any:
    """GPT-2's kind: a word's first token contains the space."""
    return tiny.byte_level()


def characters() -> Any:
    """ByT5's kind: spaces are tokens."""
    models, decoders = tiny.tokenizers.models, tiny.tokenizers.pre_tokenizers
    letters = sorted(decoders.ByteLevel.alphabet())
    made = tiny.tokenizers.Tokenizer(models.BPE({c: i for i, c in enumerate(letters)}, []))
    made.pre_tokenizer = decoders.ByteLevel(add_prefix_space=False)
    return tiny.transformers.PreTrainedTokenizerFast(tokenizer_object=made)


def word_parts() -> Any:
    """BERT's kind: tokens within a word begin with ##, spaces are dropped."""
    parts = ["[UNK]", "a", "##a", "the", "##re", "##n", "then", "##s", "cat", "\n"]
    model = tiny.tokenizers.models.WordPiece({p: i for i, p in enumerate(parts)}, unk_token="[UNK]")
    made = tiny.tokenizers.Tokenizer(model)
    split = tiny.tokenizers.pre_tokenizers.Split
    made.pre_tokenizer = tiny.tokenizers.pre_tokenizers.Sequence(
        [split("\n", "isolated"), split(" ", "removed")]
    )
    return tiny.transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]")


HONEST: dict[str, Callable[[], Any]] = {
    "byte pairs": byte_pairs,
    "characters": characters,
    "word parts": word_parts,
    "metaspace": tiny.metaspace,
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_tokenizers(name: str) -> None:
    """Scores are those of the definition, and a text costs its code length."""
    tokenizer = HONEST[name]()
    model = HuggingFaceModel(tiny.gpt2(len(tokenizer)), tokenizer, "hf:tiny")
    words = ["cat", "the", "then", "cats", "there"]
    task = AllPairs(words)
    sums = task.totals(model)
    assert sums.max() <= 1 + 1e-6

    def encode(text: str) -> list[int]:
        if name != "metaspace":
            return model.encode([text])[0]
        parts = tokenizer.backend_tokenizer.model.tokenize(text.replace(" ", "▁"))
        return [part.id for part in parts]

    losses = WordLosses(task.words, task.line_ends, encode)
    found = measure_words(model, task, ("full",)).curve.at("full").losses
    begins = task.split("test").starts.tolist()
    for row, begin, end in zip(task.rows, begins, begins[1:], strict=False):
        names = [task.words[i] for i in row]
        for at in range(begin, end):
            context = names[: at - begin + 1]
            expected = losses.loss(
                lambda read: model.network(input_ids=read).logits, (), context, names[len(context)]
            )
            assert found[at] == pytest.approx(expected, rel=1e-5, abs=1e-5)
