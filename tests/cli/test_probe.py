"""`seqmem probe` and `seqmem.probe`."""

from pathlib import Path

import pytest
import torch
from torch import nn

import seqmem
from seqmem.baselines.training.loop import seeded
from seqmem.tests.command import QUICK, Command

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv1d(3, 4, 5)
    def forward(self, x):
        return self.layer(nn.functional.pad(x.transpose(1, 2), (4, 0))).transpose(1, 2)

class Ahead(Net):
    def forward(self, x):
        return super().forward(x).roll(-1, 1)

class Mixer(nn.Module):
    def __init__(self, d_model, kernel=3):
        super().__init__()
        self.kernel, self.layer = kernel, nn.Conv1d(d_model, d_model, kernel)
    def forward(self, x):
        padded = nn.functional.pad(x.transpose(1, 2), (self.kernel - 1, 0))
        return self.layer(padded).transpose(1, 2)

def build(inputs, outputs):
    return nn.Sequential(nn.Embedding(inputs.vocabulary, 4), nn.Linear(4, outputs))
"""


@pytest.fixture(autouse=True)
def nets(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETS)


@pytest.mark.parametrize(
    ("model", "field"),
    [("net.py:Net", 5), ("net.py:Mixer:kernel=4,hidden=8,layers=2", 7), ("net.py:build", 1)],
)
def test_code_of_every_kind_is_probed(seqmem_: Command, model: str, field: int) -> None:
    ran = seqmem_("probe", model)
    assert ran.status == 0, ran.err
    lines = {line[:18].strip(): line[18:] for line in ran.out.splitlines()}
    assert lines["causal"].startswith("yes: all 128 outputs, all later inputs")
    assert lines["receptive field"].startswith(f"{field} input")
    assert lines["depends on"].startswith("nothing else")
    assert "influence on the last output, by lag" in ran.out


def test_a_leak_ends_with_status_1(seqmem_: Command) -> None:
    ran = seqmem_("probe", "net.py:Ahead", "--length", "16")
    assert ran.status == 1
    assert "NO: output 0 depends on input 1, 1 later" in ran.out
    assert ran.err == ""


def test_trained_weights_an_onnx_file_and_a_baseline_agree(
    seqmem_: Command, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    assert seqmem_("eval", "tcn:levels=2", *QUICK).status == 0
    (weights,) = tmp_path.rglob("*.safetensors")
    assert seqmem_("export", str(weights), "net.onnx").status == 0
    found = {}
    for model in (str(weights), "net.onnx", "tcn:levels=2"):
        ran = seqmem_("probe", model, "--task", "adding-problem/T=5", "--length", "48")
        assert ran.status == 0, ran.err + ran.out
        (line,) = [line for line in ran.out.splitlines() if line.startswith("receptive field")]
        found[model] = line.split()[2]
        assert "inputs of adding-problem/T=5" in ran.out
    assert len(set(found.values())) == 1, found


def test_a_hugging_face_folder_is_probed_as_far_as_it_reads(
    seqmem_: Command, tmp_path: Path
) -> None:
    tiny = pytest.importorskip("seqmem.tests.tiny_models")
    tokenizer = tiny.byte_level()
    tiny.save(tmp_path / "own", tiny.gpt2(len(tokenizer), longest=24), tokenizer)
    ran = seqmem_("probe", f"hf:{tmp_path / 'own'}")
    assert ran.status == 0, ran.err
    assert f"random ids below {len(tokenizer)}" in ran.out
    assert "yes: all 16 outputs" in ran.out  # half of 32, and so on, until it can read them
    assert "unbounded, or longer: all 16 that were read matter" in ran.out


def test_a_chart_is_written(seqmem_: Command, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    for name, begins in (("a.svg", b"<svg"), ("a.png", b"\x89PNG"), ("a.html", b"<!DOCTYPE html")):
        ran = seqmem_("probe", "net.py:Net", "--length", "16", "-o", name)
        assert ran.status == 0, ran.err
        assert (tmp_path / name).read_bytes().startswith(begins)


def test_no_line_is_longer_than_the_terminal(
    seqmem_: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    ran = seqmem_("probe", "lstm:hidden=8", "--length", "32")
    assert max(map(len, ran.out.splitlines())) <= 60
    assert "unbounded, or longer: all 32 that were read" in " ".join(ran.out.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["net.py:Nte"], "there is no 'Nte' in net"),
        (["lsmt"], "has no known format: did you mean lstm?"),
        (["LSTM"], "did you mean lstm?"),
        (["net.py:Net", "-o", "a.gif"], "a picture's name ends in one of .svg, .pdf, .png, .html"),
        (["net.py:build", "--task", "adding-problem/T=5"], "has no attribute 'vocabulary'"),
        (["missing.onnx"], "cannot be read"),
    ],
)
def test_mistakes_are_explained(seqmem_: Command, arguments: list[str], says: str) -> None:
    ran = seqmem_("probe", *arguments)
    assert ran.status in (1, 2)
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1


def test_from_python() -> None:
    with seeded(0):
        net = nn.Sequential(nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(3, 2, 3))
    found = seqmem.probe(net, torch.randn(2, 30, 3, generator=torch.Generator()), time=2)
    assert (found.causal, found.receptive_field, found.faults) == (True, 3, {})
    assert repr(found) == "Sequential: causal, receptive field 3"
    assert found.frame["share"].sum() == pytest.approx(1)
    assert list(found.frame["lag"]) == [0, 1, 2]
    assert "receptive field   3 inputs" in str(found)
    pytest.importorskip("vl_convert")
    assert "<svg" in found._repr_html_()
    assert "Sequential: influence by lag" in found.plot()._repr_svg_()
    assert seqmem.probe("tcn:levels=1,hidden=4", length=32).causal
