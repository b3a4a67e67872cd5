"""Write a baseline as an ONNX file for any batch size and length, checked against the original.

A model with state is written with its states, as states.py describes them.
"""

import copy
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import seqmem
from seqmem.errors import InputError, SubmissionError
from seqmem.files import write_bytes
from seqmem.submissions.extras import imported
from seqmem.submissions.onnx.file import OnnxModel
from seqmem.submissions.onnx.forms import exportable
from seqmem.submissions.onnx.states import AFTER, BEFORE
from seqmem.submissions.safetensors_file import load_baseline
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import InputSpec, Tokens

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

__all__ = ["export_checkpoint", "export_onnx"]

# Batch sizes and lengths: the traced one, and those at which outputs are compared. A Transformer
# reads the longest in several blocks, and an LRU in several chunks.
TRACED = (2, 7)
COMPARED = ((1, 1), (3, 2), (2, 40), (1, 300))
LARGEST_DEVIATION = 1e-4
LARGEST_FILE = 2_000_000_000  # the limit of protobuf is 2 GiB


def export_checkpoint(checkpoint: Path, path: Path) -> str:
    """Export trained weights; return one line about the file and its deviation.

    Args:
        checkpoint: a ``weights.safetensors`` that `seqmem eval` wrote.
        path: the file to write.

    Raises:
        InputError: the weights cannot be loaded or exported.
        OSError: the file cannot be written.
    """
    _check_name(path)
    try:
        model, stored = load_baseline(checkpoint)
    except SubmissionError as error:  # here the user's input is wrong, and no model is refused
        raise InputError(str(error)) from None
    about = {"model": stored.label, "task": stored.task, "k_train": str(stored.training["k_train"])}
    deviation = export_onnx(model, stored.architecture.inputs, path, about)
    return f"{path}: {stored.label} on {stored.task}, within {deviation:.1e} of the original"


def export_onnx(
    model: SequenceModel, inputs: InputSpec, path: Path, about: Mapping[str, str] | None = None
) -> float:
    """Write a model as ONNX after a check that it computes the same; nothing is written partly.

    Args:
        model: a baseline; it is not changed.
        inputs: what one input is.
        path: the file to write, which must end in ``.onnx``.
        about: further metadata of the file, besides the version of seqmem and the receptive field
            ("none" if it is unlimited); each key gets the prefix "seqmem.".

    Returns:
        the largest difference from the model's own outputs on random inputs, relative to the
        largest output.

    Raises:
        InputError: the model cannot be written as ONNX, or its outputs differ there.
        OSError: the file cannot be written.
    """
    _check_name(path)
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    if size > LARGEST_FILE:
        raise InputError(
            f"the weights take {size:,} bytes; one ONNX file holds {LARGEST_FILE:,} at most"
        )
    field = "none" if model.receptive_field is None else str(model.receptive_field)
    facts = {**(about or {}), "version": seqmem.__version__, "receptive_field": field}
    data = _to_onnx(exportable(model), inputs, _state(model, inputs), facts)
    deviation = _deviation(model, data, inputs)
    if not deviation <= LARGEST_DEVIATION:
        raise InputError(
            f"the exported model differs from the original by {deviation:.1e} of its largest "
            f"output, more than {LARGEST_DEVIATION:.0e}: it is not written"
        )
    write_bytes(path, data)
    return deviation


def _check_name(path: Path) -> None:
    if path.suffix != ".onnx":
        raise InputError(f"'{path}': the name of an ONNX file must end in .onnx")
    if path.is_dir():
        raise InputError(f"'{path}' is a directory; name a file")


