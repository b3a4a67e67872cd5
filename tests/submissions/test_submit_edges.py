"""Edge cases of submitting and verifying: names, folders, forged records, short floats."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from seqmem.leaderboard.record import from_json
from seqmem.leaderboard.store import COMMITTED
from seqmem.submissions.process.sandbox import sandbox_problem
from seqmem.tasks import load_task
from seqmem.tests.command import Command, record_files
from seqmem.tests.records import lower
from seqmem.tests.submissions.test_submit import CHEAT, TASK, WHERE, lively

NEEDS_SANDBOX = pytest.mark.skipif(
    bool(sandbox_problem()), reason=f"no sandbox: {sandbox_problem()}"
)
HONEST = CHEAT.format(change="return self.embedding(inputs)")


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results" / "records" / TASK.replace("/", "_")


@NEEDS_SANDBOX
def test_code_stays_the_same_model_with_its_record_in_its_folder(
    seqmem_: Command, board: Path
) -> None:
    Path("net.py").write_text(HONEST)
    Path(".git").mkdir()
    assert seqmem_("submit", "net.py:build", "--name", "net", *WHERE).status == 0
    (path,) = record_files(board)
    Path(".git/index").write_text("changed by a commit")
    again = seqmem_("submit", "net.py:build", "--name", "net", *WHERE)
    assert again.status == 0, again.err
    assert "on the board already" in again.err
    ran = seqmem_("verify", str(path), "net.py:build", "--trust")
    assert ran.status == 0, ran.err
    # It can read neither results nor folders of tools.
    look = (
        "import os\nfor place in ('results', '.git'):\n    for _, _, files in os.walk({!r} + place)"
    )
    look += ":\n        assert not files\nnobody_said_this"
    Path("net.py").write_text(HONEST + look.format(f"{Path.cwd()}/"))
    ran = seqmem_("submit", "net.py:build", "--name", "other", *WHERE)
    assert ran.status == 1
    assert "NameError: name 'nobody_said_this'" in ran.err


@pytest.mark.parametrize("options", [pytest.param((), marks=NEEDS_SANDBOX), ("--trust",)], ids=len)
def test_code_is_known_by_what_it_reads(
    options: tuple[str, ...], seqmem_: Command, board: Path
) -> None:
    read = "open(__file__[:-6] + 'scale.txt').close()"
    Path("net.py").write_text(f"{HONEST}{read}\n")
    Path("scale.txt").write_text("1")
    with Path("data.bin").open("wb") as file:
        file.truncate(1 << 40)  # never read, so neither hashed nor copied
    submit = ("submit", "net.py:build", "--name", "net", *WHERE, *options)
    with torch.random.fork_rng():
        ran = seqmem_(*submit)
        assert ran.status == 0, ran.err
        assert "by the hash of net.py, scale.txt and the weights" in ran.err
        Path("train.log").write_text("epoch 1")
        assert "on the board already" in seqmem_(*submit).err
        Path("scale.txt").write_text("2")
        changed = seqmem_(*submit)
        assert changed.status == 2
        assert "of another model" in changed.err
        assert "the hash covers net.py, scale.txt and the weights" in changed.err
        (path,) = record_files(board)
        record = json.loads(path.read_text())
        del record["model"]["sha256_covers"]  # as in records of before
        path.write_text(json.dumps(record))
        for again in (submit, ("verify", str(path), "net.py:build", *options)):
            ran = seqmem_(*again)
            assert ran.status == 2
            assert "an older version of seqmem wrote the record" in ran.err
        record["model"]["format"] = "onnx"
        path.write_text(json.dumps(record))
        ran = seqmem_(*submit)
        assert "that is a model in onnx format, this one in python format" in ran.err


@pytest.mark.parametrize("model", ["text.onnx", pytest.param("net.py:build", marks=NEEDS_SANDBOX)])
def test_a_refusal_in_the_models_process_names_the_model(
    model: str, seqmem_: Command, board: Path
) -> None:
    Path("text.onnx").write_text("no model")
    Path("net.py").write_text("import os\n\ndef build(inputs, outputs):\n    os.abort()\n")
    ran = seqmem_("submit", model, "--name", "net", *WHERE)
    assert ran.status == 1
    assert ran.err.splitlines()[-1].startswith(f"seqmem: model '{model}': ")
    assert not record_files(board)


def test_trusted_code_is_more_than_its_weights(seqmem_: Command, board: Path) -> None:
    Path("net.py").write_text(HONEST)
    with torch.random.fork_rng():
        assert seqmem_("submit", "net.py:build", "--name", "net", *WHERE, "--trust").status == 0
        Path("net.py").write_text(CHEAT.format(change="return 2 * self.embedding(inputs)"))
        ran = seqmem_("submit", "net.py:build", "--name", "net", *WHERE, "--trust")
    assert ran.status == 2
    assert "of another model" in ran.err


@pytest.mark.parametrize("dtype", ["half", "bfloat16"])
def test_short_floats_pass_in_trusted_code(dtype: str, seqmem_: Command, board: Path) -> None:
    """Models with weights in 16 bits pass the checks, within the usual tolerances."""
    Path("net.py").write_text(HONEST.replace("return Net()", f"return Net().{dtype}()"))
    with torch.random.fork_rng():
        ran = seqmem_("submit", "net.py:build", "--name", "net", *WHERE, "--trust")
    assert ran.status == 0, ran.err
    (path,) = record_files(board)
    validity = from_json(path.read_text()).validity
    assert validity is not None
    assert max(check["tolerance"] for check in validity["checks"][:6]) <= 1e-4


@pytest.mark.parametrize("name", ["net ", "a  b", "lstm ", " net", "naïve", "net\n", "x" * 65])
def test_names_that_look_alike_are_refused(name: str, seqmem_: Command, board: Path) -> None:
    ran = seqmem_("submit", "none.onnx", "--name", name, *WHERE)
    assert ran.status == 2
    assert "a name has 1 to 64 of" in ran.err


def test_two_names_of_one_file_are_distinguished(seqmem_: Command, board: Path) -> None:
    Path("net.py").write_text(HONEST)
    with torch.random.fork_rng():
        seqmem_("submit", "net.py:build", "--name", "a b", *WHERE, "--trust")
        ran = seqmem_("submit", "net.py:build", "--name", "a_b", *WHERE, "--trust")
    assert ran.status == 2
    assert "is the record of 'a b'" in ran.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fifo.onnx"], "is not a file"),
        (["zero.onnx"], "is not a file"),
        (["gone.py:build"], "there is no file"),
        (["gone.module:build"], "there is no module 'gone'"),
        ([":"], "a factory is named file.py:function"),
        (["hf:folder", "--context", "3"], "leave it out"),
        (["none.onnx", "--memory", "nan"], "--memory nan: is not a number"),
        (["none.onnx", "--timeout", "nan"], "--timeout nan: is not a number"),
        (["none.onnx", "--memory", "1e12"], "is not in the range"),
        (["none.onnx", "--context", "9" * 30], "is not in the range"),
    ],
)
def test_wrong_input_is_status_2(
    arguments: list[str], says: str, seqmem_: Command, board: Path
) -> None:
    os.mkfifo("fifo.onnx")
    Path("zero.onnx").symlink_to("/dev/zero")
    ran = seqmem_("submit", *arguments, "--name", "net", *WHERE)
    assert ran.status == 2
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1


def test_the_command_in_a_record_is_complete(seqmem_: Command, board: Path) -> None:
    Path("net.py").write_text(HONEST)
    Path("net.toml").write_text('name = "net"\ncontext = 4\n')
    given = ["--manifest", "net.toml", "--memory", "3", "--timeout", "7.5", "--threads", "2"]
    with torch.random.fork_rng():
        ran = seqmem_("submit", "net.py:build", *WHERE, *given, "--trust")
        assert ran.status == 0, ran.err
        (path,) = record_files(board)
        command = from_json(path.read_text()).measurement["command"]
        path.unlink()
        assert seqmem_(*command.split()[1:]).status == 0  # and it runs
    for option in (*WHERE[2:], *given, "--device", "cpu", "--context", "--trust"):
        assert option in command.split()


def test_nothing_is_flagged_on_a_board_worse_than_chance(seqmem_: Command, board: Path) -> None:
    Path("bad.py").write_text(HONEST)  # 4.0 nats, where chance is 3.46
    Path("flat.py").write_text(CHEAT.format(change="return 0.1 * self.embedding(inputs)"))
    with torch.random.fork_rng():
        seqmem_("submit", "bad.py:build", "--name", "bad", *WHERE, "--trust")
        ran = seqmem_("submit", "flat.py:build", "--name", "flat", *WHERE, "--trust")
    assert ran.status == 0
    assert "to look at" not in ran.err


def test_a_record_does_not_choose_which_files_are_read(
    seqmem_: Command, board: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("others") / "secret.txt"
    secret.write_text("pass word\n" * 2000)
    Path("net.py").write_text(HONEST)
    Path("text.txt").write_text(secret.read_text())
    with torch.random.fork_rng():
        seqmem_("submit", "net.py:build", "--name", "net", *WHERE, "--trust")
        (path,) = record_files(board)
        record = json.loads(path.read_text())
        up = os.path.relpath(secret)
        for task in (f"text:{secret}", f"text:{up}?unit=char", "text:/**/*", "text:a/../../*"):
            record["task"]["id"] = task
            path.write_text(json.dumps(record))
            ran = seqmem_("verify", str(path), "net.py:build", "--trust")
            assert ran.status == 2
            assert "outside of this folder" in ran.err
        record["task"]["id"] = f"wikitext-103/vocabulary={secret}"
        path.write_text(json.dumps(record))
        ran = seqmem_("verify", str(path), "net.py:build", "--trust")
        assert ran.status == 2
        assert "pass word" not in ran.err
        record["task"]["id"] = "text:text.txt"
        path.write_text(json.dumps(record))
        ran = seqmem_("verify", str(path), "net.py:build", "--trust")
    assert "the losses cannot be compared" in ran.err


@pytest.mark.parametrize(
    ("lengths", "says"),
    [
        (range(1, 5001), "5,000 context lengths, 12,502,500 inputs together; at most 131,072 are"),
        ([1, 1 << 20], "has 2 context lengths, 1,048,577 inputs together; at most 131,072 are"),
    ],
)
def test_a_record_does_not_choose_how_much_is_measured_again(
    lengths: Sequence[int], says: str, seqmem_: Command, tmp_path: Path
) -> None:
    """Each context length takes time, and 5,000 of them took minutes."""
    record = json.loads(next((COMMITTED / "hidden-markov_dwell=20").glob("gru-*.json")).read_text())
    first, *_ = record["curve"]
    record["curve"] = [{**first, "k": k} for k in lengths]
    path = tmp_path / "long.json"
    path.write_text(json.dumps(record))
    ran = seqmem_("verify", str(path), "net.onnx")
    assert ran.status == 2
    assert says in ran.err


@pytest.mark.parametrize("width", [1e9, float("inf"), float("nan"), "wide", None])
def test_a_forged_width_confirms_nothing(width: object, seqmem_: Command, board: Path) -> None:
    """A record with very wide intervals would agree with everything."""
    Path("net.py").write_text(HONEST)
    with torch.random.fork_rng():
        seqmem_("submit", "net.py:build", "--name", "net", *WHERE, "--trust")
        (path,) = record_files(board)
        false = json.loads(path.read_text())
        lower(false, 1.0, *range(len(false["curve"])))
        for point in false["curve"]:
            point["half_width"] = width
        path.write_text(json.dumps(false))
        ran = seqmem_("verify", str(path), "net.py:build", "--trust")
    # JSON has neither infinity nor NaN: a file with one is not a record.
    assert ran.status == (1 if width == 1e9 else 2)
    assert "Traceback" not in ran.err
    assert list(board.glob("rescored-*")) == []


def test_a_record_in_short_floats_is_measured_again_in_them(
    seqmem_: Command, board: Path, tmp_path: Path
) -> None:
    ran = seqmem_("eval", "gru", "--task", TASK, "--k", "1,2,full", "--dtype", "bfloat16",
                  "--budget", "smoke")  # fmt: skip
    assert ran.status == 0, ran.err
    (path,) = record_files(board)
    (weights,) = tmp_path.rglob("weights.safetensors")
    ran = seqmem_("verify", str(path), str(weights))
    assert ran.status == 0, ran.err
    (new,) = board.glob("rescored-*.json")
    assert from_json(new.read_text()).environment["dtype"] == "bfloat16"


def test_a_model_that_reads_floats_is_accepted(seqmem_: Command, board: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs seqmem[onnx]")
    from seqmem.submissions.onnx.export import export_onnx

    task = load_task("adding-problem/T=5")
    export_onnx(lively("tcn", task), task.inputs, Path("net.onnx"))
    ran = seqmem_("submit", "net.onnx", "--name", "net", "--task", task.id, "--precision", "5%")
    assert ran.status == 0, ran.err
    wrong = seqmem_("submit", "net.onnx", "--name", "other", *WHERE)
    assert wrong.status == 1
    assert "the model reads vectors of floats (B, L, D), the task has" in wrong.err
