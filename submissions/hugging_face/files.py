"""What a Hugging Face model's folder must hold, and what it must not: looked at before it is read.

A model and its tokenizer are data here: weights as safetensors, settings as JSON. What would run
code from the folder (a pickle, an own module), or fetch more from elsewhere, is refused.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from seqmem.errors import InputError

__all__ = ["WANTED", "check_files", "settings_sha256"]

# The files of a tokenizer, of which there is at least one.
TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
# All that is fetched of a model: no code, no pickles.
WANTED = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    *TOKENIZERS,
)
# Settings that name code to run, in this folder or elsewhere.
CODE = {"auto_map", "attn_implementation", "_attn_implementation", "_attn_implementation_internal"}


def check_files(folder: Path, given: str) -> dict[str, Any]:
    """Hold a folder to the rules, and give its config.json.

    Args:
        folder: the model's.
        given: how the user named it.

    Raises:
        InputError: something is missing, or there is something that is not data.
    """
    config = _settings(folder, "config.json", given)
    if config is None:
        raise InputError(
            f"{given}: there is no config.json; give the folder that save_pretrained wrote"
        )
    if (folder / "adapter_config.json").exists():
        raise InputError(
            f"{given}: it is an adapter to another model; merge the two (merge_and_unload) and "
            "save the whole"
        )
    tokenizer = _settings(folder, "tokenizer_config.json", given) or {}
    for name, settings in (("config.json", config), ("tokenizer_config.json", tokenizer)):
        if found := _keys(settings) & CODE:
            raise InputError(
                f"{given}: '{min(found)}' in {name} asks for code of its own, which is not run; "
                "take the line out if the library has this architecture, or give the model as "
                "ONNX"
            )
    _check_weights(folder, given)
    if not any((folder / name).exists() for name in TOKENIZERS):
        raise InputError(
            f"{given}: there is no tokenizer ({TOKENIZERS[0]}), without which text cannot be "
            "measured; save it beside the model with tokenizer.save_pretrained"
        )
    return config


def settings_sha256(folder: Path) -> str:
    """Hash all that shapes a model's scores besides its weights: settings, and the tokenizer."""
    digest = hashlib.sha256()
    for name in sorted(name for name in WANTED if not name.startswith("model")):
        if (folder / name).is_file():
            digest.update(name.encode() + hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def _check_weights(folder: Path, given: str) -> None:
    if (folder / "model.safetensors").is_file():
        return
    index = _settings(folder, "model.safetensors.index.json", given)
    if index is None:
        pickles = sorted(
            path.name for end in ("bin", "pt", "pth") for path in folder.glob(f"*.{end}")
        )
        what = (
            f"{pickles[0]} is a pickle, which can run code" if pickles else "there are no weights"
        )
        raise InputError(
            f"{given}: {what}; save the model as safetensors, with save_pretrained(..., "
            "safe_serialization=True)"
        )
    names = index.get("weight_map")
    for name in sorted(set(map(str, names.values()))) if isinstance(names, dict) else [""]:
        own = Path(name).name == name and (folder / name).is_file()
        if not own or not name.endswith(".safetensors"):
            raise InputError(
                f"{given}: model.safetensors.index.json names '{name}', which is not a "
                "safetensors file of this folder; get the folder again"
            )


def _settings(folder: Path, name: str, given: str) -> dict[str, Any] | None:
    """Read a JSON file; None where there is none."""
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{given}: {name} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{given}: {name} holds no settings; get the folder again")
    return found


def _keys(settings: object) -> set[str]:
    """Name all keys, those of inner settings too."""
    if isinstance(settings, dict):
        return {str(key) for key in settings}.union(*map(_keys, settings.values()))
    if isinstance(settings, list):
        return set().union(*map(_keys, settings))
    return set()
