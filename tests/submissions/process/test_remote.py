"""A model in a process of its own: an honest one scores the same, a bad one does no harm."""

import math
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from seqmem.errors import CellError, ModelMemoryError, SubmissionError
from seqmem.measuring.curve import measure
from seqmem.measuring.precision import Precision
from seqmem.measuring.record import make_record, measure_model
from seqmem.measuring.settings import MeasurementSettings
from seqmem.submissions.process.child import Child
from seqmem.submissions.process.launch import worker_command
from seqmem.submissions.process.limits import Limits
from seqmem.submissions.process.remote import RemoteModel
from seqmem.submissions.process.worker import FORMATS
from seqmem.submissions.python_factory import build_module, parse_factory
from seqmem.tasks import load_task
from seqmem.tasks.model import as_sequence_model
from seqmem.tasks.task import Context, Tokens
from seqmem.tests.onnx_models import scores, table
from seqmem.tests.processes import all_ended, need_sandbox, nothing_left

USUAL = Limits(memory_bytes=3 << 30, start_seconds=60, call_seconds=30)
IDS = Tokens(100)
OUTPUTS = 5

NAMED = {"name": "remote", "label": "remote"}
LOOSE = MeasurementSettings(contexts=(1, 4, "full"), precision=Precision(0.05, relative=True))

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """A function that writes a model's file and returns its factory; its processes must end."""

    def into_file(code: str) -> str:
        file = tmp_path / "model.py"
        file.write_text(textwrap.dedent(code))
        return f"{file}:build"

    with nothing_left(str(tmp_path)):
        yield into_file


def remote(factory: str, limits: Limits = USUAL, outputs: int = OUTPUTS) -> RemoteModel:
    """A model without a sandbox: what is tested here holds on every system."""
    return RemoteModel(
        parse_factory(factory),
        IDS,
        outputs,
        limits=limits,
        sandbox=False,
    )


HONEST = """
    import torch
    from torch import nn
    from seqmem.tasks.task import Tokens

    class Net(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            if isinstance(inputs, Tokens):
                self.enter = nn.Embedding(inputs.vocabulary, 8)
            else:
                self.enter = nn.Linear(inputs.dimension, 8)
            self.cell = nn.GRU(8, 8, batch_first=True)
            self.leave = nn.Linear(8, outputs)

        def forward(self, inputs):
            return self.leave(self.cell(self.enter(inputs))[0])

    def build(inputs, outputs, seed):
        assert seed == 5
        return Net(inputs, outputs)
"""


@pytest.mark.parametrize(
    ("task_id", "every_k"),
    [("hidden-markov/dwell=4", True), ("copy-memory/T=5", False), ("adding-problem/T=10", False)],
)
def test_an_honest_model_scores_as_in_this_process(
    task_id: str, every_k: bool, write: Write
) -> None:
    task, factory = load_task(task_id), parse_factory(write(HONEST))
    split = task.split("test").prefix(1500)
    contexts: list[Context] = [1, 2, 5, 9, 16, "full"]
    module = build_module(factory, task.inputs, task.outputs, 5)
    here = measure(
        as_sequence_model(module), task, split, contexts, precision=0.02, every_k=every_k
    )
    with RemoteModel(
        factory, task.inputs, task.outputs, seed=5, limits=USUAL, sandbox=False
    ) as model:
        there = measure(model, task, split, contexts, precision=0.02, every_k=every_k)
        assert model.parameters_declared == sum(p.numel() for p in module.parameters())
        inputs = split.inputs[None, :7]
        features, _ = model.hidden(inputs)
        with torch.inference_mode():
            outputs = module(inputs.long() if inputs.ndim == 2 else inputs)
        assert torch.allclose(model.readout(features), outputs, atol=1e-6)
        if task.loss.name == "squared error":  # the same for all
            record, other = (
                make_record(
                    own,
                    measure_model(own, "", task, LOOSE),
                    NAMED,
                    {},
                    task,
                    LOOSE,
                    lambda line: None,
                )
                for own in (model, as_sequence_model(module))
            )
            assert [point.loss for point in record.curve] == pytest.approx(
                [point.loss for point in other.curve], abs=1e-6
            )
    for k in contexts:
        assert there.at(k).losses == pytest.approx(here.at(k).losses, abs=1e-6), k
        assert there.at(k).method == here.at(k).method


