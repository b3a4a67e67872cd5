"""Submitting a model: from a file to a record, refusals, and measuring it again."""

import hashlib
import json
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training.loop import seeded
from seqmem.leaderboard.record import from_json
from seqmem.leaderboard.store import read_records, write_unless_taken
from seqmem.measuring.curve import measure
from seqmem.submissions.onnx.export import export_onnx
from seqmem.submissions.process.sandbox import sandbox_problem
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Task
from seqmem.tests.command import Command, record_files
from seqmem.tests.records import lower
from seqmem.tests.submissions.test_safetensors_file import trained, weights_in

pytest.importorskip("onnxruntime", reason="needs seqmem[onnx]")

TASK = "hidden-markov/dwell=2"
WHERE = ["--task", TASK, "--k", "1,2,8,full", "--precision", "5%"]
PAGE = Path(__file__).parent.parent.parent / "docs" / "submit.md"


def lively(text: str, task: Task) -> SequenceModel:
    """A baseline whose random outputs are far from constant."""
    with seeded(1):
        model, _ = build_model(parse_model(text), task, 8, {"hidden": 8})
        for parameter in model.parameters():
            parameter.data.mul_(2.0)
    return model.eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ONNX files: lstm.onnx and gru.onnx."""
    folder = tmp_path_factory.mktemp("models")
    task = load_task(TASK)
    for name in ("lstm", "gru"):
        export_onnx(lively(name, task), task.inputs, folder / f"{name}.onnx")
    return folder


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results" / "records" / TASK.replace("/", "_")


def test_a_model_is_checked_measured_and_stored(seqmem_: Command, files: Path, board: Path) -> None:
    ran = seqmem_("submit", str(files / "lstm.onnx"), "--name", "my net", *WHERE)
    assert ran.status == 0, ran.err
    assert "my net" in ran.out
    (path,) = record_files(board)
    assert path.name == "submitted-my_net.json"
    record = from_json(path.read_text())
    assert record.trust == "self-reported"
    assert record.model["sha256"] == hashlib.sha256((files / "lstm.onnx").read_bytes()).hexdigest()
    assert record.model["format"] == "onnx"
    assert record.model["parameters"] > 1000
    assert record.training["budget"] == "elsewhere"
    assert record.validity is not None
    made = {check["name"] for check in record.validity["checks"]}
    assert {"finite", "causality", "batch", "repeat", "optimum"} <= made
    assert all(check["passed"] and check["compared"] for check in record.validity["checks"])
    command = record.measurement["command"].split()
    assert command[:2] == ["seqmem", "submit"]
    assert "--precision" in command
    listed = seqmem_("leaderboard", "--task", TASK)
    assert "my net" in listed.out


def test_one_name_is_one_model(seqmem_: Command, files: Path, board: Path) -> None:
    first = seqmem_("submit", str(files / "lstm.onnx"), "--name", "net", *WHERE)
    (path,) = record_files(board)
    before = path.read_bytes()
    again = seqmem_("submit", str(files / "lstm.onnx"), "--name", "net", *WHERE)
    assert (first.status, again.status) == (0, 0)
    assert "on the board already" in again.err
    other = seqmem_("submit", str(files / "gru.onnx"), "--name", "net", *WHERE)
    assert other.status == 2
    assert "choose another name" in other.err
    assert record_files(board) == [path]
    assert path.read_bytes() == before


def test_one_model_has_the_same_curve_in_every_format(
    seqmem_: Command, tmp_path: Path, board: Path
) -> None:
    model = trained("lstm", TASK, tmp_path / "own").eval()
    weights = weights_in(tmp_path / "own")
    exported = seqmem_("export", str(weights), "net.onnx")
    assert exported.status == 0, exported.err
    code = (
        "from pathlib import Path\n"
        "from seqmem.submissions.safetensors_file import load_baseline\n"
        f"def build(): return Whole(load_baseline(Path({str(weights)!r}))[0])\n"
        "from torch import nn\n"
        "class Whole(nn.Module):\n"
        "    def __init__(self, own):\n"
        "        super().__init__(); self.own = own\n"
        "    def forward(self, inputs): return self.own(inputs)\n"
    )
    (tmp_path / "net.py").write_text(code)
    curves = {}
    exact = ["--task", TASK, "--k", "1,2,8,full", "--exact"]
    for name, text in (("a", "net.onnx"), ("b", str(weights)), ("c", "net.py:build")):
        ran = seqmem_("submit", text, "--name", name, *exact, "--trust")
        assert ran.status == 0, ran.err
        record = from_json((board / f"submitted-{name}.json").read_text())
        curves[name] = [point.loss.mean for point in record.curve]
    task = load_task(TASK)
    contexts: tuple[Context, ...] = (1, 2, 8, "full")
    expected = measure(model, task, task.split("test"), contexts, precision=None, seed=0)
    for curve in curves.values():
        for found, k in zip(curve, contexts, strict=True):
            assert found == pytest.approx(float(expected.at(k).losses.mean()), abs=1e-5)
        assert curve == pytest.approx(curves["b"], abs=1e-5)


CHEAT = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(32, 32)

    def forward(self, inputs):
        {change}

def build():
    torch.manual_seed(0)
    return Net()
"""
CHANGES = {
    "causality": "return 3 * self.embedding(torch.roll(inputs, -1, 1))",
    "repeat": "return self.embedding(inputs) * torch.rand(1)",
    "batch": "return self.embedding(inputs) - self.embedding(inputs).mean((0, 1)) * len(inputs)",
    "finite": "return self.embedding(inputs)[:, :, :31]",
}


