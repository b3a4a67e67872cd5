"""Hugging Face models through `seqmem submit`: checked on their own tokens, and identified."""

from pathlib import Path

import pytest
import torch

from seqmem.leaderboard.record import from_json
from seqmem.tests.command import Command, record_files

tiny = pytest.importorskip("seqmem.tests.tiny_models", reason="needs seqmem[hf]")

WHERE = ["--task", "text:text.txt", "--k", "1,2,4", "--precision", "20%"]


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("\n".join(tiny.made_up(1000)) + "\n")
    return tmp_path / "results" / "records"


@pytest.mark.parametrize("longest", [24, 512])
@pytest.mark.parametrize("make", ["gpt2", "llama"])
def test_an_honest_model_is_accepted_whatever_its_longest_input(
    make: str, longest: int, seqmem_: Command, board: Path
) -> None:
    """The gate must not give a model longer inputs than it reads."""
    tokenizer = tiny.byte_level()
    tiny.save(Path("net"), getattr(tiny, make)(len(tokenizer), longest), tokenizer)
    ran = seqmem_("submit", "hf:net", "--name", "net", *WHERE)
    assert ran.status == 0, ran.err
    (path,) = record_files(board)
    record = from_json(path.read_text())
    assert record.validity is not None
    made = {c["name"]: c for c in record.validity["checks"]}
    assert {"finite", "causality", "batch", "repeat", "twins", "window"} <= set(made)
    assert all(check["passed"] and check["compared"] for check in made.values())
    assert record.model["longest_input"] == longest
    assert record.model["bos_rule"].startswith("no token precedes a window")
    words, nats = record.extras["words scored"], record.extras["nats per byte, k=2"]
    point = record.point(2)
    assert point is not None
    assert nats * record.extras["bytes scored"] == pytest.approx(point.loss.mean * words)


@pytest.mark.slow
def test_another_tokenizer_makes_another_model(seqmem_: Command, board: Path) -> None:
    plain, begun = tiny.byte_level(), tiny.byte_level(bos=True)
    for name, tokenizer in (("plain", plain), ("begun", begun)):
        tiny.save(Path(name), tiny.gpt2(len(plain)), tokenizer)
    assert seqmem_("submit", "hf:plain", "--name", "net", *WHERE).status == 0
    again = seqmem_("submit", "hf:plain", "--name", "net", *WHERE)
    assert "on the board already" in again.err
    other = seqmem_("submit", "hf:begun", "--name", "net", *WHERE)
    assert other.status == 2
    assert "of another model" in other.err
    (path,) = record_files(board)
    ran = seqmem_("verify", str(path), "hf:begun")
    assert ran.status == 2
    assert "is not the one of" in ran.err
    ran = seqmem_("verify", str(path), "hf:plain", "--seed", "3")
    assert ran.status == 0, ran.err


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_floats_on_disk_pass(dtype: torch.dtype, seqmem_: Command, board: Path) -> None:
    tokenizer = tiny.byte_level()
    tiny.save(Path("net"), tiny.gpt2(len(tokenizer), 64).to(dtype), tokenizer)
    ran = seqmem_("submit", "hf:net", "--name", "net", *WHERE)
    assert ran.status == 0, ran.err
    assert "to look at" not in ran.err


def test_a_model_whose_positions_are_scaled_by_length_is_accepted(
    seqmem_: Command, board: Path
) -> None:
    tokenizer = tiny.byte_level()
    tiny.save(Path("net"), tiny.phi3(len(tokenizer), 40), tokenizer)
    where = ["--task", "text:text.txt", "--k", "1,24", "--precision", "20%"]
    ran = seqmem_("submit", "hf:net", "--name", "net", *where)
    assert ran.status == 0, ran.err