ZOO = """
    import sys
    import torch
    from torch import nn

    class Zoo(nn.Module):
        receptive_field = 12

        def forward(self, inputs):
            outputs = torch.arange(5.0).expand(*inputs.shape, 5)
            case = int(inputs[0, 0])
            if case == 1:
                raise RuntimeError("no\\nsuch\\tluck")
            if case == 2:
                sys.exit("leaving")
            if case == 3:
                print(("x" * 1000 + "\\n") * 50_000)
                for line in range(2_000):
                    print("a line that nobody reads", file=sys.stderr)
            if case == 4:
                return [torch.empty(1 << 28) for _ in range(1 << 10)]
            return {
                10: outputs[:, 1:],
                11: outputs[:, -1],
                12: outputs[..., :4],
                13: outputs.long(),
                14: outputs > 2,
                15: outputs.double(),
                16: outputs.bfloat16(),
                17: outputs * float("nan"),
                18: outputs.double() * 1e300,
                19: (outputs, None),
                20: outputs.to(torch.complex64),
                21: outputs.to_sparse(),
            }.get(case, outputs)

    def build():
        return Zoo()
"""
FAILS = {
    1: "the model failed: RuntimeError: no such luck$",
    2: "the model failed: SystemExit: leaving",
    4: "ran out of memory: its limit is 3,072 MiB",
    10: r"for inputs of shape \(2, 6\) .* \(2, 5, 5\); the first two dimensions must be the same",
    11: "the first two dimensions must be the same",
    12: r"the model returned \(4,\) outputs for each input, the task requires \(5,\)",
    13: "outputs are int64; they must be floats",
    14: "outputs are bool; they must be floats",
    19: "the model returned tuple, and must return one tensor",
    20: "outputs are complex64; they must be floats",
    21: "the model failed: ",
}
PASSES = {0: 4.0, 3: 4.0, 15: 4.0, 16: 4.0, 17: math.nan, 18: math.inf}


def test_a_model_that_fails_is_one_error_for_each_call(write: Write) -> None:
    """The process continues, and answers the next request."""
    rows, columns = torch.tensor([0, 1, 1]), torch.tensor([5, 0, 5])
    inputs = torch.zeros(2, 6, dtype=torch.int32)
    model = remote(write(ZOO))
    with pytest.raises(CellError, match="use the model in a `with` block"):
        model.features_at(inputs, rows, columns)
    with model:
        assert model.receptive_field == 12
        process = model.pid
        for case in [*FAILS, *PASSES]:
            inputs = torch.full((2, 6), case, dtype=torch.int32)
            if case in FAILS:
                with pytest.raises(CellError, match=FAILS[case]) as caught:
                    model.features_at(inputs, rows, columns)
                assert isinstance(caught.value, ModelMemoryError) == (case == 4)
                assert "\n" not in str(caught.value)
            else:
                outputs, state = model.features_at(inputs, rows, columns)
                assert (outputs.shape, outputs.dtype, state) == ((3, 5), torch.float32, None)
                last = outputs[:, -1].numpy()
                np.testing.assert_array_equal(last, np.full(3, PASSES[case], np.float32))
        assert model.pid == process
        assert model.features_at(inputs, rows[:0], columns[:0])[0].shape == (0, 5)
        many = torch.zeros((1 << 29) // 5 + 1, dtype=torch.int64)
        with pytest.raises(CellError, match="more than one answer holds"):
            model.features_at(inputs, many, many)
    with pytest.raises(CellError, match="use the model in a `with` block"):
        model.features_at(inputs, rows, columns)


def at_a_call(does: str) -> str:
    return f"""
    import ctypes, os, signal, sys, time
    from torch import nn

    def write_everywhere():
        for file in range(256):
            try:
                os.write(file, b"garbage" * 99)
            except OSError:
                pass

    class Net(nn.Module):
        def forward(self, inputs):
            {does}

    def build(**options):
        return Net()
    """


FATAL = {
    "sleeps": ("time.sleep(60)", "did not answer within 0.5 s"),
    "exits": ("os._exit(0)", "exited with status 0"),
    "segfault": ("print('last words'); ctypes.string_at(0)", r"SIGSEGV; .* 'last words'"),
    "garbage": (
        "write_everywhere()",
        "sent an invalid answer: it begins with b'garb'; the end of its output: '.*garbage'",
    ),
}


@pytest.mark.parametrize("case", FATAL)
def test_a_process_that_goes_wrong_is_ended(case: str, write: Write, tmp_path: Path) -> None:
    does, says = FATAL[case]
    limits = Limits(USUAL.memory_bytes, call_seconds=0.5 if case == "sleeps" else 30)
    task = load_task("hidden-markov/dwell=4")
    with remote(write(at_a_call(does)), limits, task.outputs) as model:
        with pytest.raises(CellError, match=says):
            measure(model, task, task.split("test").prefix(500), [1, 4])
        assert all_ended(str(tmp_path))


AT_IMPORT: dict[str, tuple[str, dict[str, int], str]] = {
    "sleeps": ("import time; time.sleep(60)", {"start_seconds": 1}, "load the model within 1 s"),
    "computes": ("while True: pass", {"cpu_seconds": 1}, "SIGXCPU: it used more than 1 s"),
    "allocates": (
        "kept = []\nwhile True: kept.append(bytearray(1 << 26))",
        {"memory_bytes": 1 << 28},
        "the model does not load in 256 MiB of memory",
    ),
    "shares memory": (
        "import mmap\nkept = []\nwhile True: kept.append(mmap.mmap(-1, 1 << 26))",
        {"memory_bytes": 1 << 28},
        "Cannot allocate memory",
    ),
    "writes": (
        "with open('/tmp/seqmem-written-by-a-test', 'w') as file: file.write('x')",
        {},
        "OSError: .*File too large",
    ),
    "opens files": ("kept = [open('/dev/null') for _ in range(999)]", {}, "Too many open files"),
    "raises its limits": (
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (9**9, 9**9))\nbuild = 0",
        {},
        "raised ValueError: not allowed|'build' is int",  # the superuser may
    ),
    "fails": ("1 / 0", {}, "its code raised ZeroDivisionError: division by zero, line 1"),
    "reads stdin": ("input()", {}, "EOFError"),
    "exits": ("import sys; sys.exit(3)", {}, "its code raised SystemExit: 3"),
}


