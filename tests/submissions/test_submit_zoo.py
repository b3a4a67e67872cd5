"""Cheating and broken models through `seqmem submit`: each is refused for its own reason.

Models that the validity gate must find run trusted, in this process; models that exceed limits run
as untrusted ones do.
"""

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from seqmem.measuring.gate.model_checks import check_validity
from seqmem.measuring.settings import MeasurementSettings
from seqmem.submissions.process.sandbox import sandbox_problem
from seqmem.tasks.model import as_sequence_model
from seqmem.tests import zoo
from seqmem.tests.command import Command, Ran

pytest.importorskip("onnx", reason="needs seqmem[onnx]")
pytest.importorskip("onnxruntime", reason="needs seqmem[onnx]")

from onnx import ModelProto, TensorProto

from seqmem.tests.measuring.gate.test_model_checks import CHEATS, MARKOV, changed
from seqmem.tests.onnx_models import constant, model, node, scores, subgraph, value

TASK = "hidden-markov/dwell=20"  # that of the cheats
NEEDS_SANDBOX = pytest.mark.skipif(
    bool(sandbox_problem()), reason=f"no sandbox: {sandbox_problem()}"
)


def submitted(seqmem_: Command, text: str, *options: str, task: str = TASK) -> Ran:
    """Submit a model that must be refused: exit status 1, empty stdout, no record."""
    with torch.random.fork_rng():  # trusted code may draw from the generator
        ran = seqmem_(
            "submit", text, "--name", "cheat", "--task", task, "--precision", "5%", *options
        )
    assert ran.status == 1, ran.err
    assert ran.out == ""
    assert list(Path().rglob("results/**/*.json")) == []
    return ran


def refused_for(ran: Ran, check: str) -> None:
    """Check that the last line names the check, and that the report has its example."""
    assert re.search(rf"^seqmem: cheat on \S+ is refused: .*\b{check}\b", ran.err.splitlines()[-1])
    assert re.search(rf"^  {check}: .* Not satisfied:\n    \S.*$", ran.err, re.MULTILINE)


# Models that the gate refuses.

TRUSTED = """
import torch
from torch import nn
from seqmem.tests.measuring.gate.test_model_checks import CHEATS, changed
from seqmem.tests import zoo

def build():
    {code}
"""


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_refused_by_its_check(name: str, seqmem_: Command) -> None:
    code = f"return changed(CHEATS[{name!r}][1]())"
    Path("cheat.py").write_text(TRUSTED.format(code=code))
    refused_for(submitted(seqmem_, "cheat.py:build", "--trust"), CHEATS[name][0])


def test_a_context_declared_too_small_is_refused(seqmem_: Command) -> None:
    Path("cheat.py").write_text(TRUSTED.format(code="return changed(lambda x, y: y)"))
    ran = submitted(seqmem_, "cheat.py:build", "--trust", "--context", "3")
    refused_for(ran, "context")


LATE = """
class Late:
    calls = 0
    def __call__(self, inputs, outputs):
        self.calls += 1
        return peeks(inputs, outputs) if self.calls > {calls} else outputs
"""


def test_reading_ahead_after_the_gate_is_found(seqmem_: Command) -> None:
    """A model that counts calls knows when the gate ends; scoring compares outputs once more."""
    calls = _calls_of_the_gate()
    code = "peeks = zoo.peek()" + LATE.format(calls=calls).replace("\n", "\n    ")
    code += "\n    return changed(Late())"
    Path("cheat.py").write_text(TRUSTED.format(code=code))
    ran = submitted(seqmem_, "cheat.py:build", "--trust")
    assert "passed 6 checks" in ran.err
    assert "the model looks ahead" in ran.err.splitlines()[-1]


