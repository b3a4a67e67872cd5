"""Inputs of the right kind for a network: random ids, random vectors, or pieces of given inputs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqmem.errors import InputError
from seqmem.tasks.task import Features, InputSpec, Task, Tokens

__all__ = ["Source", "source_of", "source_of_inputs", "source_of_module", "source_of_spec"]

# The attribute in which layers of torch hold the size of their inputs.
_WIDTHS = ("in_features", "input_size", "in_channels", "embed_dim", "d_model")


@dataclass(frozen=True)
class Source:
    """Where inputs come from.

    Attributes:
        vocabulary: the number of different ids; 0 for floats.
        shape: of one input, beyond batch and time; empty for ids.
        stream: (N, …) given inputs, of which random runs are taken; None: inputs are random.
        name: what they are, for reports.
        dtype: of ids; floats get the precision of the network.
    """

    vocabulary: int
    shape: tuple[int, ...]
    stream: Tensor | None
    name: str
    dtype: torch.dtype = torch.int64

    def draw(self, batch: int, length: int, seed: int) -> Tensor:
        """Return inputs (batch, length, …), the same for the same seed: ids, or float64."""
        random = torch.Generator().manual_seed(seed)
        if self.stream is not None:
            starts = torch.randint(len(self.stream), (batch, 1), generator=random)
            taken = self.stream[(starts + torch.arange(length)) % len(self.stream)]
            return taken if self.vocabulary else taken.double()
        if self.vocabulary:
            ids = torch.randint(self.vocabulary, (batch, length), generator=random)
            return ids.to(self.dtype)
        return torch.randn(batch, length, *self.shape, generator=random, dtype=torch.float64)

    def other(self, inputs: Tensor, seed: int) -> Tensor:
        """Return inputs of the same shape that differ from these at every place."""
        batch, length = inputs.shape[:2]
        if self.vocabulary:
            random = torch.Generator().manual_seed(seed)
            step = torch.randint(1, max(self.vocabulary, 2), (batch, length), generator=random)
            return ((inputs + step) % self.vocabulary).to(inputs.dtype)
        drawn = self.draw(batch, length, seed).to(inputs.dtype)
        same = (drawn == inputs).flatten(2).all(-1)  # as in streams of few values
        drawn[same] += 1
        return drawn


def source_of(inputs: Tensor | InputSpec | Task | None, module: nn.Module) -> Source:
    """Return inputs like an example, of a type, of a task's test split, or as a module reads them.

    Raises:
        InputError: they do not show what a module reads.
    """
    if inputs is None:
        return source_of_module(module)
    if isinstance(inputs, Tensor):
        return source_of_inputs(inputs, module)
    if isinstance(inputs, Task):
        name = f"inputs of {inputs.id}"
        return source_of_spec(inputs.inputs, inputs.split("test").inputs, name)
    if isinstance(inputs, Tokens | Features):
        return source_of_spec(inputs)
    raise InputError(
        f"inputs {inputs!r}: give a tensor, ids (B, L) or floats (B, L, D); Tokens(vocabulary) or "
        "Features(dimension); or a task"
    )


def source_of_spec(spec: InputSpec, stream: Tensor | None = None, name: str = "") -> Source:
    """Return inputs of a task's type, random ones or runs of a stream (N, …)."""
    if isinstance(spec, Tokens):
        found = name or f"random ids below {spec.vocabulary:,}"
        return Source(spec.vocabulary, (), stream, found, torch.int32)
    return Source(0, (spec.dimension,), stream, name or f"random vectors of {spec.dimension}")


def source_of_inputs(inputs: Tensor, module: nn.Module) -> Source:
    """Return runs of given inputs (B, L, …); ids are replaced by others that the module knows.

    Raises:
        InputError: they have no time axis, or are neither ids nor floats.
    """
    if inputs.ndim < 2:
        raise InputError(
            f"inputs of shape {tuple(inputs.shape)}: there is no time axis; give ids (B, L) or "
            "floats (B, L, D)"
        )
    stream = inputs.detach().cpu().flatten(0, 1)
    shape = tuple(stream.shape[1:])
    if inputs.is_floating_point():
        return Source(0, shape, stream, "the inputs given")
    if inputs.dtype not in (torch.int32, torch.int64) or inputs.ndim > 2:
        raise InputError(
            f"inputs of type {inputs.dtype} and shape {tuple(inputs.shape)}: give ids (B, L) as "
            "int32 or int64, or floats (B, L, D)"
        )
    known = max((e.num_embeddings for e in _embeddings(module)), default=0)
    return Source(known or int(stream.max()) + 1, (), stream, "the inputs given", inputs.dtype)


def source_of_module(module: nn.Module) -> Source:
    """Return random inputs of the kind that a module's first layer reads.

    Raises:
        InputError: no layer shows it.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Embedding):
            count = layer.num_embeddings
            return Source(count, (), None, f"random ids below {count:,}")
        for name in _WIDTHS:
            width = getattr(layer, name, None)
            if isinstance(width, int) and not list(layer.children()):
                return Source(0, (width,), None, f"random vectors of {width}")
    raise InputError(
        f"{type(module).__name__}: no layer shows what it reads; give an example of its inputs, "
        "ids (B, L) or floats (B, L, D): probe(module, inputs=…), or --task ID"
    )


def _embeddings(module: nn.Module) -> Sequence[nn.Embedding]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Embedding)]
