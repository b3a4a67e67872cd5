"""Baselines written as ONNX: the same function at every batch size and length."""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import seqmem
from seqmem.baselines import BASELINES
from seqmem.baselines.backbone import Backbone
from seqmem.baselines.spec import Architecture, model_class, options_of
from seqmem.baselines.training.loop import seeded
from seqmem.errors import InputError
from seqmem.measuring.gate.model_checks import check_validity
from seqmem.measuring.gate.report import report_text
from seqmem.submissions.onnx import export as onnx_export
from seqmem.submissions.onnx.export import export_onnx
from seqmem.submissions.onnx.file import OnnxModel, read_onnx
from seqmem.submissions.onnx.forms import exportable
from seqmem.submissions.safetensors_file import load_baseline
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.model import SequenceModel, as_sequence_model, weights_sha256
from seqmem.tasks.task import Features, InputSpec, Split, Task, Tokens
from seqmem.tests.command import QUICK, Command

UNWRITTEN = ("kneser-ney", "seq2seq", "conv-s2s")
NAMES = [name for name in BASELINES if name not in UNWRITTEN]
# Their recurrence is a loop over its step in the file, which takes seconds to trace; the one of
# them whose step has the most parts is tested like the others, the rest only for being equal.
LOOPS = ["s4d"] + [
    name for name in NAMES if issubclass(model_class(name), Backbone) and model_class(name).stateful
]
LOOPS.remove("gated-deltanet")
# The stable networks differ from the others in their weights alone.
PAIRS = [
    (name, kind)
    for name in NAMES
    for kind in ("ids", "vectors")
    if kind == "ids" or not name.endswith(("stable", "deltanet"))
    if name not in LOOPS
]
KINDS: dict[str, InputSpec] = {"ids": Tokens(11), "vectors": Features(3)}
OUTPUTS = 5


@cache
def made(name: str, kind: str) -> SequenceModel:
    """A model whose weights, biases included, are all random and not small."""
    few = {"hidden": 6, "layers": 1 if name == "transformer" else 2, "state": 4, "units": 6}
    options = options_of(name)
    options |= {key: value for key, value in few.items() if key in options}
    with seeded(1):
        model = Architecture(name, options, KINDS[kind], OUTPUTS, context=8, covers=True).build()
        for part, weight in model.state_dict().items():
            if not part.startswith("reservoir"):  # it would no longer forget rounding errors
                weight.add_(0.3 * torch.randn(weight.shape))
        model.constrain()
    return model.eval()


@dataclass(frozen=True)
class Exported:
    data: bytes
    run: OnnxModel
    deviation: float


@cache
def exported(name: str, kind: str) -> Exported:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        about = {"model": name, "task": "none"}
        deviation = export_onnx(made(name, kind), KINDS[kind], path, about)
        data = path.read_bytes()
    return Exported(data, OnnxModel(data, 1), deviation)


def drawn(kind: str, batch: int, length: int, seed: int) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    if kind == "ids":
        return torch.randint(0, 11, (batch, length), generator=source)
    return torch.rand(batch, length, 3, generator=source)


def agree(ours: Tensor, theirs: npt.NDArray[np.float32], within: float = 1e-5) -> None:
    assert theirs.shape == ours.shape
    assert float((ours - torch.from_numpy(theirs)).abs().max()) <= within * float(ours.abs().max())


