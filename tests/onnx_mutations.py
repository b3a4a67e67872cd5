"""ONNX files damaged at random: changed bytes, and messages inserted at any place that has room.

Fields are found in the description of the format itself, so that nothing is left out. What is
inserted is hostile: tensors in other files, foreign operators and domains, values that lie.
"""

import ctypes
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.text_format import MessageToString
from onnx import AttributeProto, ModelProto, TensorProto
from onnx.helper import make_attribute

from seqmem.submissions.onnx.operators import OPERATORS
from seqmem.tests.onnx_models import constant, function, node, scores, subgraph, value

__all__ = ["MODELS", "foreign_parts", "mutated", "watched", "with_function", "with_state"]

FOREIGN = ("RandomNormal", "Bernoulli", "ImageDecoder", "Optional", "Gelu", "ATen", "EPContext")
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "org.pytorch.aten", "evil", "mine")
NUMBERS = (0, 1, -1, 2, 3, 7, 8, 10, 16, 127, 1 << 31, 1 << 62, -(1 << 62))
DEEPEST = 4  # messages within an inserted one


def _with_branches() -> ModelProto:
    inner = subgraph([node("Neg", ["e"], ["out"])], [value("out", dims=None)])
    other = subgraph([node("Abs", ["e"], ["out"])], [value("out", dims=None)])
    made = scores()
    made.graph.node[0].output[0] = "e"
    made.graph.node.append(node("If", ["yes"], ["y"], then_branch=inner, else_branch=other))
    made.graph.initializer.append(constant(np.array(True), "yes"))
    return made


def with_function() -> ModelProto:
    """A function with a default for an attribute, to which one of its nodes refers."""
    own = function("mine", "Own", [node("Constant", [], ["t"]), node("Add", ["a", "t"], ["b"])])
    own.node[0].attribute.add(name="value", ref_attr_name="v", type=4)
    own.attribute_proto.append(make_attribute("v", constant(np.ones(4, np.float32), "t")))
    made = scores()
    made.graph.node[0].output[0] = "e"
    made.graph.node.append(node("Own", ["e"], ["y"], domain="mine"))
    made.functions.append(own)
    made.opset_import.add(domain="mine", version=1)
    return made


def with_state() -> ModelProto:
    """A state of four floats, the largest outputs so far."""
    made = scores()
    made.graph.node[0].output[0] = "e"
    made.graph.node.append(node("Add", ["e", "state"], ["y"]))
    made.graph.node.append(node("ReduceMax", ["y", "time"], ["state_out"], keepdims=1))
    made.graph.input.append(value("state", dims=("B", 1, 4)))
    made.graph.output.append(value("state_out", dims=None))
    made.graph.initializer.append(constant(np.array([1]), "time"))
    return made


MODELS = (scores(), _with_branches(), with_function())


def mutated(model: ModelProto, secret: Path, rng: np.random.Generator) -> bytes:
    """Return a damaged copy of a model as a file.

    Args:
        model: the model.
        secret: the file that inserted tensors claim to be stored in.
        rng: the source of randomness.
    """
    changed = ModelProto()
    changed.CopyFrom(model)
    for _ in range(rng.integers(0, 4)):
        _insert(changed, secret, rng)
    data = bytearray(changed.SerializeToString())
    if rng.random() < 0.25:
        for _ in range(rng.integers(1, 5)):
            data[rng.integers(len(data))] = rng.integers(256)
    if rng.random() < 0.05:
        begin, end = sorted(rng.integers(len(data), size=2))
        del data[begin:end]
    return bytes(data)


def _insert(model: ModelProto, secret: Path, rng: np.random.Generator) -> None:
    """Set, replace or remove one field of one message of a model."""
    messages = list(_messages(model))
    nodes = [each for each in messages if each.DESCRIPTOR.name == "NodeProto"]
    if nodes and rng.random() < 0.15:  # an operator or its domain
        message = _choice(nodes, rng)
        field = message.DESCRIPTOR.fields_by_name[_choice(("op_type", "domain"), rng)]
    else:
        message = _choice(messages, rng)
        fields = message.DESCRIPTOR.fields
        roomy = [each for each in fields if each.message_type is not None] or fields
        field = _choice(_choice((fields, roomy), rng), rng)
    if rng.random() < 0.1:
        message.ClearField(field.name)
    elif message.DESCRIPTOR.name == "TensorProto" and rng.random() < 0.5:
        _store_elsewhere(message, secret, rng)
    else:
        _set(message, field, secret, rng, 0)


def _messages(message: Any) -> Iterator[Any]:
    yield message
    for field, held in message.ListFields():
        if field.message_type is not None:
            for inner in [held] if hasattr(held, "ListFields") else held:
                yield from _messages(inner)


