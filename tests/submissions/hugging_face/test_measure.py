"""The record of a model with a tokenizer of its own."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from seqmem.leaderboard.record import Record, from_json, to_json
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.tables.board_table import board_text
from seqmem.measuring.record import make_record
from seqmem.measuring.settings import MeasurementSettings
from seqmem.submissions.hugging_face.measure import measure_hugging_face
from seqmem.submissions.hugging_face.model import HuggingFaceModel
from seqmem.submissions.opening import TRAINED_OUTSIDE
from seqmem.tasks import load_task
from seqmem.tasks.task import Task
from seqmem.tests import tiny_models as tiny

NAME = "own"


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    path = tmp_path_factory.mktemp("text") / "book.txt"
    path.write_text("\n".join(tiny.made_up(300)) + "\n", encoding="utf-8")
    return load_task(f"text:{path}")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceModel:
    tokenizer = tiny.byte_level(bos=True)
    place = tmp_path_factory.mktemp("hf") / "own"
    return tiny.load(tiny.save(place, tiny.llama(len(tokenizer), 40), tokenizer))


def measured(model: HuggingFaceModel, task: Task, **other: Any) -> tuple[Record, list[str]]:
    """A record, made as for a submission but without the gate, and the lines reported."""
    lines: list[str] = []
    settings = replace(MeasurementSettings(contexts=(1, 3, 64, "full")), **other)
    found = measure_hugging_face(model, NAME, task, settings, lines.append)
    facts = {"name": NAME, "label": NAME, "options": {}, **model.facts()}
    record = make_record(model, found, facts, TRAINED_OUTSIDE, task, settings, lines.append)
    return record, lines


def test_the_record(model: HuggingFaceModel, task: Task) -> None:
    record, lines = measured(model, task)
    assert from_json(to_json(record)) == record
    assert [point.k for point in record.curve] == [1, 3]
    assert set(record.measurement["failed"]) == {"64", "full"}
    assert [line for line in lines if line.startswith("k = 64 is not measured: a window of 64")]
    assert lines[-1].startswith("measured at 2 contexts")
    assert record.model["label"] == NAME
    assert record.model["longest_input"] == 40
    assert record.model["parameters"] == sum(w.numel() for w in model.parameters())
    assert len(record.model["weights_sha256"]) == 64
    assert "begins with '<|end|>'" in record.measurement["window"]
    assert record.measurement["reference"] == "overlapping pieces, 40 tokens"
    assert str(Path(model.given[3:]).parent) not in to_json(record)
    assert NAME in board_text(boards([record]), "table")


def test_per_word_and_per_byte_add_up(model: HuggingFaceModel, task: Task) -> None:
    record, _ = measured(model, task)
    extras = record.extras
    words, size = extras["words scored"], extras["bytes scored"]
    assert words == record.measurement["targets"] == len(task.split("test"))
    for point in record.curve:
        per_byte = extras[f"nats per byte, k={point.k}"]
        assert per_byte * size == pytest.approx(point.loss.mean * words, rel=1e-9)
        bits = extras[f"bits per byte, k={point.k}"]
        assert bits == pytest.approx(per_byte / math.log(2), rel=1e-9)
    pieces = extras["nats per word, overlapping pieces"]
    assert extras["nats per byte, overlapping pieces"] * size == pytest.approx(pieces * words)
    assert "full" not in "".join(extras)


def test_full_is_measured_where_it_fits(task: Task) -> None:
    tokenizer = tiny.byte_level()
    model = HuggingFaceModel(tiny.gpt2(len(tokenizer), 512), tokenizer, "hf:tiny")
    record, _ = measured(model, task, contexts=(2, "full"))
    full = record.point("full")
    assert full is not None
    assert not record.measurement["failed"]
    assert record.measurement["full"] == "whole sequences"
    per_byte = record.extras["nats per byte, full"] * record.extras["bytes scored"]
    assert per_byte == pytest.approx(full.loss.mean * record.extras["words scored"])


def test_shorter_floats(model: HuggingFaceModel, task: Task) -> None:
    """Neither the model nor the hash of its weights changes."""
    usual, _ = measured(model, task, contexts=(3,))
    record, _ = measured(model, task, contexts=(3,), dtype="bfloat16")
    assert record.environment["dtype"] == "bfloat16"
    assert record.model["weights_sha256"] == usual.model["weights_sha256"]
    assert {w.dtype for w in model.parameters()} == {torch.float32}
    short, long = (found.curve[0].loss.mean for found in (record, usual))
    assert short != long
    assert short == pytest.approx(long, rel=0.05)
