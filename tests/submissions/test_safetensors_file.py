"""Loading trained baselines from their weights files alone; refusing any other file."""

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from seqmem.baselines.spec import parse_model
from seqmem.baselines.training.recipes import Recipe
from seqmem.errors import InputError, SubmissionError
from seqmem.runs.cell import plan_cell
from seqmem.runs.run_cell import trained_model
from seqmem.submissions.safetensors_file import load_baseline
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel

RECIPE = Recipe(
    steps=2, batch=4, k_train="full", learning_rate=1e-2, validate_every=2, options={"hidden": 4}
)

Header = dict[str, Any]


def trained(text: str, task: str, folder: Path, k_train: int | None = None) -> SequenceModel:
    """Return a model trained as `seqmem eval` trains it, which also writes its weights."""
    loaded = load_task(task)
    cell = plan_cell(parse_model(text), loaded, folder, k_train=k_train, seed=3, recipe=RECIPE)
    return trained_model(cell, loaded, lambda line: None)[0]


def weights_in(folder: Path) -> Path:
    (path,) = folder.rglob("weights.safetensors")
    return path


@pytest.mark.parametrize(
    ("text", "task", "k_train"),
    [
        ("marginal", "copy-memory/T=5", None),
        ("lstm:layers=2,tied=true", "hidden-markov/dwell=2", 4),
        ("rnn-stable:lambda_max=0.7", "adding-problem/T=5", None),
        ("tcn:tied=true", "hidden-markov/dwell=2", 7),
        ("tcn", "adding-problem/T=20", None),
        ("gcnn:dilation=1", "adding-problem/T=20", None),
        ("transformer:layers=1", "copy-memory/T=5", 6),
        ("lru:layers=1", "adding-problem/T=5", None),
        ("kneser-ney:order=3", "hidden-markov/dwell=2", None),
    ],
)
def test_the_file_alone_is_enough(
    text: str, task: str, k_train: int | None, tmp_path: Path
) -> None:
    model = trained(text, task, tmp_path, k_train)
    again, facts = load_baseline(weights_in(tmp_path))
    assert type(again) is type(model)
    assert not again.training
    assert again.receptive_field == model.receptive_field
    assert facts.label == text
    assert (facts.task, facts.task_version) == (task, load_task(task).version)
    assert facts.training["k_train"] == (k_train or "full")
    assert facts.training["seed"] == 3
    assert facts.architecture.inputs == load_task(task).inputs
    inputs = load_task(task).split("test").inputs[:40][None]
    with torch.inference_mode():
        torch.testing.assert_close(again(inputs), model.eval()(inputs), rtol=0, atol=0)


def test_records_do_not_hold_what_only_rebuilding_needs(tmp_path: Path) -> None:
    """A model loaded from disk has the same training facts as the one just trained."""
    task = load_task("copy-memory/T=5")
    cell = plan_cell(parse_model("gru"), task, tmp_path, recipe=RECIPE)
    _, first = trained_model(cell, task, lambda line: None)
    _, again = trained_model(cell, task, lambda line: None)
    assert again == json.loads(json.dumps(first))
    assert "made" not in again


# Refused files: each case changes the header of a correct file.


