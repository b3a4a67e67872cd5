"""Causal language models in the Hugging Face format, with their tokenizers.

``hf:DIRECTORY-OR-ID``: a folder written by save_pretrained; or, where there is no such folder, the
name of a model in the local cache or on the hub. Weights are safetensors and no code of the folder
is run: pickles and modules are refused. A folder needs no network.

A model reads every window from position 0 on. Its longest input, according to its settings, is
enforced: several architectures accept longer inputs without an error and then return nonsense.
"""

import inspect
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqmem.errors import CellError, InputError
from seqmem.files import expand_user
from seqmem.submissions.extras import imported
from seqmem.submissions.hugging_face.files import DOWNLOADED, check_files, settings_sha256
from seqmem.submissions.hugging_face.token_model import PADDING, TokenModel
from seqmem.tasks.model import State

__all__ = ["HuggingFaceModel", "open_hugging_face"]

# The settings in which architectures store their longest input.
LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "n_ctx")
NO_LIMIT = 1 << 24  # tokenizers without a limit report a number beyond this
# The largest change of outputs with later inputs, relative to their size: rounding.
ROUNDING = 1e-3


class HuggingFaceModel(TokenModel):
    """A network in this process with its tokenizer.

    Attributes:
        name: the model as the user named it, but only the last part of a folder.
        tokenizer: a tokenizer of the transformers library.
        revision: the commit on the hub; None for a folder.
        settings_sha256: hash of the files with its settings and its tokenizer; empty if unknown.
    """

    def __init__(
        self,
        network: nn.Module,
        tokenizer: Any,
        given: str,
        name: str | None = None,
        revision: str | None = None,
        settings_sha256: str = "",
    ) -> None:
        """Combine a network, which is set to evaluation mode, and its tokenizer."""
        super().__init__()
        self.network = network.eval()
        self.tokenizer, self.given, self.revision = tokenizer, given, revision
        self.name, self.settings_sha256 = name or given, settings_sha256
        config: Any = network.config
        config.use_cache = False
        self.vocabulary = int(network.get_input_embeddings().weight.shape[0])  # type: ignore[operator]
        self.longest = _longest(config, tokenizer)
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

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of texts; see TokenModel."""
        if not texts:
            return []
        encoded = self._tokens(texts)
        largest = max((max(tokens) for tokens in encoded if tokens), default=0)
        if largest >= self.vocabulary:
            raise InputError(
                f"{self.given}: its tokenizer returns token {largest:,}, and the model has "
                f"{self.vocabulary:,}; the two do not belong together"
            )
        return encoded

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
        """Return the facts for a record besides size and hash of the weights."""
        return {
            "architecture": type(self.network).__name__,
            "revision": self.revision,
            "settings_sha256": self.settings_sha256,
            "tokenizer": type(self.tokenizer).__name__,
            "vocabulary": self.vocabulary,
            "longest_input": self.longest,
            "has_bos": self.tokenizer.bos_token_id is not None,
            "bos_rule": self.bos_rule,
        }

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
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
        (own,) = self._tokens(["a"])
        ends = [i for i in range(len(whole)) if own and whole[i : i + len(own)] == own]
        return tuple(whole[: ends[0]]) if ends else ()


def open_hugging_face(place: str) -> HuggingFaceModel:
    """Load a model, in float32, and its tokenizer.

    Args:
        place: a folder, or the name of a model in the local cache or on the hub.

    Raises:
        InputError: there is no such model, it is not a causal language model with a tokenizer, or
            loading it would run code of its own.
    """
    given = f"hf:{place}"
    try:
        transformers = imported("transformers", "hf")
    except InputError as error:
        raise InputError(f"{given}: {error}") from None
    folder, revision = _folder(place, given)
    config = check_files(folder, given)
    known = transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    kind = config.get("model_type")
    if kind not in known:
        raise InputError(
            f"{given}: model_type '{kind}' is not a causal language model of the transformers "
            "library; submit a model that predicts the next token, or the model as ONNX"
        )
    options = {"local_files_only": True, "trust_remote_code": False}
    with _quiet(offline=True):
        with _reading(f"{given}: its tokenizer"):
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
        with _reading(f"{given}: the model"):
            network, found = transformers.AutoModelForCausalLM.from_pretrained(
                folder,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                **options,
            )
        if missing := sorted(found["missing_keys"]):
            raise InputError(
                f"{given}: the weights lack {len(missing)} of the tensors of a causal language "
                f"model, {missing[0]} among them; save the whole model, "
                "including its output layer"
            )
        name = given if revision else f"hf:{folder.resolve().name}"
        model = HuggingFaceModel(network, tokenizer, given, name, revision, settings_sha256(folder))
        _check_causal(model)
    return model


def _folder(place: str, given: str) -> tuple[Path, str | None]:
    """Return the folder of a model, and its commit if it comes from the hub."""
    path = expand_user(place)
    if path.is_dir():
        return path, None
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", place) or path.exists():
        raise InputError(f"{given}: there is no such folder; name one that save_pretrained wrote")
    from huggingface_hub import snapshot_download

    with _quiet(offline=False):
        try:
            found = Path(snapshot_download(place, allow_patterns=list(DOWNLOADED)))
        except Exception as error:  # a wrong name, no network, no permission, a full disk
            raise InputError(
                f"{given}: there is no such folder, and no such model in the cache or on the hub: "
                f"{_first_line(error)}"
            ) from None
    return found, found.name


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn an error into an InputError; architectures raise errors of any class."""
    try:
        yield
    except Exception as error:
        raise InputError(
            f"{what} cannot be read ({type(error).__name__}: {_first_line(error)}); save it again "
            "with save_pretrained"
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0]


