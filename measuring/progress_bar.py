"""The progress bar of one training or measurement, where somebody looks on."""

import sys
from typing import Any

from tqdm import tqdm

__all__ = ["progress_bar"]


def progress_bar(**options: Any) -> "tqdm[Any]":
    """Return a bar on stderr: in a terminal and in a notebook, and otherwise one that is silent."""
    in_notebook = "ipykernel" in sys.modules and not sys.stderr.isatty()
    return tqdm(disable=False if in_notebook else None, leave=False, **options)
