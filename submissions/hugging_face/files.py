"""Check the files of a Hugging Face model's folder before they are loaded.

A model and its tokenizer must be data: weights as safetensors, settings as JSON. A folder is
refused if loading it would run code of its own (a pickle, a module) or download further files.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from seqmem.errors import InputError
from seqmem.files import read_file

__all__ = ["DOWNLOADED", "check_files", "settings_sha256"]

# The files of tokenizers; a folder needs at least one.
TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
# The files of a model that are downloaded: no code, no pickles.
DOWNLOADED = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    *TOKENIZERS,
)
# Settings that name code to run, in this folder or outside.
CODE = {"auto_map", "attn_implementation", "_attn_implementation", "_attn_implementation_internal"}


def check_files(folder: Path, given: str) -> dict[str, Any]:
    """Check a model's folder; return its config.json.

    Args:
        folder: the folder.
        given: the model as the user named it.

    Raises:
        InputError: a file is missing, or would run code.
    """
    config = _settings(folder, "config.json", given)
    if config is None:
        raise InputError(
            f"{given}: there is no config.json; name a folder that save_pretrained wrote"
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
                "remove the line if the transformers library has this architecture, or submit the "
                "model as ONNX"
            )
    _check_weights(folder, given)
    if not any((folder / name).exists() for name in TOKENIZERS):
        raise InputError(
            f"{given}: there is no tokenizer ({TOKENIZERS[0]}), without which text cannot be "
            "measured; save it into the folder with tokenizer.save_pretrained"
        )
    return config


def settings_sha256(folder: Path) -> str:
    """Return the hash of the settings and the tokenizer, as hex."""
    digest = hashlib.sha256()
    for name in sorted(name for name in DOWNLOADED if not name.startswith("model")):
        if (folder / name).is_file():
            digest.update(name.encode() + hashlib.sha256(read_file(folder / name)).digest())
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
                "safetensors file of this folder; download or save the model again"
            )


def _settings(folder: Path, name: str, given: str) -> dict[str, Any] | None:
    """Return the content of a JSON file; None if there is no such file."""
    try:
        found = json.loads(read_file(folder / name))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{given}: {name} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{given}: {name} contains no settings; download or save the model again")
    return found


def _keys(settings: object) -> set[str]:
    """Return all keys, including those of inner settings."""
    if isinstance(settings, dict):
        return {str(key) for key in settings}.union(*map(_keys, settings.values()))
    if isinstance(settings, list):
        return set().union(*map(_keys, settings))
    return set()
