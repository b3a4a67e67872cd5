"""What the models of suite `memory` hold, as sentences, tables and charts."""

import math
import re
from dataclasses import replace

import pytest

from seqmem.docs.how_much import RECALL, how_much_charts, how_much_parts, is_memory
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.statistics.aggregate import Board, boards
from seqmem.tests.records import make_trained

COPY, PARITY = "selective-copy/T=64,data=8", "state-tracking/group=parity,reset=0.05"
BITS = {RECALL: (32, 64), COPY: (8, 8), PARITY: (1, 2)}  # symbols, and values of each


def held(task: str, bits: float, label: str, floats: int, seed: int = 0) -> Record:
    """Return a record of a model that holds so many bits."""
    symbols, values = BITS[task]
    loss = math.log(values) - bits * math.log(2) / symbols
    record = make_trained(
        {1: math.log(values), "full": loss},
        task=task,
        label=label,
        chance=math.log(values),
        seed=seed,
    )
    facts = replace(record.task, loss="cross-entropy", unit="nats per symbol", held_symbols=symbols)
    curve = tuple(replace(point, state_floats=floats) for point in record.curve)
    return replace(record, task=facts, curve=curve)


def found(*records: Record) -> list[Board]:
    return boards([each for each in records if is_memory(each)])


def text(*records: Record) -> str:
    return "\n".join(how_much_parts(found(*records), "charts"))


def test_recall_grows_with_the_state_or_it_is_said_that_it_does_not() -> None:
    def said(*bits: float) -> str:
        lstms = [
            held(RECALL, each, f"lstm:hidden={2**i}", 2 * 2**i)
            for i, each in enumerate(bits, start=4)
        ]
        return text(*lstms, held(RECALL, 191, "transformer", 9000))

    assert re.search(
        r"recalls grows with the size .* attention recalls 191\.\d+ .*bits of the 192", said(10, 20)
    )
    assert "does not always grow" in said(10, 20, 15)
    assert "does not always grow" in said(10, 10)
    assert "does not always grow" in said(10, 10.01)  # within their intervals
    alike = [held(RECALL, 10, label, 32) for label in ("lstm:hidden=16", "lstm:dropout=0.1")]
    assert "does not always grow" in text(*alike, held(RECALL, 191, "transformer", 9000))
    assert re.search(r"10\.\d+ .*with 32, 20\.\d+ .*with 64 floats", said(10, 20))
    assert "recalls" not in said(10)  # one size shows no growth


@pytest.mark.parametrize(
    ("able", "unable", "says"),
    [
        (24.0, 3.0, "So it is here"),
        (3.0, 24.0, "Here it is the other way round"),
        (24.0, 24.0, "It does not show here"),
        (0.0, 0.0, "neither learned selective-copy"),
    ],
)
def test_a_separation_says_whether_it_shows_here(able: float, unable: float, says: str) -> None:
    shown = text(
        held(COPY, able, "gru", 64),
        held(COPY, able / 2, "lstm", 128),
        held(COPY, unable, "lru", 256),
        held(COPY, 24, "tcn", 4000),  # of neither kind
    )
    assert says in shown
    if says == "So it is here":
        assert re.search(r"gru holds 24\.\d+ .*bits and lru.* 3\.\d+", shown)
    assert "parity" not in shown  # no records of it


def test_a_model_that_is_better_stands_for_those_that_can() -> None:
    """Not one whose seeds disagree too much for that, though its median is the best."""
    trained = {"gru": (24, 16, 2), "lstm": (15.0, 15.1, 14.9), "lru": (9.0, 9.1, 8.9)}
    shown = text(
        *(
            held(COPY, bits, label, 64, seed)
            for label, some in trained.items()
            for seed, bits in enumerate(some)
        )
    )
    assert re.search(r"So it is here: on \S+ lstm holds 15\.", shown)
    assert "Of the 2 that can, 1 is better." in shown


def test_options_distinguish_the_models_of_a_separation() -> None:
    shown = text(
        held(PARITY, 1, "gated-deltanet:eigenvalues=signed", 64),
        held(PARITY, 0.1, "gated-deltanet", 64),
    )
    assert "So it is here" in shown
    assert re.search(r"eigenvalues=signed holds 1\.\d+", shown)


def test_every_family_with_records_has_a_chart_and_a_table() -> None:
    records = [held(COPY, 24, "gru", 64), held(PARITY, 1, "gru", 64)]
    other = make_trained({1: 1.0, "full": 0.5}, task="copy-memory/T=30")
    shown = text(*records, other)
    names = re.findall(r"charts/(\S+\.svg)", shown)
    of_families = [name for name in names if name.startswith("how-much-")]
    assert of_families == ["how-much-state-tracking.svg", "how-much-selective-copy.svg"]
    assert list(how_much_charts(found(*records, other))) == of_families
    assert len(names) == 4  # and the curves of each task
    assert shown.count("<summary>") == 2
    assert "copy-memory/" not in shown
    assert how_much_parts([], "charts") == []
    assert "budget\n`small`, 1 training of each" in shown
