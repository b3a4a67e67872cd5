"""Files of a training: the checkpoint during training, the weights at its end."""

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
    """The file with the latest state of one training, replaced atomically at each save."""

    def __init__(self, path: Path, every_seconds: float = 20.0) -> None:
        """Create a checkpoint at a path, which is due every so many seconds."""
        self._path, self._every = path, every_seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Return whether the time since the last save has elapsed."""
        return time.monotonic() - self._last >= self._every

    def save(self, content: Mapping[str, Any]) -> None:
        """Replace the checkpoint."""
        write_atomically(self._path, lambda path: torch.save(dict(content), path))
        self._last = time.monotonic()

    def load(self, device: str) -> dict[str, Any] | None:
        """Return the saved state; None if the file is missing or damaged."""
        try:
            return dict(torch.load(self._path, map_location=device, weights_only=True))
        except Exception:  # without a checkpoint training starts over
            return None

    def discard(self) -> None:
        """Remove the file, once training has ended."""
        self._path.unlink(missing_ok=True)


def save_weights(model: SequenceModel, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write weights as safetensors, atomically, with metadata as JSON."""
    text = {"seqmem": json.dumps(metadata)}
    write_atomically(path, lambda temporary: save_model(model, str(temporary), text))


def load_weights(model: SequenceModel, path: Path) -> dict[str, Any] | None:
    """Load saved weights into a model and return their metadata; None if the file is unusable."""
    try:
        load_model(model, path)
        with safe_open(path, framework="pt") as file:
            return dict(json.loads(file.metadata()["seqmem"]))
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError):
        return None
