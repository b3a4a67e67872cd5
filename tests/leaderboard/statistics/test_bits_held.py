"""Bits held: models with a known, limited memory come out at what they hold."""

import io
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from seqmem.api.model_curve import ModelCurve
from seqmem.leaderboard.agreement import disagreeing
from seqmem.leaderboard.page.data import page_data
from seqmem.leaderboard.record import Record, RecordError, from_json, to_json
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.statistics.bits_held import bits_held, bits_of_row, most_bits
from seqmem.leaderboard.tables.board_table import board_text
from seqmem.leaderboard.tables.flat import flat
from seqmem.measuring.record import make_record, measure_model
from seqmem.measuring.settings import MeasurementSettings
from seqmem.tasks.associative_recall import AssociativeRecall
from seqmem.tasks.copy_memory import CopyMemory
from seqmem.tasks.long_memory import LongMemory
from seqmem.tasks.model import FullOutputs, SequenceModel
from seqmem.tasks.selective_copy import SelectiveCopy
from seqmem.tasks.state_tracking import StateTracking
from seqmem.tasks.task import Context, Task
from seqmem.tests.memory_oracles import AutomatonOracle, SelectiveOracle, TableOracle
from seqmem.tests.oracles import CopyOracle
from seqmem.tests.records import FAST, board_of, recalled
from seqmem.tests.records import make_record as made


def record_of(model: SequenceModel, task: Task, *contexts: Context) -> Record:
    settings = MeasurementSettings(contexts=(*contexts, "full"), precision=None)
    measured = measure_model(model, "oracle", task, settings)
    facts = {"name": "oracle", "label": "oracle"}
    training = {"k_train": "full", "budget": "none", "seed": 0}
    return make_record(model, measured, facts, training, task, settings, lambda line: None)


@pytest.mark.parametrize("pairs", [1, 3, 8, 60])
def test_a_table_holds_the_pairs_that_are_in_it(pairs: int) -> None:
    """The different keys among the last pairs, on average, each with a value of four bits."""
    task = AssociativeRecall(15, 16, 0)
    record = record_of(TableOracle(task, pairs), task, 9)
    # The expected number of different keys among the last pairs, of n so far.
    held = [15 * (1 - (14 / 15) ** min(pairs, n)) for n in range(task.pairs)]
    found = bits_held(record)
    assert found is not None
    assert found.interval is not None
    low, high = found.interval
    assert abs(found.bits - 4 * np.mean(held)) < high - low  # four standard errors
    assert low < found.bits < high
    assert high - low < 0.03 * 60
    assert found.per_float == found.bits / (2 * pairs)
    # With four pairs in view the table holds no more than four.
    fewer = bits_held(record, 9)
    assert fewer is not None
    assert fewer.bits <= found.bits + 1e-9 if pairs <= 4 else fewer.bits < found.bits
    assert fewer.bits < 4 * min(4, pairs) + high - low
    assert fewer.per_float is None


@pytest.mark.parametrize(
    ("group", "states"), [("Z12", 1), ("Z12", 2), ("Z12", 3), ("Z12", 12), ("parity", 2), ("S3", 6)]
)
def test_an_automaton_holds_the_logarithm_of_its_states(group: str, states: int) -> None:
    task = StateTracking(group, 0.05)
    record = record_of(AutomatonOracle(task, states), task, 1, 8)
    found = bits_held(record)
    assert found is not None
    assert found.bits == pytest.approx(math.log2(states), abs=1e-6)
    assert found.per_float == found.bits
    assert most_bits(record.task) == pytest.approx(math.log2(task.order))
    # Without a mark in view it holds nothing: less at small k, in proportion to the optimum.
    at_8 = bits_held(record, 8)
    assert at_8 is not None
    share = 1 - 0.95**8 * 56 / 64
    assert at_8.bits == pytest.approx(share * math.log2(states), abs=0.05)


@pytest.mark.parametrize("kept", [0, 1, 4, 6])
def test_what_keeps_the_last_symbols_holds_three_bits_of_each(kept: int) -> None:
    task = SelectiveCopy(20, 6)
    found = bits_held(record_of(FullOutputs(SelectiveOracle(task, kept)), task))
    assert found is not None
    assert found.bits == pytest.approx(3 * kept, abs=1e-5)
    assert found.per_float is None  # the size of its state is unknown


