"""A model with a tokenizer in a process: the same numbers, within limits, and nothing believed."""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqmem.errors import CellError, InputError, SubmissionError
from seqmem.submissions.hugging_face.files import find_files
from seqmem.submissions.hugging_face.measure import measure_words
from seqmem.submissions.hugging_face.remote import RemoteTokenModel
from seqmem.submissions.process.limits import Limits
from seqmem.submissions.process.protocol import Header
from seqmem.submissions.process.sandbox import sandbox_problem
from seqmem.tasks import load_task
from seqmem.tests import tiny_models as tiny
from seqmem.tests.processes import need_sandbox, nothing_left

LIMITS = Limits(memory_bytes=4 << 30, start_seconds=120, call_seconds=30)
# Every q becomes a million of b, which are one word.
GROWS = [
    {"type": "Replace", "pattern": {"String": "q"}, "content": "q" * 1000},
    {"type": "Replace", "pattern": {"String": "q"}, "content": "b" * 1000},
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = tiny.byte_level(bos=True)
    place = tmp_path_factory.mktemp("hf") / "own"
    return tiny.save(place, tiny.llama(len(tokenizer), 64), tokenizer)


def remote(folder: Path, **options: Any) -> RemoteTokenModel:
    given = {"limits": LIMITS, **options}
    return RemoteTokenModel(find_files(folder, "hf:own"), **given)


@pytest.mark.parametrize("sandbox", [True, False], ids=["sandbox", "limits"])
def test_the_same_as_in_this_process(saved: Path, sandbox: bool, tmp_path: Path) -> None:
    if sandbox:
        need_sandbox()
    here = tiny.load(saved)
    path = tmp_path / "book.txt"
    path.write_text("\n".join(tiny.made_up(300)) + "\n", encoding="utf-8")
    task = load_task(f"text:{path}")
    with remote(saved, sandbox=sandbox) as there:
        assert there.facts() == json.loads(json.dumps(here.facts()))
        for name in ("vocabulary", "longest", "regimes", "bos_tokens", "bos_rule"):
            assert getattr(there, name) == getattr(here, name)
        assert there.reads_out_last == here.reads_out_last
        texts = ["", " the cat", "\n", "naïve … 𝄞 \x00", " the cat"]
        assert there.encode(texts) == here.encode(texts)
        assert there.encode([]) == []
        found = measure_words(there, task, [1, 3, 9]).curve
    expected = measure_words(here, task, [1, 3, 9]).curve
    for k in (1, 3, 9):
        np.testing.assert_allclose(found.at(k).losses, expected.at(k).losses, rtol=1e-5, atol=1e-5)
    with pytest.raises(CellError, match="is not running"):
        there.encode(["a"])


def test_errors_of_loading_come_from_the_process(saved: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "own"))
    tiny.change(folder / "config.json", num_hidden_layers=1, layer_types=None)
    with pytest.raises(SubmissionError, match=r"^hf:own: the model .* does not use 9 tensors"):
        remote(folder).__enter__()


def test_memory_is_limited(saved: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "own"))
    tiny.change(folder / "config.json", vocab_size=10**9)
    with pytest.raises(SubmissionError, match=r"does not load in 4,096 MiB of memory"):
        remote(folder).__enter__()


def test_a_tokenizer_that_does_not_end_is_killed(saved: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "own"))
    tiny.change(
        folder / "tokenizer.json",
        normalizer={"type": "Sequence", "normalizers": GROWS},
        pre_tokenizer=None,
    )
    limits = Limits(memory_bytes=4 << 30, start_seconds=120, call_seconds=1)
    with nothing_left(str(tmp_path)), remote(folder, limits=limits) as model:
        began = time.monotonic()
        with pytest.raises(CellError, match="did not answer within 1 s"):
            model.encode(["q" * 20])
        assert time.monotonic() - began < 30


def test_a_tokenizer_may_not_flood_this_process(saved: Path) -> None:
    """However many tokens the process sends, as few are accepted as the text can have."""
    with remote(saved, sandbox=False) as model:
        assert model._child is not None
        asked: list[int] = []
        fetch = model._child.fetch

        def watched(header: Header, payload: Sequence[bytes], most: int) -> bytearray:
            asked.append(most)
            return fetch(header, payload, 8)

        model._child.fetch = watched  # type: ignore[method-assign,assignment]
        with pytest.raises(CellError, match="where at most 8 are possible"):
            model.encode(["ab", "c"])
        assert asked == [8 * (2 + 16 * 3 + 64 * 2)]


ANSWERS: dict[str, Callable[[], list[int]]] = {
    "too few": lambda: [1],
    "no tokens": lambda: [2, 1],
    "more than counted": lambda: [1, 1, 5, 6, 7],
    "a negative count": lambda: [-1, 2, 5],
    "a negative token": lambda: [1, 1, 5, -5],
    "an endless count": lambda: [2**62, 2**62, 5],
}


@pytest.mark.parametrize("name", ANSWERS)
def test_tokens_are_not_believed(name: str, saved: Path) -> None:
    model = remote(saved, sandbox=False)
    model.vocabulary = 320

    class Sends:
        def fetch(self, *request: object) -> bytearray:
            return bytearray(np.array(ANSWERS[name](), np.int64).tobytes())

    model._child = Sends()  # type: ignore[assignment]
    with pytest.raises(CellError, match="sent other tokens than it announced"):
        model.encode(["ab", "c"])


def test_tokens_beyond_the_vocabulary(saved: Path) -> None:
    model = remote(saved, sandbox=False)
    model.vocabulary = 5

    class Sends:
        def fetch(self, *request: object) -> bytearray:
            return bytearray(np.array([1, 1, 4, 5], np.int64).tobytes())

    model._child = Sends()  # type: ignore[assignment]
    with pytest.raises(InputError, match="returns token 5, and the model has 5"):
        model.encode(["ab", "c"])


REPORT = {
    "architecture": "Own",
    "tokenizer": "Own",
    "vocabulary": 10,
    "longest_input": None,
    "regimes": [],
    "bos_tokens": [],
    "bos_rule": "none",
    "has_bos": False,
    "reads_out_last": True,
    "parameters": 5,
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"vocabulary": 10**12},
        {"vocabulary": True},
        {"longest_input": 0},
        {"bos_tokens": [1] * 65},
        {"bos_rule": "\x1b[31m"},
        {"architecture": None},
        {"parameters": -1},
    ],
    ids=str,
)
def test_reports_are_not_believed(
    wrong: dict[str, Any], saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = remote(saved, sandbox=False)
    report = {**REPORT, **wrong}
    monkeypatch.setattr(model, "_start", lambda *request: {"model": report})
    with pytest.raises(SubmissionError, match=f"hf:own: its process reports .*{next(iter(wrong))}"):
        model.__enter__()


@pytest.mark.skipif(bool(sandbox_problem()), reason="needs a working sandbox")
def test_only_the_models_files_are_there(saved: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "own"))
    (folder / "secret.txt").write_text("secret")
    command = remote(folder, sandbox=True)._command()
    assert not [word for word in command if "secret" in word]
    shown = [word for word in command if word.startswith(str(folder))]
    assert {Path(word).name for word in shown} == {
        path.name for path in find_files(folder, "").files
    }
