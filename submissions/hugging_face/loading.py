"""Load a Hugging Face model's folder with the transformers library, as data, without a network.

Weights that the library would not use, or draw at random, are errors: it only warns about them, and
the model that it returns is then not the one in the files.
"""

import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from torch import nn

from seqmem.errors import InputError
from seqmem.submissions.extras import imported
from seqmem.submissions.file_kinds import wrapper
from seqmem.submissions.hugging_face.model import HuggingFaceModel
from seqmem.submissions.hugging_face.settings import check_settings
from seqmem.submissions.process.limits import one_line
from seqmem.submissions.process.worker import Opened

__all__ = ["load_model", "open_folder"]

Array = npt.NDArray[Any]
Positions = npt.NDArray[np.int64]

# Constants that earlier versions of the library saved, and later ones compute.
CONSTANTS = re.compile(r"(^|\.)(masked_bias|position_ids|inv_freq)$")
SHORT = ("I", "U", "F8", "F6", "F4", "BOOL")  # how the types of quantised weights begin
NAMED = 3  # weights named in a message
# The largest change of outputs with later inputs, relative to their size: rounding.
ROUNDING = 1e-3


def load_model(folder: Path, given: str) -> HuggingFaceModel:
    """Load a model, in float32, and its tokenizer.

    Args:
        folder: the folder, whose files `find_files` has checked.
        given: the model as the user named it.

    Raises:
        InputError: it is not a causal language model with a tokenizer, its weights are not those of
            its settings, or loading it would run code of its own.
        MemoryError: there is too little memory for it.
    """
    try:
        transformers = imported("transformers", "hf")
    except InputError as error:
        raise InputError(f"{given}: {error}") from None
    config = check_settings(folder, given)
    known = transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in known:
        raise InputError(
            f"{given}: model_type '{kind}' is not a causal language model of the transformers "
            "library; submit a model that predicts the next token, or the model as ONNX"
        )
    options = {"local_files_only": True, "trust_remote_code": False}
    with _quiet():
        with _reading(f"{given}: config.json"):
            settings = transformers.AutoConfig.from_pretrained(folder, **options)
            settings.return_dict = True  # outputs by name, whatever the file asks for
        with _reading(f"{given}: its tokenizer"):
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
        _check_not_random(tokenizer, given)
        with _reading(f"{given}: the model"):
            network, found = transformers.AutoModelForCausalLM.from_pretrained(
                folder,
                config=settings,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported, and refused below
                **options,
            )
        _check_weights(network, found, folder, given)
        with _reading(f"{given}: its tokenizer"):
            model = HuggingFaceModel(network, tokenizer, given)
        _check_causal(model)
    return model


def open_folder(request: Mapping[str, Any], data: bytearray) -> Opened:
    """Load a model in its process.

    Args:
        request: the folder, the model as the user named it, and the number of threads.
        data: nothing; other formats are files.
    """
    torch.set_num_threads(request["threads"])
    model = load_model(Path(request["folder"]), request["given"])

    def outputs_at(inputs: Array, rows: Positions, columns: Positions) -> Array:
        with torch.inference_mode():
            given = map(torch.from_numpy, (inputs, rows, columns))
            outputs: Array = model.features_at(*given)[0].numpy()
        return outputs

    def tokens(payload: bytearray) -> Array:
        found = model.tokens(json.loads(payload))
        return np.array([*map(len, found), *(t for own in found for t in own)], np.int64)

    report = {
        **model.facts(),
        "regimes": model.regimes,
        "bos_tokens": model.bos_tokens,
        "reads_out_last": model.reads_out_last,
    }
    return Opened(outputs_at, {"model": report}, {"tokens": tokens})


def _check_not_random(tokenizer: Any, given: str) -> None:
    """Check that a tokenizer splits a text in one way.

    Raises:
        InputError: it draws among several, as some do while a model is trained.
    """
    state = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    sampled = (getattr(tokenizer, "sp_model_kwargs", None) or {}).get("enable_sampling")
    if sampled or getattr(state, "dropout", None):
        name = "enable_sampling" if sampled else "dropout"
        raise InputError(
            f"{given}: its tokenizer splits words at random ({name}), so that a loss would depend "
            f"on chance; save it without {name}"
        )


def _check_weights(network: nn.Module, found: Any, folder: Path, given: str) -> None:
    """Check that the network's weights are those in the files, all of them, and floats.

    Raises:
        InputError: they are not.
    """
    stored: dict[str, str] = {}
    for path in sorted(folder.glob("model*.safetensors")):
        with safe_open(path, framework="pt") as file:
            stored |= {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    if problem := wrapper(stored):
        raise InputError(f"{given}: {problem} with save_pretrained")
    if unused := sorted(name for name in found["unexpected_keys"] if not CONSTANTS.search(name)):
        raise InputError(
            f"{given}: the model of config.json ({type(network).__name__}) does not use "
            f"{_tensors(unused)} of the weights; save config.json and weights of the same model"
        )
    if missing := sorted(found["missing_keys"]):
        raise InputError(
            f"{given}: the weights lack {_tensors(missing)} of a causal language model; save the "
            "whole model, including its output layer"
        )
    if found["mismatched_keys"]:
        name, own, wanted = min(found["mismatched_keys"])
        raise InputError(
            f"{given}: {name} has shape {tuple(own)} in the weights, and {tuple(wanted)} according "
            "to config.json; save config.json and weights of the same model"
        )
    floats = {name for name, value in network.state_dict().items() if value.is_floating_point()}
    if short := sorted(name for name in floats & stored.keys() if stored[name].startswith(SHORT)):
        raise InputError(
            f"{given}: {_tensors(short)} stored as {stored[short[0]]}: the weights are quantised, "
            "and a model is measured in float32; submit the model that was quantised"
        )


def _tensors(names: Sequence[str]) -> str:
    """Return how many tensors there are, and the names of a few."""
    several, more = "s" * (len(names) > 1), ", …" * (len(names) > NAMED)
    return f"{len(names):,} tensor{several} ({', '.join(names[:NAMED])}{more})"


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn an error into an InputError; architectures raise errors of any class."""
    try:
        yield
    except (InputError, MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:  # panics of libraries written in Rust are no Exception
        text = one_line(str(error)) or "no reason given"
        if "can't allocate memory" in text:  # how torch reports it on the CPU
            raise MemoryError(text) from None
        raise InputError(f"{what} cannot be read ({type(error).__name__}: {text})") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the libraries' messages, progress bars and warnings, and forbid downloads.

    Weights that are missing in the files are drawn at random; the generator's state is restored.
    """
    from huggingface_hub import constants
    from transformers.utils import logging

    before = constants.HF_HUB_DISABLE_TELEMETRY, constants.HF_HUB_OFFLINE
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    constants.HF_HUB_DISABLE_TELEMETRY = constants.HF_HUB_OFFLINE = True
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
