"""The WikiText tasks on the real corpora."""

import time
from pathlib import Path

import numpy as np
import pytest

from seqmem.baselines.spec import parse_model
from seqmem.errors import InputError
from seqmem.measuring.settings import MeasurementSettings
from seqmem.runs.cell import plan_cell
from seqmem.runs.run_cell import run_cell
from seqmem.tasks import load_task
from seqmem.tasks.data.wikitext_files import (
    WIKITEXT_2,
    WIKITEXT_103,
    load_corpus,
)


def test_wikitext_2(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQMEM_CACHE", str(tmp_path))
    corpus = load_corpus(WIKITEXT_2)
    assert {split: len(ids) for split, ids in corpus.ids.items()} == {
        "train": 2_088_628,
        "valid": 217_646,
        "test": 245_569,
    }
    assert len(corpus.words) == 33_278
    assert [len(corpus.articles[split]) for split in ("train", "valid", "test")] == [600, 60, 60]
    began = time.monotonic()
    again = load_corpus(WIKITEXT_2)
    assert time.monotonic() - began < 1
    assert np.array_equal(again.ids["test"], corpus.ids["test"])


def test_wikitext_103_without_its_training_split(data: Path) -> None:
    if (data / "wikitext-103" / "train.txt.xz").exists():
        pytest.skip("has the training split")
    with pytest.raises(InputError, match=r"wikitext-103: train\.txt or wiki\.train\.tokens"):
        load_task("wikitext-103").split("test")
    task = load_task("wikitext-103/vocabulary=valid")
    test = task.split("test")
    assert len(test) == 245_568
    assert len(set(test.blocks.tolist())) == 60
    assert 0 < task.chance() < np.log(task.outputs)
    with pytest.raises(InputError, match="has no training split, so nothing can be trained on it"):
        task.train(0, 0)
    assert WIKITEXT_103.splits["train"]["tokens"] == 103_227_021


def test_wikitext_103_with_a_vocabulary_of_a_file(data: Path, tmp_path: Path) -> None:
    for count in (1, 2):
        (tmp_path / "words").write_text("".join(f"{w}\n" for w in ("the", "of")[:count]))
        task = load_task(f"wikitext-103/vocabulary={tmp_path}/words")
        assert task.outputs == count + 2
        assert len(task.split("test")) == 245_568
    hashes = {load_task(f"wikitext-103/vocabulary={v}").data_hash for v in (tmp_path / "words",)}
    assert load_task("wikitext-103/vocabulary=valid").data_hash not in hashes


def test_only_what_needs_no_training_is_planned_on_it(data: Path, tmp_path: Path) -> None:
    task = load_task("wikitext-103/vocabulary=valid")
    with pytest.raises(InputError, match="nothing can be trained on it"):
        plan_cell(parse_model("lstm"), task, tmp_path)
    measuring = MeasurementSettings(contexts=(1, "full"))
    cell = plan_cell(parse_model("marginal"), task, tmp_path, measuring=measuring)
    record = run_cell(cell, task, lambda line: None)
    assert record.curve[0].loss.mean == pytest.approx(task.chance(), rel=0.02)


@pytest.mark.parametrize("given", ["wikitext-103/vocabulary=gone.txt", "wikitext-103/T=3"])
def test_a_wrong_id(data: Path, given: str) -> None:
    with pytest.raises(InputError, match=r"gone\.txt cannot be read|unknown parameter 'T'"):
        load_task(given).split("test")