@pytest.mark.parametrize("check", CHANGES)
def test_a_cheating_model_is_refused_and_leaves_no_files(
    check: str, seqmem_: Command, board: Path, tmp_path: Path
) -> None:
    (tmp_path / "cheat.py").write_text(CHEAT.format(change=CHANGES[check]))
    with torch.random.fork_rng():  # trusted code may draw from the generator
        ran = seqmem_("submit", "cheat.py:build", "--name", "cheat", *WHERE, "--trust")
    assert ran.status == 1
    assert ran.out == ""
    refusal = ran.err.splitlines()[-1]
    assert refusal.startswith(f"seqmem: cheat on {TASK} is refused: ")
    assert check in refusal
    assert re.search(rf"^  {check}: .* Not satisfied:$", ran.err, re.MULTILINE)
    assert not board.exists()


@pytest.mark.skipif(bool(sandbox_problem()), reason=f"no sandbox here: {sandbox_problem()}")
def test_code_runs_in_a_sandbox_unless_trusted(
    seqmem_: Command, board: Path, tmp_path: Path
) -> None:
    honest = CHEAT.format(change="return self.embedding(inputs)")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "net.py").write_text(
        f"open({str(tmp_path / 'own' / 'leak')!r}, 'w')\n" + honest
    )
    ran = seqmem_("submit", "own/net.py:build", "--name", "net", *WHERE)
    assert ran.status == 1
    assert "Read-only file system" in ran.err  # it was found, and ran
    assert not (tmp_path / "own" / "leak").exists()
    (tmp_path / "own" / "net.py").write_text(honest)
    ran = seqmem_("submit", "own/net.py:build", "--name", "net", *WHERE)
    assert ran.status == 0, ran.err
    record = from_json((board / "submitted-net.json").read_text())
    assert record.model["isolation"] == "bubblewrap, without network"
    assert record.model["parameters"] == 32 * 32


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["net.pt", "--name", "x"], 1, "loading either can run code"),
        (["net.pkl", "--name", "x"], 1, "export it as ONNX"),
        (["net.zip", "--name", "x"], 2, "has no known format"),
        (["none.onnx", "--name", "x"], 2, "cannot be read"),
        (["none.onnx", "--name", "LSTM"], 2, "is a baseline"),
        (["none.onnx", "--name", "../x"], 2, "a name has 1 to 64 of"),
        (["none.onnx"], 2, "no name given"),
        (["none.onnx", "--name", "x", "--manifest", "none.toml"], 2, "cannot be read"),
        (["none.onnx", "--name", "x", "--precision", "0"], 2, "is not a precision"),
        (["none.onnx", "--name", "Optimum"], 2, "is neither chance nor optimum"),
        (["hf:none/such/place", "--name", "x"], 2, "there is no such folder"),
    ],
)
def test_wrong_input_is_one_line(
    arguments: list[str], status: int, says: str, seqmem_: Command, board: Path
) -> None:
    ran = seqmem_("submit", *arguments, "--task", TASK)
    assert ran.status == status
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not board.exists()


def test_a_manifest_describes_the_model(
    seqmem_: Command, files: Path, board: Path, tmp_path: Path
) -> None:
    manifest = tmp_path / "model.toml"
    manifest.write_text('name = "net"\nauthors = ["A. Author"]\nlicence = "MIT"\n')
    ran = seqmem_("submit", str(files / "gru.onnx"), "--manifest", str(manifest), *WHERE)
    assert ran.status == 0, ran.err
    record = from_json((board / "submitted-net.json").read_text())
    assert record.model["authors"] == ["A. Author"]
    assert record.model["licence"] == "MIT"
    for text, says in (
        ("context = 0", "context = 0 should be greater than or equal to 1"),
        ("context = " + "[" * 9_999, "is not TOML"),
        ("contxt = 3", "unknown field 'contxt'"),
        ("context = true", "context = True should be a valid integer"),
        ("authors = [3]", "authors.0 = 3 must be one line"),
        ('name = "a\\nb"', "must be one line"),
        ("name =", "is not TOML"),
        ('name = "other"\nvocabulary = "words.txt"', "cannot be read"),
    ):
        manifest.write_text(text)
        ran = seqmem_("submit", str(files / "gru.onnx"), "--manifest", str(manifest), *WHERE)
        assert ran.status == 2
        assert says in ran.err


