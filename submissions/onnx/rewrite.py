"""The form in which a checked ONNX model is run.

Half floats become float32: onnxruntime has few operators for them on a CPU, and some end its
process. Declared sizes of batch and length are removed: exporters fix them in graphs that hold for
all sizes. (torch 2.13 does so from the second export of an LSTM in a process on.)
"""

from typing import TYPE_CHECKING

from seqmem.submissions.extras import imported
from seqmem.submissions.onnx.signature import Signature
from seqmem.submissions.onnx.structure import TYPE_ATTRIBUTES, messages, remove_notes

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

__all__ = ["halves_to_float32", "prepare"]


def halves_to_float32(model: "ModelProto") -> None:
    """Replace float16 and bfloat16 by float32, in constants, types and the results of casts."""
    kinds = imported("onnx", "onnx").TensorProto
    halves = (kinds.FLOAT16, kinds.BFLOAT16)
    for message in messages(model):
        kind = message.DESCRIPTOR.name
        if kind == "TensorProto" and message.data_type in halves:
            _to_float32(message)
        elif kind == "Tensor" and message.elem_type in halves:
            message.elem_type = kinds.FLOAT
        elif kind == "AttributeProto" and message.name in TYPE_ATTRIBUTES and message.i in halves:
            message.i = kinds.FLOAT


def _to_float32(tensor: "TensorProto") -> None:
    library = imported("onnx.numpy_helper", "onnx")
    values = library.to_array(tensor).astype("float32")
    tensor.CopyFrom(library.from_array(values, tensor.name))


def prepare(model: "ModelProto", signature: Signature) -> str:
    """Remove what the runtime need not know, and return the name of the scores, which are float32.

    Only these and the states remain of the outputs.

    Args:
        model: a checked model.
        signature: its signature.
    """
    helper = imported("onnx.helper", "onnx")
    kinds = imported("onnx", "onnx").TensorProto
    remove_notes(model)
    graph, name = model.graph, signature.output
    axes = {state.input: {state.axis: "batch"} for state in signature.states}
    axes |= {signature.input: {0: "batch", 1: "length"}}
    for value in graph.input:
        for place, size in axes.get(value.name, {}).items():
            value.type.tensor_type.shape.dim[place].dim_param = size
    if not signature.is_float32:  # numpy lacks some types
        taken = {output for node in graph.node for output in node.output}
        taken |= {given.name for given in (*graph.input, *graph.initializer)}
        name = "float32"
        while name in taken:
            name += "_"
        graph.node.append(helper.make_node("Cast", [signature.output], [name], to=kinds.FLOAT))
    del graph.output[:]
    for wanted in (name, *(state.output for state in signature.states)):
        graph.output.append(helper.make_tensor_value_info(wanted, kinds.FLOAT, None))
    return name