def read(path: Path) -> tuple[Header, bytes]:
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def write(path: Path, header: Header, body: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def content(change: Callable[[Any], object]) -> Callable[[Header], object]:
    """A change of seqmem's part of the metadata."""

    def apply(header: Header) -> None:
        inner = json.loads(header["__metadata__"]["seqmem"])
        change(inner)
        header["__metadata__"]["seqmem"] = json.dumps(inner)

    return apply


def architecture(**values: object) -> Callable[[Header], object]:
    return content(lambda inner: inner["made"]["architecture"].update(values))


def option(name: str, value: object) -> Callable[[Header], object]:
    return content(lambda inner: inner["made"]["architecture"]["options"].update({name: value}))


def reshaped(header: Header) -> None:
    header["leave.weight"]["shape"] = header["leave.weight"]["shape"][::-1]


def retyped(header: Header) -> None:
    header["leave.bias"]["dtype"] = "I32"


def renamed(header: Header) -> None:
    header["leave.extra"] = header.pop("leave.bias")


def no_metadata(header: Header) -> None:
    del header["__metadata__"]


WRONG: dict[str, tuple[Callable[[Header], object], str]] = {
    "no metadata": (no_metadata, "was not written by `seqmem eval`"),
    "no JSON": (
        lambda header: header["__metadata__"].update(seqmem="{"),
        "was not written by `seqmem eval`",
    ),
    "a list": (
        lambda header: header["__metadata__"].update(seqmem="[]"),
        "was not written by `seqmem eval`",
    ),
    "deep JSON": (
        lambda header: header["__metadata__"].update(seqmem="[" * 99_999),
        "was not written by `seqmem eval`",
    ),
    "another label": (
        content(lambda inner: inner["made"].update(model="lstm:hidden=8")),
        "names its model 'lstm:hidden=8', but holds another architecture",
    ),
    "task that moves the cursor": (
        content(lambda inner: inner["made"]["task"].update(id="\x1b[2J")),
        r"holds '\\x1b\[2J', which is not a task id",
    ),
    "older": (content(lambda inner: inner.pop("made")), "by a version of seqmem that did not yet"),
    "unknown model": (architecture(name="lsmt"), "holds the weights of 'lsmt', which is no"),
    "a model that is a list": (architecture(name=[]), "metadata of an unknown form"),
    "another model": (
        content(
            lambda inner: inner["made"].update(
                model="rnn", architecture={**inner["made"]["architecture"], "name": "rnn"}
            )
        ),
        r"holds 'layers\..*' as F32 \[16.*\], the model has F32 \[4.*\]",
    ),
    "unknown option": (option("wide", 3), "unknown option 'wide'"),
    "option out of range": (option("hidden", 0), "hidden=0 is out of range"),
    "option of two kinds": (option("tied", "false,dropout=0.1"), "'dropout' is given twice"),
    "option of another kind": (option("hidden", "4"), "holds unknown options of lstm"),
    "other size": (option("hidden", 5), r"the model has F32 \[20, 5\]|has F32 \[32, 5\]"),
    "huge": (option("hidden", 99_999), r"holds '.*' as F32 .* the model has F32"),
    "deep": (option("layers", 99_999), "holds 7 tensors, too few for 99,999 layers"),
    "no architecture": (
        content(lambda inner: inner["made"].pop("architecture")),
        "metadata of an unknown form",
    ),
    "no inputs": (architecture(inputs={}), "metadata of an unknown form"),
    "inputs of no kind": (architecture(inputs={"pixels": 3}), "metadata of an unknown form"),
    "inputs of two kinds": (
        architecture(inputs={"vocabulary": 32, "dimension": 2}),
        "inputs of two kinds",
    ),
    "inputs without end": (
        architecture(inputs={"vocabulary": 10**12}),
        "instead of a whole number from 1 to 10,000,000",
    ),
    "outputs that are true": (architecture(outputs=True), "holds True instead of a whole number"),
    "context without end": (architecture(context=10**9), "holds 1000000000 instead of"),
    "task that is a number": (
        content(lambda inner: inner["made"].update(task=3)),
        "metadata of an unknown form",
    ),
    "reshaped": (reshaped, r"holds 'leave.weight' as F32 \[4, 32\], the model has F32 \[32, 4\]"),
    "retyped": (retyped, r"holds 'leave.bias' as I32 \[32\], the model has F32 \[32\]"),
    "seed": (content(lambda inner: inner.update(seed="x")), "metadata of an unknown form"),
    "budget": (content(lambda inner: inner.update(budget="\x1b[2K")), "unknown form"),
    "recipe": (content(lambda inner: inner.update(recipe={"\u202e": 1})), "cannot be printed"),
    "long recipe": (
        content(lambda inner: inner.update(recipe={"note": "a" * (1 << 16)})),
        "the facts about the training take .* bytes, more than 65,536",
    ),
    "result": (content(lambda inner: inner.update(result={"loss": math.nan})), "unknown form"),
    "half a character": (content(lambda inner: inner.update(note="\ud800")), "unknown form"),
    "renamed": (renamed, "lacks 1 tensors, 'leave.bias' among them"),
}


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("right")
    trained("lstm", "hidden-markov/dwell=2", folder)
    return weights_in(folder)


@pytest.mark.parametrize("case", WRONG)
def test_refused_for_its_own_reason(case: str, right: Path, tmp_path: Path) -> None:
    change, says = WRONG[case]
    header, body = read(right)
    change(header)
    write(tmp_path / "w.safetensors", header, body)
    with pytest.raises(SubmissionError, match=says) as caught:
        load_baseline(tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "w.safetensors") in str(caught.value)


def test_damaged_files(right: Path, tmp_path: Path) -> None:
    data = right.read_bytes()
    path = tmp_path / "w.safetensors"
    for damaged in (b"", b"text", data[:7], data[:100], data[:-1], data + b"\0", bytes(999)):
        path.write_bytes(damaged)
        with pytest.raises(SubmissionError, match="is not a safetensors file, or is cut short"):
            load_baseline(path)
    path.write_bytes(data[:-5] + bytes([data[-5] ^ 64]) + data[-4:])
    with pytest.raises(SubmissionError, match="was changed or damaged after it was written"):
        load_baseline(path)
    path.write_bytes(data.replace(b'"sha256"', b'"sha255"'))
    with pytest.raises(SubmissionError, match="lacks the hash"):
        load_baseline(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(SubmissionError, match="was not written by `seqmem eval`"):
        load_baseline(path)
    with pytest.raises(InputError, match="there is no such file"):
        load_baseline(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="there is no such file"):
        load_baseline(tmp_path)


def test_too_many_undilated_convolutions_are_not_built(tmp_path: Path) -> None:
    trained("gcnn:dilation=1", "adding-problem/T=5", tmp_path)
    header, body = read(weights_in(tmp_path))
    architecture(context=1 << 20)(header)
    write(tmp_path / "w.safetensors", header, body)
    with pytest.raises(SubmissionError, match="too few for 262,143 layers"):
        load_baseline(tmp_path / "w.safetensors")


def test_tables_that_do_not_fit(tmp_path: Path) -> None:
    trained("kneser-ney:order=2", "hidden-markov/dwell=2", tmp_path)
    path = weights_in(tmp_path)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    for name in ("keys", "begins", "words"):
        save_file({**tensors, name: tensors[name][1:].clone()}, path, metadata)
        with pytest.raises(SubmissionError, match="n-gram tables whose lengths do not fit"):
            load_baseline(path)
    save_file({**tensors, "keys": tensors["keys"][None].clone()}, path, metadata)
    with pytest.raises(SubmissionError, match=r"holds 'keys' as I64 \[1, \d+\]"):
        load_baseline(path)
    save_file({**tensors, "rest": torch.zeros(1)}, path, metadata)
    with pytest.raises(
        SubmissionError, match="besides the model's tensors it holds 1 tensors, 'rest' among them"
    ):
        load_baseline(path)
