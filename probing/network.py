"""A network made ready for probing: a copy in evaluation mode, in float64 where it can be.

Every call starts from the same state of torch's random generators, which are restored after it, so
that a network that draws random numbers is still a function of its inputs.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from seqmem.baselines.training.loop import seeded
from seqmem.errors import InputError, NotFiniteError
from seqmem.tasks.model import SequenceModel

__all__ = ["Network", "declared_field", "state_floats"]


class Network:
    """A function of inputs (B, L, …), with the gradients that it has.

    Attributes:
        module: the copy that is run, or the module itself where it cannot be copied.
        name: for messages.
        dtype: the precision in which it computes.
        fresh: whether each call needs a new copy, because the module keeps a state.
        rows: the most sequences at once: 1 where they influence each other.
        width: the number of outputs for each input.
        copied: whether `module` is a copy.
    """

    def __init__(self, module: nn.Module, name: str, example: Tensor, time: int = 1) -> None:
        """Make a module ready.

        Args:
            module: the network; it is left as it is.
            name: of the network, for messages.
            example: inputs (B, L, …) on which the precision is tried, B ≥ 2.
            time: the axis of time in what the module reads and returns.

        Raises:
            InputError: it raises an error, or returns no outputs for each input.
        """
        self.name, self._time = name, time
        self.fresh, self.rows = False, 1 << 30
        self.dtype, self.copied = torch.float32, True
        try:
            self.module = copy.deepcopy(module).eval().cpu()
        except Exception:  # a process, or tensors with a history
            self.module, self.copied = module.eval(), False
        is_float = all(w.dtype == torch.float32 for w in self.module.parameters())
        if self.copied and is_float and not getattr(module, "float32_only", False):
            self.module, self.dtype = self.module.double(), torch.float64
            try:
                self(example)
            except (InputError, NotFiniteError):  # code that names float32, perhaps
                self.module, self.dtype = copy.deepcopy(module).eval().cpu(), torch.float32
        self.width = self(example).shape[-1]

    @property
    def parameters(self) -> int:
        """The number of parameters, shared ones once."""
        declared = getattr(self.module, "parameters_declared", None)  # of one in another process
        return declared or sum(weight.numel() for weight in self.module.parameters())

    @torch.no_grad()
    def __call__(self, inputs: Tensor, seed: int = 0) -> Tensor:
        """Return outputs (B, L, V) of inputs (B, L, …).

        Args:
            inputs: ids, or floats of any precision.
            seed: of torch's generator during the call.

        Raises:
            InputError: the module raises an error, or returns no outputs for each input.
            NotFiniteError: an output is NaN or infinite.
        """
        return self._run(inputs, seed)

    def traced(self, inputs: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return what the network reads as floats (B, L, …), and its outputs (B, L, V) from there.

        Of ids, it is what the embedding returns. None where there are no gradients.
        """
        if not self.copied:  # it runs in another process
            return None
        hook = _EmbeddingHook(inputs)
        with torch.enable_grad():
            if inputs.is_floating_point():
                hook.leaf = inputs.detach().to(self.dtype).clone().requires_grad_()
                outputs = self._run(hook.leaf, 0)
            else:
                layers = [m for m in self.module.modules() if m is not self.module]
                hooks = [m.register_forward_hook(hook) for m in layers if _embeds(m)]
                try:
                    outputs = self._run(inputs, 0)
                finally:
                    for handle in hooks:
                        handle.remove()
        if hook.leaf is None or not outputs.requires_grad:
            return None
        return hook.leaf, outputs

    def fresh_copy(self) -> nn.Module:
        """Return a module in which no call has left a trace."""
        return copy.deepcopy(self.module) if self.copied else self.module

    def _run(self, inputs: Tensor, seed: int) -> Tensor:
        module = self.fresh_copy() if self.fresh else self.module
        given = inputs.to(self.dtype) if inputs.is_floating_point() else inputs
        if self._time != 1:
            given = given.movedim(1, self._time)
        with seeded(seed):
            try:
                returned = module(given)
            except Exception as error:
                text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                raise InputError(
                    f"{self.name}: for inputs of shape {tuple(given.shape)} it raised {text}"
                ) from None
        outputs = self._outputs(returned, inputs)
        if not outputs.isfinite().all():
            raise NotFiniteError(f"{self.name}: an output is not finite (NaN or infinity)")
        return outputs

    def _outputs(self, returned: object, inputs: Tensor) -> Tensor:
        """Return the first tensor of floats with one output for each input, as (B, L, V)."""
        shapes = []
        for tensor in _tensors(returned):
            shapes.append(tuple(tensor.shape))
            if not tensor.is_floating_point() or tensor.ndim <= abs(self._time):
                continue
            moved = tensor if self._time == 1 else tensor.movedim(self._time, 1)
            if moved.shape[:2] == inputs.shape[:2]:
                return moved[..., None] if moved.ndim == 2 else moved.flatten(2)
        batch, length = inputs.shape[:2]
        raise InputError(
            f"{self.name}: for {batch} sequences of {length} inputs it returned "
            f"{', '.join(map(str, shapes)) or type(returned).__name__}; it must return floats with "
            f"one output for each input, ({batch}, {length}, …)"
        )


class _EmbeddingHook:
    """Takes what the first layer that reads the ids returns for the beginning of the network."""

    def __init__(self, inputs: Tensor) -> None:
        self.leaf: Tensor | None = None
        self._inputs = inputs

    def __call__(self, module: nn.Module, given: Sequence[object], returned: object) -> object:
        """Return the layer's output as a leaf of the graph; None leaves it as it is."""
        if self.leaf is not None or not (given and isinstance(given[0], Tensor)):
            return None
        ids = given[0]
        if (
            ids.is_floating_point()
            or ids.shape != self._inputs.shape
            or (ids != self._inputs).any()
        ):
            return None
        if not (isinstance(returned, Tensor) and returned.is_floating_point()):
            return None
        self.leaf = returned.detach().clone().requires_grad_()
        return self.leaf


def _embeds(layer: nn.Module) -> bool:
    """Return whether a layer is an embedding, or holds one and little else."""
    inside = [part for part in layer.modules() if list(part.parameters(recurse=False))]
    return bool(inside) and all(isinstance(part, nn.Embedding) for part in inside)


def _tensors(returned: object) -> list[Tensor]:
    if isinstance(returned, Tensor):
        return [returned]
    parts = list(returned.values()) if isinstance(returned, Mapping) else returned
    if isinstance(parts, tuple | list):
        return [part for part in parts if isinstance(part, Tensor)]
    return []


def declared_field(module: nn.Module) -> int | None:
    """Return the receptive field that a module declares, in inputs; None if it declares none."""
    field = getattr(module, "receptive_field", None)
    return int(field) if isinstance(field, int) and field > 0 else None


def state_floats(module: nn.Module, context: int) -> int | None:
    """Return the floats stored between steps after `context` inputs; None if unknown."""
    return module.state_size(context) if isinstance(module, SequenceModel) else None
