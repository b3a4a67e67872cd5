"""The settings of a Hugging Face model, read before the library reads them.

A model and its tokenizer must be data: settings that ask for code, of the folder or from outside,
are refused, and so are weights that the library would only read with further libraries.
"""

import json
from pathlib import Path
from typing import Any

from seqmem.errors import InputError
from seqmem.files import read_file

__all__ = ["check_settings"]

# Settings that name code to run, in this folder or outside.
CODE = {"auto_map", "attn_implementation", "_attn_implementation", "_attn_implementation_internal"}
QUANTISED = ("quantization_config", "compression_config")


def check_settings(folder: Path, given: str) -> dict[str, Any]:
    """Check the settings of a model and of its tokenizer; return config.json.

    Args:
        folder: the folder.
        given: the model as the user named it.

    Raises:
        InputError: a file cannot be read, or asks for what is not done.
    """
    config = _settings(folder / "config.json", given)
    tokenizer = _settings(folder / "tokenizer_config.json", given)
    for name, settings in (("config.json", config), ("tokenizer_config.json", tokenizer)):
        if found := _keys(settings) & CODE:
            raise InputError(
                f"{given}: '{min(found)}' in {name} asks for code of its own, which is not run; "
                "remove the line if the transformers library has this architecture, or submit the "
                "model as ONNX"
            )
    for key in QUANTISED:
        if quantised := config.get(key):
            how = quantised.get("quant_method", key) if isinstance(quantised, dict) else key
            raise InputError(
                f"{given}: its weights are quantised ({how}, says '{key}' in config.json), and a "
                "model is measured in float32; submit the model that was quantised, or this one "
                "with its weights as floats (model.dequantize(), then save_pretrained)"
            )
    _check_index(folder, given)
    return config


def _check_index(folder: Path, given: str) -> None:
    """Check that an index of weights names files of this folder."""
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").exists() or not index.exists():
        return
    names = _settings(index, given).get("weight_map")
    for name in sorted(set(map(str, names.values()))) if isinstance(names, dict) else [""]:
        own = Path(name).name == name and (folder / name).is_file()
        if not own or not name.endswith(".safetensors"):
            raise InputError(
                f"{given}: model.safetensors.index.json names '{name}', which is not a "
                "safetensors file of this folder (model-….safetensors); download or save the model "
                "again"
            )


def _settings(path: Path, given: str) -> dict[str, Any]:
    """Return the content of a JSON file; nothing if there is no such file."""
    try:
        found = json.loads(read_file(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{given}: {path.name} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise InputError(
            f"{given}: {path.name} contains no settings; download or save the model again"
        )
    return found


def _keys(settings: object) -> set[str]:
    """Return all keys, including those of inner settings."""
    found, waiting = set(), [settings]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            found |= {*map(str, part)}
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return found