def _set(message: Any, field: Any, secret: Path, rng: np.random.Generator, depth: int) -> None:
    present = getattr(message, field.name)
    if field.message_type is not None:
        if depth < DEEPEST:
            inner = present.add() if hasattr(present, "add") else present
            inner.SetInParent() if inner is present else None
            _fill(inner, secret, rng, depth + 1)
        return
    value = _value(field, rng)
    if hasattr(present, "append"):
        present.append(value)
    else:
        setattr(message, field.name, value)


def _fill(message: Any, secret: Path, rng: np.random.Generator, depth: int) -> None:
    """Fill an inserted message: with a valid value now and then, else with random fields."""
    kind = message.DESCRIPTOR.name
    if kind == "TensorProto" and rng.random() < 0.7:
        _store_elsewhere(message, secret, rng)
    elif kind == "AttributeProto" and rng.random() < 0.7:
        message.name = _choice(("value", "body", "then_branch", "to", "v"), rng)
        message.type = AttributeProto.TENSOR
        _store_elsewhere(message.t, secret, rng)
    else:
        for field in message.DESCRIPTOR.fields:
            if rng.random() < 0.5:
                _set(message, field, secret, rng, depth)


def _store_elsewhere(tensor: TensorProto, secret: Path, rng: np.random.Generator) -> None:
    tensor.Clear()
    tensor.name, tensor.data_type = _choice(("x", "table", "t"), rng), TensorProto.UINT8
    tensor.dims.append(secret.stat().st_size)
    if rng.random() < 0.8:
        tensor.data_location = TensorProto.EXTERNAL
    places = (str(secret), secret.name, f"..{secret}", str(secret)[1:], f"file://{secret}")
    tensor.external_data.add(key="location", value=_choice(places, rng))


def _value(field: Any, rng: np.random.Generator) -> Any:
    if field.enum_type is not None:
        return _choice(field.enum_type.values, rng).number
    if field.name == "op_type":
        return _choice((*FOREIGN, *sorted(OPERATORS)[:: len(OPERATORS) // 8]), rng)
    if field.name == "domain":
        return _choice(DOMAINS, rng)
    if field.type == field.TYPE_STRING:
        return _choice(("", "x", "y", "a", "b", "table", "value", "\x1b[31m\n", "F0", "Own"), rng)
    if field.type == field.TYPE_BYTES:
        return rng.bytes(int(rng.integers(0, 9)))
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return _choice((0.0, 1.0, -1e30, float("nan"), float("inf")), rng)
    number = _choice(NUMBERS, rng)
    if field.type == field.TYPE_INT32:
        return max(min(number, (1 << 31) - 1), -(1 << 31))
    return abs(number) if field.type == field.TYPE_UINT64 else number


def _choice(among: Sequence[Any], rng: np.random.Generator) -> Any:
    return among[int(rng.integers(len(among)))]


def foreign_parts(data: bytes) -> list[str]:
    """Return what an ONNX file holds that no model may hold.

    It is found in the file's text, which protobuf writes, so that nothing is shared with the check
    of submitted files.
    """
    model = ModelProto.FromString(data)
    own = {(function.domain, function.name, function.overload) for function in model.functions}
    found = [f"function in {domain!r}" for domain, _, _ in own if domain in DOMAINS[:5]]
    text = MessageToString(model, print_unknown_fields=True)
    found += re.findall(r"external_data|EXTERNAL|sparse_\w+|training_info|^ *\d+: .*", text, re.M)
    # At any depth: a node within a node is found by its own deeper indentation.
    for indent, body in re.findall(r"(?=^( *)node \{\n((?:\1 .*\n)*))", text, re.M):
        fields = dict(re.findall(rf'^{indent}  (op_type|domain|overload): "(.*)"$', body, re.M))
        called = tuple(fields.get(name, "") for name in ("domain", "op_type", "overload"))
        if called not in own and not (called[0] in DOMAINS[:2] and called[1] in OPERATORS):
            found.append(f"operator {called}")
    return found


@contextmanager
def watched(file: Path) -> Iterator[Callable[[], bool]]:
    """Watch a file (inotify); the function returns whether any process opened it since then."""
    library, is_opened = ctypes.CDLL(None), 0x20
    watch = library.inotify_init1(os.O_NONBLOCK)
    assert library.inotify_add_watch(watch, os.fsencode(file), is_opened) >= 0

    def opened() -> bool:
        try:
            return bool(os.read(watch, 1 << 16))
        except BlockingIOError:
            return False

    try:
        yield opened
    finally:
        os.close(watch)
