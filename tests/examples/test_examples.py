"""The examples run as they stand."""

import runpy
import sys
from pathlib import Path

import pytest

from seqmem.tests.command import Command

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.mark.slow
def test_the_notebook(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(EXAMPLES / "your_layer.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = "".join(map(str, outputs))
    assert "MinGRU on adding-problem/T=20, budget smoke" in shown
    assert "image/svg+xml" in shown
    assert "ContextNeed(" in shown
    assert "better than" in shown or "No difference is shown" in shown
    bars = [output.get("text", "") for output in outputs if output.get("name") == "stderr"]
    assert "train MinGRU on adding-problem/T=20:" in "".join(bars)


def test_a_model_trained_with_pytorch(seqmem_: Command, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    with torch.random.fork_rng():
        runpy.run_path(str(EXAMPLES / "pytorch_model.py"))["main"](steps=3)
    shown = capsys.readouterr().out
    assert shown.startswith("my-gru on adding-problem/T=20: mean squared error")
    assert "lstm is better than my-gru on adding-problem/T=20 at k = 8" in shown


def test_a_hugging_face_model(
    seqmem_: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny = pytest.importorskip("seqmem.tests.tiny_models")
    tokenizer = tiny.byte_level()
    tiny.save(tmp_path / "model", tiny.gpt2(len(tokenizer)), tokenizer)
    (tmp_path / "text.txt").write_text("\n".join(tiny.made_up(3000)))
    script = EXAMPLES / "hugging_face_model.py"
    monkeypatch.setattr(sys, "argv", [str(script), "model", "text.txt"])
    runpy.run_path(str(script), run_name="__main__")
    shown = capsys.readouterr().out
    assert shown.startswith("model on text:text.txt: perplexity per word")
    assert "loss_low" in shown