def test_copying_holds_thirty_bits_and_half_of_them_half_the_time() -> None:
    task = CopyMemory(5, 5)
    record = record_of(FullOutputs(CopyOracle()), task)
    found = bits_held(record)
    assert found is not None
    assert found.bits == pytest.approx(30, abs=1e-5)
    assert most_bits(record.task) == pytest.approx(30)
    # Records that were made before do not say how many symbols there are.
    older = replace(record, task=replace(record.task, held_symbols=None))
    assert bits_held(older) == found


def test_other_tasks_have_none() -> None:
    for record in (made(FAST), made({"full": 0.5}, task="copy-memory/T=9", score="loss")):
        assert bits_held(record) is None
        assert most_bits(record.task) is None
    assert LongMemory(0.4).held_symbols is None
    assert AssociativeRecall(8, 8, 1.0).held_symbols is None
    (row,) = board_of(made(FAST)).rows
    assert bits_of_row(row) is None
    assert "bits held" not in board_text([board_of(made(FAST))], "markdown")


def test_tables_page_and_api_show_the_same_bits() -> None:
    losses = (0.4, 0.5, 0.9)
    records = [recalled(loss, seed=seed) for seed, loss in enumerate(losses)]
    bits = [10 * (math.log(8) - loss) / math.log(2) for loss in losses]
    half = 10 * 0.02 / math.log(2)
    found = boards(records)
    text = board_text(found, "markdown", chosen=["bits held", "bits/float"])
    assert "| 22.79 ±0.29 [17.02, 24.23] | 0.4557 ±0.0058 [0.3403, 0.4846] |" in text
    assert "| optimum | 30.00" in " ".join(text.split())
    (row,) = page_data(found, {})["tasks"][0]["rows"]
    assert row["bits"] == [pytest.approx(bits[1]), "22.79 ±0.29 [17.02, 24.23]"]
    assert row["bitsPerFloat"][0] == pytest.approx(bits[1] / 50)
    frame = pd.DataFrame(flat(found))
    full = frame[frame.k == "full"]
    assert full.bits_held.tolist() == pytest.approx(bits)
    assert full.bits_held_low.tolist() == pytest.approx([b - half for b in bits])
    assert full.bits_held_high.tolist() == pytest.approx([b + half for b in bits])
    assert full.bits_per_float.tolist() == pytest.approx([b / 50 for b in bits])
    assert frame[frame.k == 1].bits_per_float.isna().all()
    curve = ModelCurve(tuple(records))
    assert curve.bits_held == bits_held(records[1])
    assert curve.to_dict()["seqmem/r/1/bits_held"] == pytest.approx(bits[1])
    csv = pd.read_csv(io.StringIO(board_text(found, "csv")))
    assert csv[csv.k == "full"].bits_held.tolist() == pytest.approx(bits)


def test_information_is_never_negative() -> None:
    found = bits_held(recalled(2.5))
    assert found is not None
    assert (found.bits, found.interval, found.per_float) == (0, (0, 0), 0)
    near = bits_held(recalled(math.log(8), half=0.01))
    assert near is not None
    assert near.interval is not None
    assert near.interval[0] == 0 < near.interval[1]


def test_records_say_how_many_symbols_and_older_ones_are_read() -> None:
    record = recalled(0.4)
    assert from_json(to_json(record)) == record
    plain = json.loads(to_json(made(FAST)))
    assert "held_symbols" not in plain["task"]  # the text of older records, and their signatures
    assert from_json(json.dumps(plain)).task.held_symbols is None
    for wrong in (0, -1, 1.5, "ten"):
        data = json.loads(to_json(record))
        data["task"]["held_symbols"] = wrong
        with pytest.raises(RecordError, match="held_symbols"):
            from_json(json.dumps(data))


def test_a_record_that_claims_more_symbols_than_others_is_found() -> None:
    records = [recalled(loss, seed=seed) for seed, loss in enumerate((0.4, 0.5, 0.6, 0.6))]
    records[2] = replace(records[2], task=replace(records[2].task, held_symbols=1000))
    records[3] = replace(records[3], task=replace(records[3].task, held_symbols=None))
    found = list(disagreeing(records, lambda record: None))
    assert found == [(2, "held_symbols is 1000, in other records of the task 10")]
    assert not list(disagreeing(records[:2] + records[3:], lambda record: None))
