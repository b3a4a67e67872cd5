"""Classes of users: distinguished, built, checked, sent to other processes, hashed."""

import linecache
import pickle
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqmem.baselines.own.load import is_code, load_class, take_class
from seqmem.baselines.own.own_class import OwnClass, own_class
from seqmem.baselines.own.spec import model_spec
from seqmem.baselines.own.trial import try_out
from seqmem.baselines.spec import ModelSpec, build_model
from seqmem.baselines.training.loop import seeded
from seqmem.baselines.transformer import WindowedAttention
from seqmem.errors import InputError
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import InputSpec
from seqmem.testing import check_model, example_inputs

TASK = load_task("hidden-markov/dwell=5")


class Whole(nn.Module):
    def __init__(self, inputs: Any, outputs: int, hidden: int = 6, *, scale: float = 1.0) -> None:
        super().__init__()
        self.embed, self.leave = nn.Embedding(inputs.vocabulary, hidden), nn.Linear(hidden, outputs)

    def forward(self, ids: Tensor) -> Any:
        return {"logits": self.leave(self.embed(ids).cumsum(1)), "other": ids}


class Stateful(SequenceModel):
    stateful = True

    def __init__(self, inputs: InputSpec, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(inputs.vocabulary, outputs)  # type: ignore[union-attr]

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        features = self.embed(inputs).cumsum(1) + (0 if state is None else state)
        return features, features[:, -1:]

    def readout(self, hidden: Tensor) -> Tensor:
        return hidden


class Cell(nn.Module):
    """A recurrent layer without num_layers."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.inner = nn.GRU(input_size, hidden_size, batch_first=True)

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.inner(inputs, state)  # type: ignore[no-any-return]


class Mixer(nn.Module):
    receptive_field = 3

    def __init__(self, d_model: int, kernel: int = 3) -> None:
        super().__init__()
        self.kernel, self.mix = kernel, nn.Conv1d(d_model, d_model, kernel)

    def forward(self, features: Tensor) -> tuple[Tensor, None]:
        padded = nn.functional.pad(features.transpose(1, 2), (self.kernel - 1, 0))
        return self.mix(padded).transpose(1, 2), None


def taken(constructor: Any, **options: Any) -> OwnClass:
    return own_class(constructor, "x", label="X", source_sha256="0", **options)


@pytest.mark.parametrize(
    ("constructor", "kind", "options"),
    [
        (Whole, "model", {"hidden", "scale"}),
        (Stateful, "model", set()),
        (Cell, "recurrent", {"hidden", "layers", "dropout", "tied"}),
        (nn.LSTM, "recurrent", {"hidden", "layers", "dropout", "tied", "bias"}),
        (Mixer, "mixer", {"hidden", "layers", "dropout", "tied", "kernel"}),
    ],
)
def test_kinds_are_distinguished_and_keep_the_contract(
    constructor: Any, kind: str, options: set[str]
) -> None:
    own = taken(constructor)
    assert own.kind == kind
    assert set(own.defaults) == options
    sizes = {"hidden": 6, "layers": 2} if kind != "model" else {}
    with seeded(0):
        model, _ = build_model(ModelSpec("X", sizes, own), TASK, "full", {})
    assert try_out(model, TASK, "x") is None
    assert model.stateful is (constructor in (Stateful, Cell, nn.LSTM))
    check_model(model.eval(), example_inputs(TASK.inputs), TASK.outputs)


def test_another_class_of_a_file_and_other_options_are_another_model() -> None:
    found = [taken(kind).facts(options)["sha256"] for kind, options in (
        (Whole, {}), (Mixer, {}), (Mixer, {"kernel": 3}), (Mixer, {"kernel": 4}),
    )]  # fmt: skip
    assert len({*found}) == 4
    assert taken(Whole).facts({})["sha256"] == found[0]


def test_receptive_fields_of_mixers_add_up() -> None:
    with seeded(0):
        model, _ = build_model(ModelSpec("X", {"layers": 3}, taken(Mixer)), TASK, 8, {})
    assert model.receptive_field == 1 + 3 * 2


def test_a_baseline_is_the_same_as_its_own_layer_in_the_backbone() -> None:
    """The suite's attention is one mixer, and torch's LSTM one layer: nothing else differs."""

    class Attention(WindowedAttention):
        def __init__(self, d_model: int) -> None:
            super().__init__(d_model, 2, 9)

    for baseline, own, k in (("transformer:heads=2,layers=1", Attention, 9), ("gru", nn.GRU, 9)):
        models = []
        for spec in (model_spec(baseline), ModelSpec("X", {}, taken(own))):
            with seeded(3):
                models.append(build_model(spec, TASK, k, {"hidden": 8, "layers": 1})[0].eval())
        inputs = example_inputs(TASK.inputs)
        assert torch.equal(models[0](inputs), models[1](inputs))


@pytest.mark.parametrize(
    ("constructor", "kind", "says"),
    [
        (3, None, "is a int; it must be a subclass of torch.nn.Module"),
        (dict, None, "a class, but none of modules"),
        (nn.Linear, None, "of no known kind"),
        (nn.Linear, "mixer", "it requires 'out_features' as well"),
    ],
)
def test_what_is_no_model(constructor: Any, kind: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        taken(constructor, kind=kind)


@pytest.mark.parametrize(
    ("forward", "says"),
    [
        (lambda x: x[..., :3], r"returned a tensor of shape \(2, 3, 3\)"),
        (lambda x: (x, x.clone()), None),
        (lambda x: (x[0], x, x.clone()), "must return one tensor .* 2 of them in it"),
        (lambda x: [x[0]], "none in it"),
        (lambda x: 1 / 0, "ZeroDivisionError: division by zero .test_own_class.py line"),
    ],
)
def test_what_a_layer_returns(forward: Any, says: str | None) -> None:
    class Returns(nn.Module):
        def __init__(self, d_model: int) -> None:
            super().__init__()

        def forward(self, features: Tensor) -> Any:
            return forward(features)

    with seeded(0):
        model, _ = build_model(ModelSpec("X", {"hidden": 4}, taken(Returns)), TASK, 4, {})
    if says is None:
        assert try_out(model, TASK, "x") is None
        return
    with pytest.raises(InputError, match=says):
        try_out(model, TASK, "x")


def test_a_softmax_is_warned_of() -> None:
    class Probabilities(Whole):
        def forward(self, ids: Tensor) -> Any:
            return super().forward(ids)["logits"].softmax(-1)

    with seeded(0):
        model, _ = build_model(ModelSpec("X", {}, taken(Probabilities)), TASK, 4, {})
    assert "softmax" in str(try_out(model, TASK, "x"))


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)


LAYER = """
from torch import nn
from helper import FACTOR

class Layer(nn.Module):
    def __init__(self, d_model, mode="a"):
        super().__init__()
    def forward(self, x):
        return FACTOR * x.cumsum(1)
"""


def test_the_hash_is_that_of_the_code_it_runs(tmp_path: Path) -> None:
    write(tmp_path, layer=LAYER, helper="FACTOR = 2\n", other="X = 1\n")
    text = f"{tmp_path}/layer.py:Layer"
    first = load_class(text)[0]
    write(tmp_path, layer=LAYER + "# a comment\n", other="X = 2\n")
    same = load_class(text)[0]
    write(tmp_path, helper="FACTOR = 3\n")
    changed = load_class(text)[0]
    assert first.source_sha256 == same.source_sha256 != changed.source_sha256
    assert changed.constructor(1)(torch.ones(1, 1, 1)).item() == 3  # imported anew
    assert "layer" not in sys.modules  # a name of its own


def test_another_process_gets_the_code_itself(tmp_path: Path) -> None:
    write(tmp_path, layer=LAYER, helper="FACTOR = 2\n")
    spec = model_spec(f"{tmp_path}/layer.py:Layer:mode=b,hidden=4")
    assert str(spec) == "Layer:hidden=4,mode=b"
    (tmp_path / "spec.pickle").write_bytes(pickle.dumps(spec))
    write(tmp_path, layer="raise SystemExit", helper="FACTOR = 9\n")
    code = (
        "import pickle, sys, torch; spec = pickle.load(open(sys.argv[1], 'rb'));"
        "print(spec, spec.own.constructor(1)(torch.ones(1, 1, 1)).item())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "spec.pickle")]
    ran = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert ran.stdout == "Layer:hidden=4,mode=b 2.0\n", ran.stderr


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("layer.py", "name the class in the file"),
        ("none.py:Layer", "there is no file"),
        ("layer.py:Other", "there is no 'Other' in .*; it has Layer"),
        ("broken.py:Layer", "SyntaxError"),
        ("raises.py:Layer", r"the file raised ZeroDivisionError: .* \(raises.py line 2\)"),
        ("layer.py:Layer:kernel=3", "unknown option 'kernel'; Layer takes: hidden"),
    ],
)
def test_code_that_does_not_load(name: str, says: str, tmp_path: Path) -> None:
    write(tmp_path, layer=LAYER, helper="FACTOR = 2", broken="def f(:", raises="\n1 / 0\n")
    with pytest.raises(InputError, match=says):
        model_spec(f"{tmp_path}/{name}")


def test_baselines_and_files_are_no_code() -> None:
    yes = ("my.py", "a/my.py:Layer", "my.py:Layer:hidden=3", "pkg.mod:Layer", "mod:Layer")
    no = ("lstm", "lstm:hidden=3", "lsmt:hidden=3", "hf:gpt2", "net.onnx", "a.safetensors")
    assert [is_code(text) for text in (*yes, *no)] == [True] * 5 + [False] * 6


def test_a_class_called_like_a_baseline_has_another_name(tmp_path: Path) -> None:
    write(tmp_path, mine=LAYER.replace("Layer", "TCN"), helper="FACTOR = 2")
    assert model_spec(f"{tmp_path}/mine.py:TCN").name == "mine.TCN"


CELL = """
from torch import nn

SIZES = [1, 2]

def helper(x):
    return {factor} * x

def unused(x):
    return {other} * x

class InCell(nn.Module):
    def __init__(self, d_model):
        super().__init__()
        self.sizes = SIZES
    def forward(self, x):
        return helper(x)
"""


def test_the_source_of_a_notebook_is_what_the_class_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def hashed(**values: int) -> str:
        module, text = types.ModuleType("notebook"), CELL.format(**values)
        place = f"<cell {values}>"
        monkeypatch.setitem(sys.modules, "notebook", module)
        monkeypatch.setitem(linecache.cache, place, (len(text), None, text.splitlines(True), place))
        exec(compile(text, place, "exec"), module.__dict__)
        own = take_class(module.InCell)
        assert own.kind == "mixer"
        assert pickle.loads(pickle.dumps(own)).constructor(3)(2) == values["factor"] * 2
        return own.source_sha256

    assert hashed(factor=2, other=1) == hashed(factor=2, other=5) != hashed(factor=3, other=1)


def test_a_class_without_a_source_is_refused() -> None:
    module = types.ModuleType("made_up")
    exec("class X:\n    pass", module.__dict__)
    sys.modules["made_up"] = module
    try:
        with pytest.raises(InputError, match="the source of 'X' is not known"):
            take_class(module.X)
    finally:
        del sys.modules["made_up"]
