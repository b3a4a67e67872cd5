"""The command line as a whole: help, wrong input."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqmem import submit
from seqmem.cli.exits import log
from seqmem.tests.command import QUICK, Command, record_files


@pytest.mark.parametrize("command", ["", *submit.cli.commands])
def test_every_command_has_help_with_an_example(seqmem_: Command, command: str) -> None:
    ran = seqmem_(*([command] if command else []), "--help")
    assert ran.status == 0
    assert f"Example: seqmem {command}" in ran.out


def test_help_imports_nothing_heavy() -> None:
    heavy = {"torch", "pandas", "datasets", "numpy", "scipy", "tabulate"}
    code = f"import sys, seqmem.submit; print(*({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("frob", "No such command 'frob'"),
        ("eval", "Missing argument"),
        ("eval lstm --frob", "--frob"),
        ("eval lstm", "no task is given"),
        (
            "eval lstm --task copy-memory/T=5 --suite smoke",
            "--task copy-memory/T=5 and --suite smoke: name either",
        ),
        ("eval lstm --task copy-memory/T=5 --exact --precision 1%", "leave out one"),
        ("eval lstm --task copy-memory/T=5 --all-k --k 1,2", "--k 1,2 only these: leave out one"),
        ("eval lsmt --task copy-memory/T=5", "did you mean lstm"),
        ("eval lstm:hiden=3 --task copy-memory/T=5", "unknown option 'hiden'"),
        ("eval lstm --task copy-memry/T=5", "did you mean copy-memory"),
        ("eval lstm --task copy-memory/T=0", "out of range"),
        ("eval lstm --suite smoek", "did you mean smoke"),
        ("eval lstm --task copy-memory/T=5 --budget huge", "unknown budget 'huge'"),
        ("eval lstm --task copy-memory/T=5 --k 0", "'0' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --k -3", "'-3' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --k ten", "'ten' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --k 1,,2", "'' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --k 1.5", "'1.5' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --k-train 0", "'0' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --precision 0", "'0' is not a precision: a positive"),
        ("eval lstm --task copy-memory/T=5 --precision -1%", "'-1%' is not a precision"),
        ("eval lstm --task copy-memory/T=5 --precision 1e-9%", "less than the rounding error"),
        ("eval lstm --task copy-memory/T=5 --dtype float16", "'float16' is not one of"),
        ("eval lstm --task copy-memory/T=5 --k-train diagonal,x", "'x' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --k-train diagonals", "full, or diagonal"),
        ("eval lstm --task copy-memory/T=5 --k diagonal", "'diagonal' is not a context length"),
        ("eval lstm --task copy-memory/T=5 --state rest", "'rest' is not one of"),
        ("eval lstm --task copy-memory/T=5 --jobs 0", "0 is not in the range"),
        ("eval lstm --task copy-memory/T=5 --jobs two", "'two' is not a valid integer"),
        ("eval lstm --task copy-memory/T=5 --seed -1", "not in the range"),
        ("eval lstm --task copy-memory/T=5 --seed x", "not a valid integer"),
        ("eval lstm --task copy-memory/T=5 --format xml", "'xml' is not one of"),
        ("eval lstm --task copy-memory/T=5 --data-dir nowhere", "no such directory"),
        (
            "eval lstm --task wikitext-2 --data-dir .",
            "train.txt or wiki.train.tokens (or .xz, .gz) is not in",
        ),
        ("eval lstm --task copy-memory/T=5 --results file", "cannot be written"),
        ("eval lstm:tied=true --task adding-problem/T=5", "tied=true needs ids"),
        ("eval kneser-ney --task copy-memory/T=5", "predicts the next token of its input"),
        ("eval lru:state=0 --task copy-memory/T=5", "out of range: from 1"),
        ("eval tcn:levels=40 --task copy-memory/T=5", "out of range: from 0 to 20"),
        ("leaderboard -o nowhere/x", "cannot be written"),
        ("leaderboard --records nowhere", "no such file or folder"),
        ("leaderboard --task nope", "unknown task among the records 'nope'"),
    ],
)
def test_a_wrong_command_line_costs_one_line(
    seqmem_: Command, tmp_path: Path, arguments: str, message: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    ran = seqmem_(*arguments.split())
    assert ran.status == 2
    assert ran.out == ""
    assert message in ran.err
    assert ran.err.count("\n") == 1
    assert not record_files(tmp_path)


def test_a_wider_field_than_k_train_is_refused(seqmem_: Command) -> None:
    ran = seqmem_("eval", "tcn:levels=4", *QUICK, "--k-train", "8")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "sees 61 inputs" in ran.err


def test_no_gpu_is_one_line(seqmem_: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    ran = seqmem_("eval", "lstm", *QUICK, "--device", "cuda")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "no GPU" in ran.err


def test_wrong_input_is_found_before_training(seqmem_: Command, tmp_path: Path) -> None:
    ran = seqmem_("eval", "lstm", *QUICK, "--task", "wikitext-2", "--data-dir", str(tmp_path))
    assert ran.status == 2
    assert "trained" not in ran.err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437"])
def test_output_has_replacements_where_the_terminal_lacks_characters(encoding: str) -> None:
    command = [sys.executable, "-m", "seqmem", "leaderboard", "--suite", "core"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert b"Traceback" not in done.stderr
    assert b"copy-memory/T=30" in done.stdout


def test_a_user_without_a_home_folder(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("some words in a line\n" * 300)
    command = [sys.executable, "-c", WITHOUT_HOME, "eval", "marginal", "--task", "text:t.txt"]
    command += ["--budget", "smoke", "--k", "full"]
    names = ("HOME", "SEQMEM_CACHE", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment["TMPDIR"] = str(tmp_path / "temporary")
    (tmp_path / "temporary").mkdir()
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, env=environment, check=True, text=True
    )
    assert "marginal" in done.stdout
    assert sorted(os.listdir(tmp_path)) == ["results", "t.txt", "temporary"]
    assert os.listdir(tmp_path / "temporary") == []


WITHOUT_HOME = """
import pwd

def unknown(*_):
    raise KeyError("no such user")

pwd.getpwuid = pwd.getpwnam = unknown
from seqmem.submit import main
main()
"""


def test_a_name_that_is_no_text_is_refused(seqmem_: Command) -> None:
    ran = seqmem_("eval", "marginal", "--task", "text:caf\udce9.txt")
    assert ran.status == 2
    assert ran.err == "seqmem: text:caf\\udce9.txt: is not UTF-8; rename the file or folder\n"


def test_a_tilde_in_a_path_is_the_home_folder(
    seqmem_: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    ran = seqmem_("leaderboard", "--task", "copy-memory/T=30", "--output=~/board.txt")
    assert ran.status == 0
    assert os.listdir(tmp_path) == ["home"]
    assert os.listdir(tmp_path / "home") == ["board.txt"]


def test_messages_do_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log("file \x1b[2K\u202e\r.json: λ\n second line")
    assert capsys.readouterr().err == "file \\x1b[2K\\u202e\\r.json: λ\n second line\n"