@pytest.mark.parametrize("case", AT_IMPORT)
def test_an_error_at_import_is_a_submission_error(case: str, write: Write) -> None:
    code, other, says = AT_IMPORT[case]
    limits = Limits(**{"memory_bytes": USUAL.memory_bytes, "open_files": 64, **other})
    try:
        with pytest.raises(SubmissionError, match=says), remote(write(code), limits):
            pass
    finally:
        Path("/tmp/seqmem-written-by-a-test").unlink(missing_ok=True)


def test_a_load_without_end_is_stopped(write: Write) -> None:
    code = "import time\ndef build():\n    time.sleep(60)"
    limits = Limits(USUAL.memory_bytes, start_seconds=3)
    began = time.monotonic()
    with (
        pytest.raises(SubmissionError, match="load the model within 3 s"),
        remote(write(code), limits),
    ):
        pass
    assert time.monotonic() - began < 10


def test_the_environment_is_not_passed_on(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    factory = write("import os\nraise ValueError(sorted(os.environ))")
    with pytest.raises(SubmissionError, match="OMP_NUM_THREADS") as caught, remote(factory):
        pass
    assert "SECRET_TOKEN" not in str(caught.value)
    assert "SEQMEM_DATA" not in str(caught.value)


def test_its_working_folder_is_empty_and_removed(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    factory = write("import os\nraise ValueError(os.getcwd() + str(os.listdir()))")
    with pytest.raises(SubmissionError, match=r"temporary/seqmem-\w+\[\], line"), remote(factory):
        pass
    assert not [*(tmp_path / "temporary").iterdir()]


@pytest.mark.parametrize("there", [True, False])
def test_data_are_read_in_a_sandbox_where_there_is_one(
    there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        need_sandbox()
    else:
        monkeypatch.setattr(
            "seqmem.submissions.process.process_model.sandbox_problem", lambda: "missing"
        )
    ids = torch.tensor([[0, 4, 2], [1, 1, 3]])
    with RemoteModel(scores().SerializeToString(), Tokens(5), 4, limits=USUAL) as model:
        assert model.isolation == (
            "bubblewrap, without network" if there else "a process with limits"
        )
        assert model.pid is not None
        command = Path(f"/proc/{model.pid}/cmdline").read_text().split("\0")[0]
        assert (command == "bwrap") == there
        np.testing.assert_array_equal(model.hidden(ids)[0].numpy(), table()[ids.numpy()])


def test_it_ends_when_its_parent_is_killed(write: Write, tmp_path: Path) -> None:
    """While it computes an answer: there is no parent left to end it, or to remove its folder."""
    factory = write("import time\nprint('here'); time.sleep(60)")
    script = f"""
from seqmem.submissions.process.child import Child
from seqmem.submissions.process.launch import worker_command
from seqmem.submissions.process.limits import Limits
request = {{"format": "python", "factory": {parse_factory(factory).to_json()}}}
with Child(worker_command(Limits()), Limits()) as child:
    print(child.pid, flush=True)
    child.open(request)
"""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
        time.sleep(0.5)  # so that it is asleep in the model's code
        os.kill(child, 0)
        assert [*temporary.iterdir()]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}/cmdline").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{child}/cmdline").exists()
    assert not [*temporary.iterdir()]


def test_nothing_heavy_is_imported_before_the_model_is_known() -> None:
    """Neither torch nor numpy: a model that needs less memory starts with less."""
    code = "import sys; sys.exit(str({'torch', 'pandas', 'datasets', 'numpy'} & {*sys.modules}))"
    command = [
        part.replace("main(settings", f"{code}\nmain(settings") for part in worker_command(USUAL)
    ]
    with (
        pytest.raises(SubmissionError, match=r"status 1; .*'set\(\)'"),
        Child(command, USUAL) as child,
    ):
        child.open({})


def test_formats_that_run_code_need_a_sandbox() -> None:
    assert {name: form.runs_code for name, form in FORMATS.items()} == {
        "hugging face": False,
        "onnx": False,
        "python": True,
    }