def test_a_vocabulary_must_be_the_tasks(seqmem_: Command, files: Path, board: Path) -> None:
    Path("text.txt").write_text("a b c a b b\n" * 400)
    task = load_task("text:text.txt")
    words = list(task.words)  # type: ignore[attr-defined]
    Path("words.txt").write_text("\n".join([*words[:-1], "other"]) + "\n")
    Path("model.toml").write_text('name = "net"\nvocabulary = "words.txt"\n')
    ran = seqmem_(
        "submit", str(files / "gru.onnx"), "--manifest", "model.toml", "--task", "text:text.txt"
    )
    assert ran.status == 2
    assert f"line {len(words)} is 'other'" in ran.err


def test_a_record_is_confirmed_and_a_false_one_contradicted(
    seqmem_: Command, files: Path, board: Path
) -> None:
    model = str(files / "lstm.onnx")
    seqmem_("submit", model, "--name", "net", *WHERE)
    path = board / "submitted-net.json"
    ran = seqmem_("verify", str(path), model, "--seed", "5")
    assert ran.status == 0, ran.err
    (rescored,) = board.glob("rescored-*.json")
    new = from_json(rescored.read_text())
    assert new.trust == "rescored"
    assert new.measurement["sample_seed"] == 5
    assert new.measurement["confirms"] == hashlib.sha256(path.read_bytes()).hexdigest()
    read, problems = read_records([board])
    assert {record.trust for record in read} == {"self-reported", "rescored"}
    assert problems == []
    for fact, value in (("chance", 9.0), ("optimum", 0.5)):
        wrong = json.loads(path.read_text())
        wrong["task"][fact] = value
        (board / "wrong.json").write_text(json.dumps(wrong))
        ran = seqmem_("verify", str(board / "wrong.json"), model)
        assert ran.status == 2
        assert f"says that the {fact} of" in ran.err
    (board / "wrong.json").unlink()

    false = json.loads(path.read_text())
    lower(false, 0.05, 1)
    (board / "false.json").write_text(json.dumps(false))
    ran = seqmem_("verify", str(board / "false.json"), model)
    assert ran.status == 1
    assert ran.out.count("DIFFERS") == 1
    assert "is contradicted" in ran.err.splitlines()[-1]
    assert len(list(board.glob("rescored-*.json"))) == 1

    # Neither a precision nor a half-width that the record claims makes it pass.
    false["measurement"]["precision"] = "3"
    for half_width in (0.0, 1000.0):
        false["curve"][1] |= {"half_width": half_width, "n": sum(false["group_counts"])}
        (board / "false.json").write_text(json.dumps(false))
        ran = seqmem_("verify", str(board / "false.json"), model)
        assert ran.status == 1
        assert ran.out.count("DIFFERS") == 1

    ran = seqmem_("verify", str(path), str(files / "gru.onnx"))
    assert ran.status == 2
    assert "is not the one of" in ran.err
    false["task"]["data_hash"] = "0" * 64
    (board / "false.json").write_text(json.dumps(false))
    ran = seqmem_("verify", str(board / "false.json"), model)
    assert ran.status == 2
    assert "the losses cannot be compared" in ran.err


def test_one_of_many_simultaneous_writes_succeeds(tmp_path: Path) -> None:
    texts = [json.dumps([i] * 20_000) for i in range(40)]
    with ThreadPoolExecutor(16) as pool:
        paths = list(pool.map(lambda text: write_unless_taken(text, tmp_path, "net"), texts))
    (won,) = (i for i, path in enumerate(paths) if path is not None)
    assert [path.name for path in tmp_path.iterdir()] == ["net.json"]
    assert (tmp_path / "net.json").read_text() == texts[won]


@pytest.mark.parametrize("calls", [("fsync",), ("link", "replace")])
def test_an_interrupted_write_leaves_nothing(
    calls: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for call in calls:
        monkeypatch.setattr(f"os.{call}", fail)
    with pytest.raises(OSError, match="No space left"):
        write_unless_taken("{}", tmp_path, "net")
    assert list(tmp_path.iterdir()) == []


def test_the_example_of_the_page_works(
    seqmem_: Command, board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(32, 8)
            self.layer = nn.LSTM(8, 8, batch_first=True)
            self.leave = nn.Linear(8, 32)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = self.leave(self.layer(self.embedding(inputs))[0])
            return outputs

    with seeded(0):
        net = Net().eval()
    _quietly(lambda: exec(code, {"net": net}), monkeypatch)
    ran = seqmem_("submit", "net.onnx", "--name", "my-net", *WHERE)
    assert ran.status == 0, ran.err


def _quietly(work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter emits warnings and prints."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        work()
    sys.stdout.flush()
