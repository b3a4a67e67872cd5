"""What an ONNX file may consist of: a list of what is known to be harmless.

Every message of the file is visited, wherever it is nested. A field, a type of attribute or a type
of number that is not listed here is refused, and so is what the library does not know.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from seqmem.errors import SubmissionError
from seqmem.submissions.extras import imported

if TYPE_CHECKING:
    from onnx import AttributeProto, ModelProto, TensorProto, ValueInfoProto

__all__ = [
    "TYPE_ATTRIBUTES",
    "Message",
    "check_structure",
    "messages",
    "named",
    "parse_onnx",
    "refuse",
    "remove_notes",
    "type_name",
]

Message = Any  # of protobuf, which declares no types

# The fields of each message that determine what is computed.
FIELDS = {
    "ModelProto": "ir_version opset_import graph functions",
    "OperatorSetIdProto": "domain version",
    "FunctionProto": """
        name domain overload input output attribute attribute_proto node opset_import
    """,
    "GraphProto": "name node initializer input output",
    "NodeProto": "name op_type domain overload input output attribute",
    "AttributeProto": "name ref_attr_name type f i s t g floats ints strings",
    "TensorProto": """
        name dims data_type data_location
        raw_data float_data int32_data int64_data double_data uint64_data
    """,
    "ValueInfoProto": "name type",
    "TypeProto": "tensor_type sequence_type",
    "Tensor": "elem_type shape",
    "Sequence": "elem_type",
    "TensorShapeProto": "dim",
    "Dimension": "dim_value dim_param",
}
# Fields that describe the file. They may be there, and are removed before the file is run.
NOTES = {
    "ModelProto": """
        producer_name producer_version domain model_version doc_string metadata_props
    """,
    "FunctionProto": "doc_string metadata_props value_info",
    "GraphProto": "doc_string metadata_props value_info",
    "NodeProto": "doc_string metadata_props",
    "AttributeProto": "doc_string",
    "TensorProto": "doc_string metadata_props",
    "ValueInfoProto": "doc_string metadata_props",
    "TypeProto": "denotation",
    "Dimension": "denotation",
    "StringStringEntryProto": "key value",
}
# The field that holds the value of an attribute of each type.
ATTRIBUTES = {
    "FLOAT": "f",
    "INT": "i",
    "STRING": "s",
    "TENSOR": "t",
    "GRAPH": "g",
    "FLOATS": "floats",
    "INTS": "ints",
    "STRINGS": "strings",
}
# Attributes that name a type of numbers.
TYPE_ATTRIBUTES = frozenset(
    ["to", "dtype", "output_dtype", "output_datatype", "softmax_precision", "stash_type"]
)
# Not strings, whose length has no limit, and not complex numbers, which no operator computes with.
NUMBERS = """
    BOOL INT2 INT4 INT8 INT16 INT32 INT64 UINT2 UINT4 UINT8 UINT16 UINT32 UINT64 DOUBLE FLOAT
    FLOAT16 BFLOAT16 FLOAT8E4M3FN FLOAT8E4M3FNUZ FLOAT8E5M2 FLOAT8E5M2FNUZ FLOAT8E8M0 FLOAT4E2M1
