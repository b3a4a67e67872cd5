"""The loss of a word by its definition (docs/text.md): one window at a time, all words tried."""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

__all__ = ["WordLosses", "written"]

Network = Callable[[Tensor], Tensor]  # tokens (1, L) -> scores (1, L, V)


def written(words: Sequence[str], line_ends: Sequence[str]) -> list[str]:
    """The text of each word, in a window that begins with the first."""
    texts = ["\n" if word in line_ends else " " + word for word in words]
    return [
        text.removeprefix(" ") if i and texts[i - 1] == "\n" else text
        for i, text in enumerate(texts)
    ]


class WordLosses:
    """Losses of words of a vocabulary, for one tokenizer."""

    def __init__(
        self, words: Iterable[str], line_ends: Sequence[str], encode: Callable[[str], list[int]]
    ) -> None:
        self.line_ends = line_ends
        self.words = list(words)
        ends = {word for word in self.words if word in line_ends}
        within = {"\n" if word in ends else " " + word for word in self.words}
        at_start = {"\n" if word in ends else word for word in self.words}
        # Within a line, and at its start: text -> tokens.
        self.tokens = [{text: encode(text) for text in texts} for texts in (within, at_start)]

    def loss(
        self, network: Network, bos: Sequence[int], context: Sequence[str], target: str
    ) -> float:
        """−ln P(target, then no longer word | context, and no longer word than its last)."""
        texts = written([*context, target], self.line_ends)
        # The forms of the last word and of the target: of a line's start or not.
        last_start = len(texts) > 2 and texts[-3] == "\n"
        start = texts[-2] == "\n"
        known = [self.tokens[i > 0 and texts[i - 1] == "\n"][text] for i, text in enumerate(texts)]
        *before, own = known
        read = [*bos, *(token for tokens in before for token in tokens)]
        longer = self._longer(self.tokens[start], own)
        with torch.inference_mode():
            ids = [*read, *own] if longer else [*read, *own][:-1]
            scores = network(torch.tensor([ids]))[0].double().softmax(-1)
        first = {tokens[0] for tokens in self.tokens[start].values()}
        longer_last = self._longer(self.tokens[last_start], before[-1]) - first
        places = range(len(read) - 1, len(read) - 1 + len(own))
        nats = -sum(math.log(scores[i, token]) for i, token in zip(places, own, strict=True))
        nats += math.log(1 - sum(float(scores[len(read) - 1, token]) for token in longer_last))
        nats -= math.log(1 - sum(float(scores[-1, token]) for token in longer))
        alike = sum(tokens == own for tokens in self.tokens[start].values())
        return nats + math.log(alike)

    def _longer(self, forms: dict[str, list[int]], own: list[int]) -> set[int]:
        return {
            tokens[len(own)]
            for tokens in forms.values()
            if len(tokens) > len(own) and tokens[: len(own)] == own
        }