class _WithStates(nn.Module):
    """A model's form as a function of inputs and the tensors of its state.

    Attributes:
        one: whether its state is one tensor, and no tuple of tensors.
    """

    def __init__(self, form: SequenceModel, one: bool) -> None:
        super().__init__()
        self.form, self.one = form, one

    def forward(self, inputs: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs, and the states after the inputs."""
        features, after = self.form.hidden(inputs, states[0] if self.one else states)
        return self.form.readout(features), *(after if isinstance(after, tuple) else (after,))


@torch.inference_mode()
def _state(model: SequenceModel, inputs: InputSpec) -> State:
    """Return zeros like a model's state, tensors (layers, B, …) with floats only."""
    if not model.stateful:
        return ()
    _, state = copy.deepcopy(model).cpu().eval().hidden(_example(inputs, *TRACED))

    def zeros(part: Tensor) -> Tensor:
        return torch.zeros(*part.shape[:-1], part.shape[-1] * (1 + part.is_complex()))

    return tuple(map(zeros, state)) if isinstance(state, tuple) else zeros(state)


def _to_onnx(
    form: SequenceModel,
    inputs: InputSpec,
    state: State,
    facts: Mapping[str, str],
) -> bytes:
    """Return the file's bytes."""
    states = state if isinstance(state, tuple) else (state,)
    imported("onnxscript", "onnx")
    helper = imported("onnx.helper", "onnx")
    any_size = torch.export.Dim.AUTO
    sizes: list[Any] = [{0: any_size, 1: any_size}]
    if states:
        sizes.append(tuple({1: any_size} for _ in states))
    names = [f"{BEFORE}_{place}" for place in range(len(states))]
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                _WithStates(form, states is not state).eval() if states else form,
                (_example(inputs, *TRACED), *states),
                dynamo=True,
                verbose=False,
                input_names=["inputs", *names],
                output_names=["outputs", *(name + AFTER for name in names)],
                dynamic_shapes=tuple(sizes),
            )
        except Exception as error:  # the exporter's errors have no common base class
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{type(form).__name__} cannot be written as ONNX: {reason}") from None
    assert program is not None  # None is for the TorchScript exporter
    proto: ModelProto = program.model_proto
    _tidy(proto.graph)
    # The exporter invents names for sizes that are not fixed.
    for values in (proto.graph.input, proto.graph.output):
        named = {(0, 0): "batch", (0, 1): "length"}
        named |= {(1 + place, 1): "batch" for place in range(len(states))}
        for (place, axis), name in named.items():
            values[place].type.tensor_type.shape.dim[axis].dim_param = name
    proto.doc_string = ""
    helper.set_model_props(proto, {f"seqmem.{key}": value for key, value in facts.items()})
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def _tidy(graph: "GraphProto") -> None:
    """Remove sizes seen in tracing, and paths and lines of the traced code."""
    graph.ClearField("value_info")
    graph.ClearField("metadata_props")
    graph.ClearField("doc_string")
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):  # the body of a loop
                _tidy(attribute.g)


@torch.inference_mode()
def _deviation(model: SequenceModel, data: bytes, inputs: InputSpec) -> float:
    """Return the largest relative difference from the model; not finite if an output is not."""
    original = copy.deepcopy(model).cpu().eval()
    exported = OnnxModel(data, torch.get_num_threads())
    largest = 0.0
    for batch, length in COMPARED:
        state, carried = None, None
        # The second time from the state after the first.
        for example in [_example(inputs, batch, length)] * (1 + original.stateful):
            features, state = original.hidden(example, state)
            ours = original.readout(features).float()
            outputs, carried = exported.read(example.numpy(), carried)
            scale = float(ours.abs().max())
            difference = float((ours - torch.from_numpy(outputs)).abs().max())
            # Outputs that are all zero have no scale.
            relative = difference / scale if scale > 0 else difference
            if not math.isfinite(relative):
                return relative
            largest = max(largest, relative)
    return largest


def _example(inputs: InputSpec, batch: int, length: int) -> Tensor:
    """Return random inputs (B, L) or (B, L, D), the same in every call."""
    source = torch.Generator().manual_seed(batch * length)
    if isinstance(inputs, Tokens):
        return torch.randint(0, inputs.vocabulary, (batch, length), generator=source)
    return torch.rand(batch, length, inputs.dimension, generator=source)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's log and its deprecation warnings."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)