"""
# How many numbers of a type are in a byte.
PACKED = {"INT4": 2, "UINT4": 2, "FLOAT4E2M1": 2, "INT2": 4, "UINT2": 4}
EXPLAINED = {
    "ModelProto.training_info": "holds graphs for training; export it for inference",
    "GraphProto.sparse_initializer": "holds sparse tensors; store them in full",
    "AttributeProto.sparse_tensor": "holds sparse tensors; store them in full",
    "AttributeProto.sparse_tensors": "holds sparse tensors; store them in full",
}
MOST_DIMENSIONS = 64


def parse_onnx(data: bytes) -> "ModelProto":
    """Parse an ONNX file; other files are not read.

    Raises:
        SubmissionError: it is not an ONNX file.
        InputError: the onnx library is not installed.
    """
    onnx = imported("onnx", "onnx")
    message = imported("google.protobuf.message", "onnx")
    if not data:
        refuse("is empty")
    try:
        model: ModelProto = onnx.load_model_from_string(data)
    except message.DecodeError:
        model = onnx.ModelProto()
    if not model.HasField("graph"):
        refuse("is not an ONNX file, or is cut short")
    return model


def messages(root: Message) -> Iterator[Message]:
    """Return a message and all messages in it, at any depth, in the order of the file."""
    waiting = [root]
    while waiting:
        message = waiting.pop()
        yield message
        inner: list[Message] = []
        for field, value in message.ListFields():
            if field.message_type is not None:
                inner += [value] if hasattr(value, "ListFields") else value
        waiting += reversed(inner)


def check_structure(model: "ModelProto") -> None:
    """Check all messages of a file against the lists above.

    Raises:
        SubmissionError: it holds something else.
    """
    unknown = imported("google.protobuf.unknown_fields", "onnx").UnknownFieldSet
    for message in messages(model):
        kind = message.DESCRIPTOR.name
        allowed = {*FIELDS.get(kind, "").split(), *NOTES.get(kind, "").split()}
        if kind == "TensorProto":
            _check_tensor(message)
        elif kind == "AttributeProto":
            _check_attribute(message)
        elif kind == "Tensor" and message.elem_type:
            _check_number(message.elem_type, "a tensor")
        for field, value in message.ListFields():
            if field.name not in allowed:
                place = f"{kind}.{field.name}"
                refuse(EXPLAINED.get(place, f"uses {place} of ONNX, which is not allowed"))
            if field.type == field.TYPE_STRING:
                _check_text([value] if isinstance(value, str | bytes) else value)
        if len(unknown(message)):
            refuse(f"holds fields of {kind} that ONNX does not define, or not in this version")


def remove_notes(model: "ModelProto") -> None:
    """Remove what describes the file, so that the runtime reads nothing but the computation."""
    for message in messages(model):
        for name in NOTES.get(message.DESCRIPTOR.name, "").split():
            message.ClearField(name)


def named(text: str | bytes) -> str:
    """Return an untrusted name, quoted and shortened."""
    return repr(text) if len(text) <= 60 else f"{text[:57]!r}…"


def type_name(value: "ValueInfoProto") -> str:
    """Return the name of the type of an input or output."""
    types = imported("onnx", "onnx").TensorProto.DataType
    number = value.type.tensor_type.elem_type
    return str(types.Name(number)).lower() if number in types.values() else f"number {number}"


def refuse(why: str) -> NoReturn:
    """Raise the error for a model that is refused.

    Raises:
        SubmissionError: always.
    """
    raise SubmissionError(f"the model {why}")


def _check_text(texts: "list[str | bytes]") -> None:
    """Refuse text that is not UTF-8, which the library returns as bytes."""
    for text in texts:
        if isinstance(text, bytes):
            refuse(f"holds the name {named(text)}, which is not UTF-8")


def _check_attribute(attribute: "AttributeProto") -> None:
    """Check that an attribute has a value of its type, no other value, and a known type."""
    types = attribute.AttributeType
    name = types.Name(attribute.type) if attribute.type in types.values() else ""
    field = ATTRIBUTES.get(name)
    values = {field.name for field, _ in attribute.ListFields()} - {
        "name", "ref_attr_name", "type", "doc_string",
    }  # fmt: skip
    for place in sorted(f"AttributeProto.{value}" for value in values):
        if place in EXPLAINED:
            refuse(EXPLAINED[place])
    if field is None or values - {field}:
        refuse(
            f"holds the attribute {named(attribute.name)} of the type {name or 'unknown'} with "
            f"{', '.join(sorted(values)) or 'no value'}, which is not allowed"
        )
    if attribute.name in TYPE_ATTRIBUTES and field == "i" and attribute.i:
        _check_number(attribute.i, f"the attribute {named(attribute.name)}")


def _check_tensor(tensor: "TensorProto") -> None:
    """Check that a constant is in the file, once, and of the size that it declares."""
    if tensor.data_location == tensor.EXTERNAL or tensor.external_data:
        refuse(
            f"stores the tensor {named(tensor.name)} in another file; save it as one file "
            "(torch.onnx.export(…, external_data=False))"
        )
    name = f"the tensor {named(tensor.name)}"
    kind = _check_number(tensor.data_type, name)
    helper = imported("onnx.helper", "onnx")
    field = helper.tensor_dtype_to_field(tensor.data_type)
    stored = {"raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"}
    stored &= {field.name for field, _ in tensor.ListFields()}
    if len(stored) > 1 or stored - {"raw_data", field}:
        refuse(f"stores {name} as {', '.join(sorted(stored))}; its type is stored as {field}")
    if len(tensor.dims) > MOST_DIMENSIONS:
        refuse(f"declares {name} with {len(tensor.dims):,} dimensions, more than {MOST_DIMENSIONS}")
    width = int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    packed = PACKED.get(kind, 1)  # numbers in an entry
    entries = len(tensor.raw_data) // width if tensor.raw_data else len(getattr(tensor, field))
    spare = len(tensor.raw_data) % width
    if min(tensor.dims, default=1) < 0 or spare or -(-math.prod(tensor.dims) // packed) != entries:
        refuse(f"declares {name} as {list(tensor.dims)}, which is not what the file holds")


def _check_number(kind: int, holder: str) -> str:
    """Return the name of a type of numbers."""
    types = imported("onnx", "onnx").TensorProto.DataType
    name = types.Name(kind) if kind in types.values() else f"number {kind}"
    if name not in NUMBERS.split():
        refuse(f"uses the type {name.lower()} for {holder}, which is not allowed")
    return str(name)
