"""Files damaged at random: none reads other files, runs foreign operators or stops a process."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto

from seqmem.errors import CellError, SubmissionError
from seqmem.submissions.onnx.file import OnnxModel, read_onnx
from seqmem.submissions.process.limits import Limits
from seqmem.submissions.process.remote import RemoteModel
from seqmem.tasks.task import Tokens
from seqmem.tests.onnx_mutations import (
    MODELS,
    foreign_parts,
    mutated,
    watched,
    with_function,
    with_state,
)

ALL = (*MODELS, with_state())
LIMITS = Limits(memory_bytes=2 << 30, start_seconds=30, call_seconds=3)


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("host") / "secret.bin"
    file.write_bytes(bytes(range(64)))
    return file


def test_the_watch_sees_what_is_opened(secret: Path) -> None:
    with watched(secret) as opened:
        assert not opened()
        secret.read_bytes()
        assert opened()
        assert not opened()


def test_the_models_are_run_undamaged() -> None:
    ids = np.array([[0, 4, 2]])
    for made in ALL:
        assert OnnxModel(made.SerializeToString(), 1)(ids).shape == (1, 3, 4)
        assert foreign_parts(made.SerializeToString()) == []


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(seed=92_323)  # the name of a dimension breaks lines
@given(seed=st.integers(0, 1 << 30))
def test_what_is_accepted_holds_nothing_foreign(
    seed: int, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(secret.parent)
    rng = np.random.default_rng(seed)
    data = mutated(ALL[seed % len(ALL)], secret, rng)
    with watched(secret) as opened:
        try:
            checked, _ = read_onnx(data)
        except SubmissionError as error:
            lines = str(error).splitlines()
            assert len(lines) == 1
        else:
            assert foreign_parts(data) == []
            assert foreign_parts(checked.SerializeToString()) == []
        assert not opened()


def test_damaged_files_are_run_in_a_process_without_harm(secret: Path) -> None:
    """Without a sandbox, which would hide the other files."""
    rng = np.random.default_rng(7)
    ran = failed = 0
    with watched(secret) as opened:
        while ran + failed < 12:
            data = mutated(ALL[(ran + failed) % len(ALL)], secret, rng)
            try:
                read_onnx(data)
            except SubmissionError:
                continue
            try:
                with RemoteModel(data, Tokens(5), 4, limits=LIMITS, sandbox=False) as remote:
                    remote.hidden(torch.zeros(2, 3, dtype=torch.long))
                ran += 1
            except (SubmissionError, CellError):
                failed += 1
        assert not opened()
    assert ran >= 2


def _external_at(place: Callable[[ModelProto, TensorProto], object], secret: Path) -> bytes:
    tensor = TensorProto(name="t", data_type=TensorProto.UINT8, dims=[64])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=secret.name)
    made = with_function()
    place(made, tensor)
    return bytes(made.SerializeToString())


PLACES: dict[str, Callable[[ModelProto, TensorProto], object]] = {
    "constants": lambda made, t: made.graph.initializer.append(t),
    "a sparse constant": lambda made, t: made.graph.sparse_initializer.add(values=t),
    "a default": lambda made, t: made.functions[0].attribute_proto[0].t.CopyFrom(t),
    "a function's node": lambda made, t: (
        made.functions[0].node[0].attribute.add(name="value", type=4, t=t)
    ),
    "a node": lambda made, t: made.graph.node[0].attribute.add(name="value", type=4, t=t),
    "a list": lambda made, t: made.graph.node[0].attribute.add(name="v", type=9, tensors=[t]),
    "a sparse value": lambda made, t: (
        made.graph.node[0].attribute.add(name="v", type=11).sparse_tensor.values.CopyFrom(t)
    ),
    "a graph of a list": lambda made, t: (
        made.graph.node[0].attribute.add(name="v", type=10).graphs.add().initializer.append(t)
    ),
    "training": lambda made, t: made.training_info.add().algorithm.initializer.append(t),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_in_another_file_is_refused_anywhere(place: str, secret: Path) -> None:
    data = _external_at(PLACES[place], secret)
    assert foreign_parts(data)
    with pytest.raises(SubmissionError, match=r"another file|sparse|not allowed|training"):
        read_onnx(data)