@pytest.mark.parametrize(
    ("name", "kind"),
    [*PAIRS, *(pytest.param(name, "ids", marks=pytest.mark.slow) for name in LOOPS)],
)
@settings(max_examples=20, deadline=None)
@given(
    batch=st.integers(1, 4),
    length=st.integers(1, 30) | st.integers(31, 200),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_equals_the_original(
    name: str, kind: str, batch: int, length: int, seed: int, data: st.DataObject
) -> None:
    run = exported(name, kind).run
    inputs = drawn(kind, batch, length, seed)
    # Where the outputs of a head cancel, their norm enlarges rounding errors.
    within = 1e-4 if name in LOOPS else 1e-5
    with torch.inference_mode():
        ours = made(name, kind)(inputs)
    agree(ours, run(inputs.numpy()), within)
    # Causal: the same outputs for a prefix. Rows are independent: the same outputs for one row.
    cut = data.draw(st.integers(1, length))
    row = data.draw(st.integers(0, batch - 1))
    agree(ours[row : row + 1, :cut], run(inputs[row : row + 1, :cut].numpy()), within)
    if made(name, kind).stateful:
        _, carried = run.read(inputs[:, :cut].numpy())
        outputs, after = run.read(inputs[:, cut - 1 :].numpy(), carried)  # one input twice
        with torch.inference_mode():
            _, state = made(name, kind).hidden(inputs[:, :cut])
            features, _ = made(name, kind).hidden(inputs[:, cut - 1 :], state)
            ours = made(name, kind).readout(features)
        agree(ours, outputs, within)
        assert after.shape == (batch, made(name, kind).state_size(1))


class Letters(Task):
    """Random inputs of a kind and random targets: enough for every check."""

    version = 1

    def __init__(self, kind: str) -> None:
        self.id, self.inputs, self.outputs = f"letters/{kind}", KINDS[kind], OUTPUTS
        self.loss, self.longest_context, self.kind = CrossEntropy(), 16, kind

    def train(self, seed: int, epoch: int) -> Split:
        return self.split("test")

    def split(self, split: str) -> Split:
        every, (inputs,) = torch.arange(4000), drawn(self.kind, 1, 4000, 3)
        starts = torch.arange(0, 4001, 100)
        return Split(inputs, starts, every, every % OUTPUTS, every // 100)

    def constant(self) -> Tensor:
        return torch.zeros(OUTPUTS)

    def chance(self) -> float:
        return float(np.log(OUTPUTS))


class Runs(nn.Module):
    """A module that runs an ONNX file."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.run = OnnxModel(data, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.from_numpy(self.run(inputs.numpy()))


def stored_as(data: bytes, kind: int) -> bytes:
    """The same model with weights stored in shorter floats, which the graph casts to float32."""
    made, casts = onnx.load_from_string(data), []
    for tensor in made.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or not tensor.dims:
            continue
        name, numbers = tensor.name, onnx.numpy_helper.to_array(tensor)
        short = onnx.helper.make_tensor(f"{name}.short", kind, tensor.dims, numbers.ravel())
        tensor.CopyFrom(short)
        casts.append(onnx.helper.make_node("Cast", [short.name], [name], to=onnx.TensorProto.FLOAT))
    assert casts
    nodes = [*casts, *made.graph.node]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize("stored", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_exports_pass_the_gate(name: str, kind: str, stored: str) -> None:
    """Exported baselines, also with weights of 16 bits, pass within its tolerances."""
    data, task = exported(name, kind).data, Letters(kind)
    if stored != "float32":
        data = stored_as(data, onnx.TensorProto.DataType.Value(stored.upper()))
    field = made(name, kind).receptive_field
    report = check_validity(
        as_sequence_model(Runs(data), OUTPUTS),
        task,
        task.split("test"),
        (1, 2, 4, 8, 16, "full"),
        declared=field,
        seed=0,
        device="cpu",
    )
    assert report.passed, report_text(report)
    assert report.flags == ()
    assert all(check.tolerance <= 1e-4 for check in report.checks)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_the_file_describes_the_model(name: str, kind: str) -> None:
    found = exported(name, kind)
    assert 0 <= found.deviation <= 1e-5
    _, signature = read_onnx(found.data)
    assert signature.kind == ("int64" if kind == "ids" else "float32")
    field = made(name, kind).receptive_field
    assert signature.metadata == {
        "seqmem.model": name,
        "seqmem.task": "none",
        "seqmem.version": seqmem.__version__,
        "seqmem.receptive_field": "none" if field is None else str(field),
    }
    proto = onnx.load_model_from_string(found.data)
    onnx.checker.check_model(proto, full_check=True)
    for value in (proto.graph.input[0], proto.graph.output[0]):
        dims = value.type.tensor_type.shape.dim
        assert [dim.dim_param for dim in dims[:2]] == ["batch", "length"]
    assert dims[2].dim_value == OUTPUTS
    # Neither paths nor lines of the traced code.
    assert b".py" not in found.data
    assert b"stack_trace" not in found.data


def test_nothing_is_printed_and_the_model_is_not_changed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = made("gru", "ids")
    before = weights_sha256(model)
    model.train()
    try:
        export_onnx(model, KINDS["ids"], tmp_path / "deep" / "gru.onnx")
        assert model.training
    finally:
        model.eval()
    assert weights_sha256(model) == before
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["gru.onnx"]


def _wrong(change: Callable[[Tensor], Tensor]) -> Callable[[SequenceModel], SequenceModel]:
    def form(model: SequenceModel) -> SequenceModel:
        changed = exportable(model)
        weights = changed.state_dict()
        weights["leave.bias"].copy_(change(weights["leave.bias"]))
        return changed

    return form


@pytest.mark.parametrize("change", [lambda bias: bias * 1.01, lambda bias: bias + torch.nan])
def test_a_model_with_other_outputs_is_not_written(
    change: Callable[[Tensor], Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.onnx").write_text("older")
    monkeypatch.setattr(onnx_export, "exportable", _wrong(change))
    with pytest.raises(InputError, match="differs from the original by"):
        export_onnx(made("rnn", "vectors"), KINDS["vectors"], tmp_path / "m.onnx")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["older"]


def test_models_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, spec = made("lstm", "ids"), KINDS["ids"]
    with seeded(1):
        pairs = Architecture("conv-s2s", {}, Tokens(4, 3), 4, context=9, covers=True).build()
    counts = Architecture("kneser-ney", {"order": 3}, Tokens(4), 4, context=9, covers=True).build()
    for given_model, name, says in (
        (model, "model.pt", "must end in .onnx"),
        (counts, "m.onnx", "kneser-ney cannot be written as ONNX: it looks n-grams up"),
        (pairs, "m.onnx", "conv-s2s cannot be written as ONNX: where a source ends"),
    ):
        with pytest.raises(InputError, match=says):
            export_onnx(given_model, spec, tmp_path / name)
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(InputError, match="is a directory"):
        export_onnx(model, spec, tmp_path / "folder.onnx")
    monkeypatch.setattr(onnx_export, "LARGEST_FILE", 100)
    with pytest.raises(InputError, match="one ONNX file holds 100 at most"):
        export_onnx(model, spec, tmp_path / "m.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.onnx"]


# The command.


def test_eval_then_export(seqmem_: Command, tmp_path: Path) -> None:
    assert seqmem_("eval", "rnn", *QUICK).status == 0
    (weights,) = tmp_path.rglob("weights.safetensors")
    ran = seqmem_("export", str(weights), "rnn.onnx")
    assert ran.status == 0
    assert ran.err == ""
    assert ran.out.startswith("rnn.onnx: rnn on adding-problem/T=5, within ")
    model, _ = load_baseline(weights)
    run = OnnxModel((tmp_path / "rnn.onnx").read_bytes(), 1)
    assert run.signature.metadata["seqmem.task"] == "adding-problem/T=5"
    inputs = torch.rand(2, 9, 2, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        agree(model(inputs), run(inputs.numpy()))


def test_a_failed_export_is_one_line(
    seqmem_: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seqmem_("eval", "marginal", *QUICK).status == 0
    weights = str(next(tmp_path.rglob("weights.safetensors")))
    (tmp_path / "text.safetensors").write_text("no weights")
    for arguments, says in (
        ((weights, "m.pt"), "must end in .onnx"),
        (("nothing", "m.onnx"), "there is no such file"),
        (("text.safetensors", "m.onnx"), "is not a safetensors file"),
    ):
        ran = seqmem_("export", *arguments)
        assert ran.status == 2
        assert says in ran.err
        assert ran.err.count("\n") == 1
    for missing in ("onnx", "onnxruntime", "onnxscript"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)  # as if it were not installed
            ran = seqmem_("export", weights, "m.onnx")
        assert ran.status == 2
        assert "pip install 'seqmem[onnx]'" in ran.err
        assert ran.err.count("\n") == 1
    assert not (tmp_path / "m.onnx").exists()


def test_a_layer_exported_twice_in_one_process_is_run() -> None:
    """As in a notebook, where torch fixes the length in the second file."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter, self.cell = nn.Embedding(9, 4), nn.LSTM(4, 4, batch_first=True)

        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.cell(self.enter(inputs))[0]
            return outputs

    ids = torch.arange(36).reshape(3, 12) % 9
    for _ in range(2):
        with seeded(1):
            net = Net().eval()
        sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
        with onnx_export._quiet():
            warnings.simplefilter("ignore")  # torch's own
            program = torch.onnx.export(
                net, (ids[:2, :8],), dynamo=True, dynamic_shapes=(sizes,), verbose=False
            )
        assert program is not None
        exported = OnnxModel(program.model_proto.SerializeToString(), 1)
        for inputs in (ids, ids[:1, :1]):
            with torch.no_grad():
                expected = net(inputs).numpy()
            assert np.abs(exported(inputs.numpy()) - expected).max() < 1e-6
