"""The device that models run on."""

import torch

from seqmem.errors import InputError

__all__ = ["find_device"]


def find_device(name: str, gpu: bool | None = None) -> str:
    """Return "cpu" or "cuda" for a requested device.

    Args:
        name: "auto", "cpu" or "cuda".
        gpu: whether there is a GPU; None: as torch reports.

    Raises:
        InputError: there is no such device.
    """
    if gpu is None:
        gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        raise InputError("--device cuda: no GPU is found here; use --device cpu")
    return "cuda" if gpu and name != "cpu" else "cpu"
