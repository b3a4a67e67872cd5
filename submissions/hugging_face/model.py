"""A causal language model of the transformers library with its tokenizer, in this process.

A model reads every window from position 0 on. Its longest input, according to its settings, is
enforced: several architectures accept longer inputs without an error and then return nonsense.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqmem.errors import CellError, InputError
from seqmem.submissions.hugging_face.token_model import MOST_BOS, PADDING, TokenModel
from seqmem.tasks.model import State

__all__ = ["HuggingFaceModel", "longest_input"]

# The settings in which architectures store their longest input.
LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "n_ctx")
NO_LIMIT = 1 << 24  # tokenizers without a limit report a number beyond this


class HuggingFaceModel(TokenModel):
    """A network in this process with its tokenizer.

    Attributes:
        tokenizer: a tokenizer of the transformers library.
    """

    def __init__(self, network: nn.Module, tokenizer: Any, given: str) -> None:
        """Combine a network, which is set to evaluation mode, and its tokenizer."""
        super().__init__()
        self.network = network.eval()
        self.tokenizer, self.given = tokenizer, given
        config: Any = network.config
        config.use_cache = False
        self.vocabulary = int(network.get_input_embeddings().weight.shape[0])  # type: ignore[operator]
        self.longest = longest_input(config, tokenizer)
        self.regimes = _regimes(config)
        self.bos_tokens = self._bos_tokens()
        named = " ".join(repr(token) for token in tokenizer.convert_ids_to_tokens(self.bos_tokens))
        self.bos_rule = (
            f"every window begins with {named}, as the tokenizer begins every text"
            if self.bos_tokens
            else "no token precedes a window, as the tokenizer puts none before a text"
        )
        self._accepted = set(inspect.signature(network.forward).parameters)
        self.reads_out_last = "logits_to_keep" in self._accepted

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Return the scores (B, L, vocabulary) for tokens (B, L), which are outputs.

        Raises:
            CellError: L exceeds the longest input.
        """
        return self._scores(inputs, 0), None

    def features_at(
        self, inputs: Tensor, rows: Tensor, columns: Tensor, state: State = None
    ) -> tuple[Tensor, State]:
        """Return the scores (m, vocabulary) at some positions of tokens (B, L).

        Raises:
            CellError: L exceeds the longest input.
        """
        first = int(columns.min()) if len(columns) else 0
        scores = self._scores(inputs, first)
        return scores[rows.to(scores.device), (columns - first).to(scores.device)], None

    def readout(self, hidden: Tensor) -> Tensor:
        """Return the features themselves, which are outputs."""
        return hidden

    def facts(self) -> dict[str, Any]:
        """Return the facts for a record; see TokenModel."""
        return {
            "architecture": type(self.network).__name__,
            "tokenizer": type(self.tokenizer).__name__,
            "vocabulary": self.vocabulary,
            "longest_input": self.longest,
            "has_bos": self.tokenizer.bos_token_id is not None,
            "bos_rule": self.bos_rule,
            "parameters": sum(weights.numel() for weights in self.parameters()),
        }

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return what the tokenizer returns for texts; see TokenModel."""
        found = self.tokenizer(
            list(texts),
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        return [list(map(int, tokens)) for tokens in found["input_ids"]]

    def _scores(self, tokens: Tensor, first: int) -> Tensor:
        """Return the scores after tokens (B, L) from a position on: (B, L − first, vocabulary)."""
        length = tokens.shape[1]
        if self.longest is not None and length > self.longest:
            raise CellError(
                f"{self.given} reads at most {self.longest:,} tokens at once, and got {length:,}"
            )
        options: dict[str, Any] = {}
        there = tokens != PADDING
        if "attention_mask" in self._accepted and not there.all():
            options["attention_mask"] = there.to(torch.int64)
        if first and self.reads_out_last:
            options["logits_to_keep"] = length - first
        scores: Tensor = self.network(input_ids=tokens.long().clamp(min=0), **options).logits
        return scores[:, first - length :]

    def _bos_tokens(self) -> tuple[int, ...]:
        """Return the tokens that the tokenizer puts before a text by default."""
        whole = list(map(int, self.tokenizer("a", verbose=False)["input_ids"]))
        (own,) = self.tokens(["a"])
        ends = [i for i in range(len(whole)) if own and whole[i : i + len(own)] == own]
        if ends and ends[0] > MOST_BOS:
            raise InputError(
                f"{self.given}: its tokenizer puts {ends[0]:,} tokens before every text; at most "
                f"{MOST_BOS} are accepted"
            )
        begin = tuple(whole[: ends[0]]) if ends else ()
        self._check_known(begin)
        return begin


def longest_input(config: Any, tokenizer: Any = None) -> int | None:
    """Return the longest input that the settings of network and tokenizer allow."""
    settings = (config, config.get_text_config())
    known = [getattr(part, name, None) for part in settings for name in LENGTHS]
    known.append(getattr(tokenizer, "model_max_length", None))
    limits = [int(value) for value in known if isinstance(value, int) and 0 < value < NO_LIMIT]
    return min(limits, default=None)


def _regimes(config: Any) -> tuple[int, ...]:
    """Return the lengths in tokens above which positions are encoded in another way, ascending."""
    settings = getattr(config.get_text_config(), "rope_parameters", None) or {}
    parts = [settings, *(part for part in settings.values() if isinstance(part, dict))]
    found = {part.get("original_max_position_embeddings") for part in parts}
    return tuple(sorted(length for length in found if isinstance(length, int)))