@contextmanager
def _quiet(*, offline: bool) -> Iterator[None]:
    """Silence the libraries' messages, progress bars and warnings; offline, forbid downloads.

    Weights that are missing in the files are drawn at random; the generator's state is restored.
    """
    from huggingface_hub import constants
    from transformers.utils import logging

    before = constants.HF_HUB_DISABLE_TELEMETRY, constants.HF_HUB_OFFLINE
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    constants.HF_HUB_DISABLE_TELEMETRY = True
    constants.HF_HUB_OFFLINE = offline or constants.HF_HUB_OFFLINE
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            yield
    finally:
        constants.HF_HUB_DISABLE_TELEMETRY, constants.HF_HUB_OFFLINE = before
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _longest(config: Any, tokenizer: Any) -> int | None:
    """Return the longest input that the settings of network and tokenizer allow."""
    settings = (config, config.get_text_config())
    known = [getattr(part, name, None) for part in settings for name in LENGTHS]
    known.append(tokenizer.model_max_length)
    limits = [int(value) for value in known if isinstance(value, int) and 0 < value < NO_LIMIT]
    return min(limits, default=None)


def _regimes(config: Any) -> tuple[int, ...]:
    """Return the lengths in tokens above which positions are encoded in another way, ascending."""
    settings = getattr(config.get_text_config(), "rope_parameters", None) or {}
    parts = [settings, *(part for part in settings.values() if isinstance(part, dict))]
    found = {part.get("original_max_position_embeddings") for part in parts}
    return tuple(sorted(length for length in found if isinstance(length, int)))


@torch.inference_mode()
def _check_causal(model: HuggingFaceModel) -> None:
    """Check that a network's outputs do not depend on later inputs.

    Raises:
        InputError: they do.
    """
    length = min(16, model.longest or 16)
    rng = torch.Generator().manual_seed(0)
    tokens = torch.randint(model.vocabulary, (1, length), generator=rng)
    whole = model(tokens)[0]
    for cut in {1, length // 2, length - 1} - {0}:
        alone = model(tokens[:, :cut])[0]
        if (whole[:cut] - alone).abs().max() > ROUNDING * whole.abs().max():
            raise InputError(
                f"{model.given}: its outputs depend on later tokens, so it is not a causal "
                "language model; submit one that predicts the next token"
            )
