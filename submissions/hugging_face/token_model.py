"""What measuring needs of a language model that reads tokens, wherever it runs."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from seqmem.errors import InputError
from seqmem.tasks.model import SequenceModel

__all__ = ["MOST_BOS", "PADDING", "TokenModel"]

PADDING = -1  # stands after the last token of shorter rows
MOST_BOS = 64  # tokens at the beginning of every window


class TokenModel(SequenceModel):
    """A network with its tokenizer; as a SequenceModel, it maps tokens to scores of the next one.

    `hidden` and `features_at` return these scores, and read rows of different lengths: PADDING
    follows the last token of the shorter ones.

    Attributes:
        given: the model as the user named it.
        vocabulary: the number of different tokens.
        longest: the longest input in tokens; None where the settings contain no limit.
        regimes: the lengths in tokens above which the settings encode positions in another way.
        bos_tokens: the tokens at the beginning of every window.
        bos_rule: where these tokens come from, as text.
        reads_out_last: whether the network can compute its last outputs only.
    """

    next_token_only = True

    given: str
    vocabulary: int
    longest: int | None
    regimes: tuple[int, ...]
    bos_tokens: tuple[int, ...]
    bos_rule: str
    reads_out_last: bool

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of texts, without special tokens even where a text equals one.

        Raises:
            InputError: the tokenizer returns tokens that the model does not have.
        """
        encoded = self.tokens(texts) if texts else []
        for tokens in encoded:
            self._check_known(tokens)
        return encoded

    def _check_known(self, tokens: Sequence[int]) -> None:
        """Check that the model has the tokens that its tokenizer returns.

        Raises:
            InputError: it lacks one.
        """
        if (largest := max(tokens, default=0)) >= self.vocabulary:
            raise InputError(
                f"{self.given}: its tokenizer returns token {largest:,}, and the model has "
                f"{self.vocabulary:,}; the two do not belong together"
            )

    @abstractmethod
    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of texts as the tokenizer returns them, not checked."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return the facts for a record: architecture, tokenizer, vocabulary, longest input, BOS.

        The number of parameters is one of them; hashes of files are not.
        """