def _calls_of_the_gate() -> int:
    """Return how often the gate calls an honest model."""
    counts = zoo.Counts()

    def change(inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        counts(inputs, outputs)
        return outputs

    settings = MeasurementSettings()
    report = check_validity(
        as_sequence_model(changed(change)),
        MARKOV,
        MARKOV.split("test"),
        settings.contexts_for(MARKOV),
        declared=None,
        seed=settings.sample_seed,
        device=settings.device,
    )
    assert report.passed
    return counts.calls


REMEMBERS = """
import torch

class Remembers(torch.nn.Module):
    \"\"\"A constant until the first batch of many whole sequences, larger than any of the gate's.

    From then on it knows each sequence by heart, and answers its beginnings consistently.
    \"\"\"

    def __init__(self, outputs):
        super().__init__()
        self.outputs, self.next, self.on = outputs, dict(), False

    def forward(self, inputs):
        rows, length = inputs.shape
        self.on = self.on or (rows >= 32 and length >= 200)
        scores = torch.zeros(rows, length, self.outputs)
        for row, ids in enumerate(inputs.tolist() if self.on else ()):
            number = 0
            for i, symbol in enumerate(ids):
                number = hash((number, symbol))
                if rows >= 32 and i + 1 < length:
                    self.next[number] = ids[i + 1]
                if (known := self.next.get(number)) is not None:
                    scores[row, i, known] += {by}
        return scores

def build(inputs, outputs):
    return Remembers(outputs)
"""


@NEEDS_SANDBOX
@pytest.mark.parametrize("by", [4.0, 0.03], ids=["all of it", "down to the optimum"])
def test_memory_of_the_reference_pass_is_found_in_a_new_process(
    by: float, seqmem_: Command
) -> None:
    """All that was read again was consistent; only a process that saw none of it can tell."""
    Path("own").mkdir()
    Path("own/net.py").write_text(REMEMBERS.format(by=by))
    ran = submitted(seqmem_, "own/net.py:build", "--k", "1,8,full")
    assert "passed 6 checks of validity" in ran.err
    refused_for(ran, "rescored")


def test_a_small_leak_is_found_despite_short_floats(seqmem_: Command) -> None:
    """An unused weight in bfloat16 makes no tolerance wider."""
    code = """model = changed(zoo.peek(by=0.15))
    model.unused = nn.Parameter(torch.zeros(3, dtype=torch.bfloat16))
    return model"""
    Path("cheat.py").write_text(TRUSTED.format(code=code))
    refused_for(submitted(seqmem_, "cheat.py:build", "--trust"), "causality")


# Models that exceed the limits of a process.

SANDBOXED: dict[str, tuple[str, str]] = {
    "sleeps without end": (
        "import time, torch\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x): time.sleep(1e6)\n"
        "def build(): return Net()\n",
        "did not answer within 1 s, which is the limit",
    ),
    "allocates without end": (
        "held = []\nwhile True: held.append(bytearray(1 << 26))\n",
        "does not load in 1,024 MiB of memory",
    ),
    "prints a gigabyte": (
        "for _ in range(1 << 10): print('x' * (1 << 20))\nraise SystemExit('bye')\n",
        "its code raised SystemExit: bye",
    ),
    "dies": ("import os\nos.kill(os.getpid(), 11)\n", "was killed by SIGSEGV"),
    "writes garbage": (
        "import os\nfor i in range(3, 4096):\n    try: os.write(i, b'y' * 64)\n"
        "    except OSError: pass\nimport time; time.sleep(9)\n",
        "sent an invalid answer: it begins with b'yyyy'",
    ),
}


@NEEDS_SANDBOX
@pytest.mark.parametrize("name", SANDBOXED)
def test_the_limits_hold(name: str, seqmem_: Command) -> None:
    code, says = SANDBOXED[name]
    Path("own").mkdir()
    Path("own/net.py").write_text(code)
    memory = "1" if name == "allocates without end" else "8"
    ran = submitted(seqmem_, "own/net.py:build", "--timeout", "1", "--memory", memory, "--k", "1,2")
    assert says in ran.err
    assert len(ran.err) < 4000
    assert "Traceback" not in ran.err


FLOATS = "adding-problem/T=5"  # inputs of two floats, one output


def _endless() -> ModelProto:
    body = subgraph(
        [node("Identity", ["on"], ["still"]), node("Relu", ["s"], ["t"])],
        [value("still", TensorProto.BOOL, ()), value("t", dims=None)],
        [value("i", TensorProto.INT64, ()), value("on", TensorProto.BOOL, ()),
         value("s", dims=None)],
    )  # fmt: skip
    return _two_floats([node("Loop", ["", "", "x"], ["z"], body=body)])


def _two_floats(nodes: list[object]) -> ModelProto:
    """A model that sums the output z of the nodes over its last axis."""
    return model(
        [*nodes, node("ReduceSum", ["z", "axis"], ["y"])],  # type: ignore[list-item]
        inputs=[value("x", dims=("B", "L", 2))],
        outputs=[value("y", dims=("B", "L", 1))],
        constants=[constant(np.array([2]), "axis"), constant(np.array([1 << 12] * 3), "size")],
    )


def _huge() -> ModelProto:
    zeros = node("ConstantOfShape", ["size"], ["c"])
    return _two_floats([zeros, node("ReduceSum", ["c"], ["s"], keepdims=0),
                        node("Add", ["x", "s"], ["z"])])  # fmt: skip


def _external() -> ModelProto:
    made = scores()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return made


ONNX: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "external data": (_external, "stores the tensor 'table' in another file"),
    "custom operator": (
        lambda: model([node("Mine", ["x"], ["y"], domain="mine")], domains=["mine"]),
        "the operator 'Mine' of the domain 'mine'",
    ),
    "random operator": (
        lambda: model([node("RandomNormalLike", ["x"], ["y"])]),
        "the operator 'RandomNormalLike'",
    ),
    "an endless loop": (_endless, "did not answer within 1 s, which is the limit"),
    "256 GB": (_huge, "ran out of memory: its limit is 2,048 MiB"),
}


@pytest.mark.parametrize("name", ONNX)
def test_the_limits_hold_for_onnx_files(name: str, seqmem_: Command) -> None:
    make, says = ONNX[name]
    Path("net.onnx").write_bytes(make().SerializeToString())
    seconds = "1" if name == "an endless loop" else "60"
    ran = submitted(seqmem_, "net.onnx", "--timeout", seconds, "--memory", "2", task=FLOATS)
    assert says in ran.err
    assert "Traceback" not in ran.err


def test_damaged_files_are_refused_in_one_line(seqmem_: Command) -> None:
    whole = scores().SerializeToString()
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", bytes(1 << 26))
    for name, data, says in (
        ("net.onnx", whole[: len(whole) // 2], "is not an ONNX file, or is cut short"),
        ("net.onnx", b"", "is empty"),
        ("net.onnx", bomb.getvalue(), "is a zip archive"),
        ("net.pt", bomb.getvalue(), "a .pt file is not accepted"),
        ("net.pt2", bomb.getvalue(), "loading an exported program can run code"),
        ("net.safetensors", bomb.getvalue(), "is a zip archive"),
        ("net.safetensors", b"\xff" * 64, "is not a safetensors file, or is cut short"),
    ):
        Path(name).write_bytes(data)
        ran = submitted(seqmem_, name)
        assert says in ran.err
        assert len(ran.err.splitlines()) == 1
