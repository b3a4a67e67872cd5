"""Causal language models in the Hugging Face form, with their tokenizers.

``hf:DIRECTORY-OR-ID``: a folder as save_pretrained writes it; or, where there is no such folder, a
name that the local cache or the hub has. Weights are safetensors and nothing of the folder is run:
pickles and code of its own are refused. A folder needs no network.

A model reads tokens from position 0 on, anew for every window. Its longest input is what its
settings say, and held to; several architectures take more without a word and then give nonsense.
"""

import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from seqmem.errors import CellError, InputError
from seqmem.submissions.hugging_face.files import WANTED, check_files, settings_sha256
from seqmem.tasks.model import SequenceModel, State

__all__ = ["HuggingFaceModel", "open_hugging_face"]

T = TypeVar("T")

# The settings under which architectures keep their longest input.
LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "n_ctx")
NO_LIMIT = 1 << 24  # tokenizers that know of no limit give a number beyond all use
# How far, relative to their size, outputs may change with what comes later: rounding.
SAME = 1e-3


class HuggingFaceModel(SequenceModel):
    """A network and its tokenizer; as a SequenceModel, a map from tokens to scores of the next one.

    Attributes:
        given: how the user named it.
        name: the same, of a folder its last part alone.
        tokenizer: of the transformers library.
        vocabulary: how many tokens the network reads.
        longest: the most tokens that it reads at once; None where its settings know no limit.
        begin: the tokens that stand before every window.
        begin_rule: where these come from, in words.
        revision: the commit, where it came from the hub.
        settings: hash of the files with its settings and its tokenizer; empty where unknown.
    """

    next_token_only = True

    def __init__(
        self,
        network: nn.Module,
        tokenizer: Any,
        given: str,
        name: str | None = None,
        revision: str | None = None,
        settings: str = "",
    ) -> None:
        """Take both; the network is put into evaluation mode."""
        super().__init__()
        self.network = network.eval()
        self.tokenizer, self.given, self.revision = tokenizer, given, revision
        self.name, self.settings = name or given, settings
        config: Any = network.config
        config.use_cache = False
        self.vocabulary = int(network.get_input_embeddings().weight.shape[0])  # type: ignore[operator]
        self.longest = _longest(config, tokenizer)
        self.begin = self._begin()
        named = " ".join(repr(token) for token in tokenizer.convert_ids_to_tokens(self.begin))
        self.begin_rule = (
            f"every window begins with {named}, as the tokenizer begins every text"
            if self.begin
            else "nothing stands before a window: the tokenizer puts nothing before a text"
        )
        self._takes = set(inspect.signature(network.forward).parameters)

    @property
    def reads_out_last(self) -> bool:
        """Whether the network can be asked for its last outputs alone."""
        return "logits_to_keep" in self._takes

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the tokens of texts; nothing is put before or behind, no text is a control token."""
        if not texts:
            return []
        found = self.tokenizer(
            list(texts),
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        return [list(map(int, tokens)) for tokens in found["input_ids"]]

    def outputs(self, tokens: Tensor, lengths: Tensor | None = None, last: int = 0) -> Tensor:
        """Give the scores of the next token.

        Args:
            tokens: (B, L) ids; what is shorter is filled up at its right end.
            lengths: (B,) of each; None: they are all L.
            last: how many of the last places are read out; 0: all.

        Returns:
            (B, last or L, vocabulary).

        Raises:
            CellError: L is more than the model reads.
        """
        length = tokens.shape[1]
        if self.longest is not None and length > self.longest:
            raise CellError(
                f"{self.given} reads at most {self.longest:,} tokens at once, and was given "
                f"{length:,}"
            )
        options: dict[str, Any] = {}
        if lengths is not None and "attention_mask" in self._takes:
            there = torch.arange(length) < lengths[:, None]
            options["attention_mask"] = there.to(tokens.device, torch.int64)
        if last and self.reads_out_last:
            options["logits_to_keep"] = last
        scores: Tensor = self.network(input_ids=tokens.long(), **options).logits
        return scores[:, -last:] if last else scores

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Tokens (B, L) -> scores (B, L, vocabulary); they are outputs already."""
        return self.outputs(inputs), None

    def readout(self, hidden: Tensor) -> Tensor:
        """Pass on what is an output already."""
        return hidden

    def facts(self) -> dict[str, Any]:
        """Give what a record says of it, besides its size and the hash of its weights."""
        return {
            "architecture": type(self.network).__name__,
            "revision": self.revision,
            "settings_sha256": self.settings,
            "tokenizer": type(self.tokenizer).__name__,
            "vocabulary": self.vocabulary,
            "longest_input": self.longest,
            "has_bos": self.tokenizer.bos_token_id is not None,
            "bos_rule": self.begin_rule,
        }

    def _begin(self) -> tuple[int, ...]:
        """Give the tokens that the tokenizer puts before a text of its own accord."""
        whole = list(map(int, self.tokenizer("a", verbose=False)["input_ids"]))
        (own,) = self.encode(["a"])
        ends = [i for i in range(len(whole)) if own and whole[i : i + len(own)] == own]
        return tuple(whole[: ends[0]]) if ends else ()


