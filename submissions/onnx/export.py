"""Write a baseline as an ONNX file with any batch and length, checked against the original."""

import copy
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

import seqmem
from seqmem.errors import InputError
from seqmem.files import write_bytes
from seqmem.submissions.extras import imported
from seqmem.submissions.onnx.file import open_onnx
from seqmem.submissions.onnx.forms import exportable
from seqmem.submissions.safetensors_file import load_suite_model
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import InputSpec, Tokens

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

__all__ = ["export_checkpoint", "export_onnx"]

# Batch and length: the one that is traced, and those that outputs are compared at. The longest is
# read in several blocks by a Transformer, and in several chunks by an LRU.
TRACED = (2, 7)
COMPARED = ((1, 1), (3, 2), (2, 40), (1, 300))
LARGEST_DEVIATION = 1e-4
LARGEST_FILE = 2_000_000_000  # protobuf ends at 2 GiB


def export_checkpoint(checkpoint: Path, path: Path) -> str:
    """Export trained weights, and say in one line what was written and how exact it is.

    Args:
        checkpoint: a ``weights.safetensors`` that `seqmem eval` wrote.
        path: the file to write.

    Raises:
        InputError: the weights cannot be taken up, or not be exported.
        OSError: the file cannot be written.
    """
    _check_name(path)
    model, facts = load_suite_model(checkpoint)
    about = {"model": facts.label, "task": facts.task, "k_train": str(facts.k_train)}
    deviation = export_onnx(model, facts.architecture.inputs, path, about)
    return f"{path}: {facts.label} on {facts.task}, within {deviation:.1e} of the original"


def export_onnx(
    model: SequenceModel, inputs: InputSpec, path: Path, about: Mapping[str, str] | None = None
) -> float:
    """Write a model as ONNX, whole or not at all, once it was found to compute the same.

    Args:
        model: a baseline; it is left as it was.
        inputs: what one input is.
        path: the file to write, which must end in ``.onnx``.
        about: stored in the file's metadata, with "seqmem." before each key, beside the suite's
            version and the receptive field ("none" where there is no bound).

    Returns:
        the largest difference from the model's own outputs on random inputs, relative to the
        largest of these.

    Raises:
        InputError: the model cannot be written as ONNX, or computes something else there.
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
    data = _converted(exportable(model), inputs, facts)
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
        raise InputError(f"'{path}' is no name for an ONNX file; it must end in .onnx")
    if path.is_dir():
        raise InputError(f"'{path}' is a directory; name a file")


def _converted(form: SequenceModel, inputs: InputSpec, facts: Mapping[str, str]) -> bytes:
    """Give the file's bytes."""
    imported("onnxscript", "onnx")
    helper = imported("onnx.helper", "onnx")
    any_size = torch.export.Dim.AUTO
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                form,
                (_example(inputs, *TRACED),),
                dynamo=True,
                verbose=False,
                input_names=["inputs"],
                output_names=["outputs"],
                dynamic_shapes=({0: any_size, 1: any_size},),
            )
        except Exception as error:  # the exporter's errors have no common class
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{type(form).__name__} cannot be written as ONNX: {reason}") from None
    assert program is not None  # it is where the TorchScript exporter is not asked for
    proto: ModelProto = program.model_proto
    _tidy(proto.graph)
    for value in (proto.graph.input[0], proto.graph.output[0]):
        # The exporter has names of its own for sizes that are not fixed.
        for place, name in enumerate(("batch", "length")):
            value.type.tensor_type.shape.dim[place].dim_param = name
    proto.doc_string = ""
    helper.set_model_props(proto, {f"seqmem.{key}": value for key, value in facts.items()})
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def _tidy(graph: "GraphProto") -> None:
    """Drop what nothing needs: sizes seen in tracing, and paths and lines of the code traced."""
    graph.ClearField("value_info")
    graph.ClearField("metadata_props")
    graph.ClearField("doc_string")
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


@torch.inference_mode()
def _deviation(model: SequenceModel, data: bytes, inputs: InputSpec) -> float:
    """Give the largest difference from the model; not finite where an output is not."""
    original = copy.deepcopy(model).cpu().eval()
    exported = open_onnx(data, torch.get_num_threads())
    largest = 0.0
    for batch, length in COMPARED:
        example = _example(inputs, batch, length)
        ours = original(example).float()
        theirs = torch.from_numpy(exported(example.numpy()))
        scale = float(ours.abs().max())
        difference = float((ours - theirs).abs().max())
        # Outputs that are all zero leave no scale.
        relative = difference / scale if scale > 0 else difference
        if not math.isfinite(relative):
            return relative
        largest = max(largest, relative)
    return largest


def _example(inputs: InputSpec, batch: int, length: int) -> Tensor:
    """Draw inputs (B, L) or (B, L, D), the same every time."""
    source = torch.Generator().manual_seed(batch * length)
    if isinstance(inputs, Tokens):
        return torch.randint(0, inputs.vocabulary, (batch, length), generator=source)
    return torch.rand(batch, length, inputs.dimension, generator=source)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter from telling what its own parts will no longer do some day."""
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
