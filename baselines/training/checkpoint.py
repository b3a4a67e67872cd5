"""What is kept of a training run: a checkpoint while it goes on, the weights once it is done."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_model

from seqmem.files import write_atomically
from seqmem.tasks.model import SequenceModel

__all__ = ["Checkpoint", "load_weights", "save_weights"]


class Checkpoint:
    """The latest state of one training run, replaced whole at each save."""

    def __init__(self, path: Path, every_seconds: float = 20.0) -> None:
        """Take the file, and how often at most it is worth writing."""
        self._path, self._every = path, every_seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Say whether the last save is long enough ago."""
        return time.monotonic() - self._last >= self._every

    def save(self, content: Mapping[str, Any]) -> None:
        """Replace the checkpoint."""
        write_atomically(self._path, lambda path: torch.save(dict(content), path))
        self._last = time.monotonic()

    def load(self, device: str) -> dict[str, Any] | None:
        """Give what was saved last; None where there is nothing, or nothing readable."""
        try:
            content = torch.load(self._path, map_location=device, weights_only=True)
        except FileNotFoundError:
            return None
        except Exception:  # a damaged checkpoint costs the time since the start, no more
            return None
        return dict(content)

    def discard(self) -> None:
        """Remove the checkpoint: the run is done."""
        self._path.unlink(missing_ok=True)


def save_weights(model: SequenceModel, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write weights as safetensors, whole or not at all; the metadata goes in as JSON."""
    text = {"seqmem": json.dumps(metadata)}
    write_atomically(path, lambda temporary: save_model(model, str(temporary), text))


def load_weights(model: SequenceModel, path: Path) -> dict[str, Any] | None:
    """Fill a model with saved weights and give their metadata; None where nothing is readable."""
    try:
        load_model(model, path)
        with safe_open(path, framework="pt") as file:
            return dict(json.loads(file.metadata()["seqmem"]))
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError):
        return None