def open_hugging_face(place: str) -> HuggingFaceModel:
    """Read a model and its tokenizer; it computes in float32.

    Args:
        place: a folder, or the name of a model in the local cache or on the hub.

    Raises:
        InputError: there is no such model, it is not a causal language model with a tokenizer, or
            it could not be read without running code of its own.
    """
    given = f"hf:{place}"
    try:
        import transformers
    except ImportError:
        raise InputError(
            f"{given}: reading it needs the transformers library: pip install 'seqmem[hf]'"
        ) from None
    folder, revision = _folder(place, given)
    config = check_files(folder, given)
    known = transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    kind = config.get("model_type")
    if kind not in known:
        raise InputError(
            f"{given}: model_type '{kind}' is no causal language model that the transformers "
            "library has; give one that predicts the next token, or the model as ONNX"
        )
    how = {"local_files_only": True, "trust_remote_code": False}
    with _quiet(offline=True):
        tokenizer = _read(
            f"{given}: its tokenizer",
            lambda: transformers.AutoTokenizer.from_pretrained(folder, **how),
        )
        network, found = _read(
            f"{given}: the model",
            lambda: transformers.AutoModelForCausalLM.from_pretrained(
                folder,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                **how,
            ),
        )
        if missing := sorted(found["missing_keys"]):
            raise InputError(
                f"{given}: the weights lack {len(missing)} of the tensors of a causal language "
                f"model, {missing[0]} among them; save the model that predicts the next token, "
                "with its head"
            )
        name = given if revision else f"hf:{folder.resolve().name}"
        model = HuggingFaceModel(network, tokenizer, given, name, revision, settings_sha256(folder))
        _check_causal(model)
    return model


def _folder(place: str, given: str) -> tuple[Path, str | None]:
    """Give the folder of a model, and its commit if it is one of the hub's."""
    path = Path(place).expanduser()
    if path.is_dir():
        return path, None
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", place) or path.exists():
        raise InputError(f"{given}: there is no such folder; give the one save_pretrained wrote")
    from huggingface_hub import snapshot_download

    with _quiet(offline=False):
        try:
            found = Path(snapshot_download(place, allow_patterns=list(WANTED)))
        except Exception as error:  # a wrong name, no network, no right to read it, a full disk
            raise InputError(
                f"{given}: there is no such folder, and no such model in the cache or on the hub: "
                f"{_first_line(error)}"
            ) from None
    return found, found.name


def _read(what: str, read: Callable[[], T]) -> T:
    """Read something; each architecture tells in its own way that it cannot be.

    Raises:
        InputError: it cannot.
    """
    try:
        return read()
    except Exception as error:
        raise InputError(
            f"{what} cannot be read ({type(error).__name__}: {_first_line(error)}); save it once "
            "more with save_pretrained"
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0]


@contextmanager
def _quiet(*, offline: bool) -> Iterator[None]:
    """Keep the libraries from reporting, drawing bars, warning, and, offline, from the network.

    What a network's files lack is drawn at random, from a generator that is put back.
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
    """Give the longest input that a network's settings and its tokenizer's allow."""
    settings = (config, config.get_text_config())
    known = [getattr(part, name, None) for part in settings for name in LENGTHS]
    known.append(tokenizer.model_max_length)
    limits = [int(value) for value in known if isinstance(value, int) and 0 < value < NO_LIMIT]
    return min(limits, default=None)


@torch.inference_mode()
def _check_causal(model: HuggingFaceModel) -> None:
    """Hold a network to its outputs depending on nothing that comes later.

    Raises:
        InputError: they do.
    """
    length = min(16, model.longest or 16)
    rng = torch.Generator().manual_seed(0)
    tokens = torch.randint(model.vocabulary, (1, length), generator=rng)
    whole = model.outputs(tokens)[0]
    for cut in {1, length // 2, length - 1} - {0}:
        alone = model.outputs(tokens[:, :cut])[0]
        if (whole[:cut] - alone).abs().max() > SAME * whole.abs().max():
            raise InputError(
                f"{model.given}: its outputs depend on later tokens, so it is no causal language "
                "model; give one that predicts the next token"
            )
