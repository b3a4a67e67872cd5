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
        held(COPY, able, "mamba", 64),
        held(COPY, unable, "lru", 256),
        held(COPY, 24, "tcn", 4000),  # of neither kind
    )
    assert says in shown
    if says == "So it is here":
        assert re.search(r"mamba holds 24\.\d+ .*bits and lru.* 3\.\d+", shown)
    assert "Of the" not in shown  # there are no others
    assert "parity" not in shown  # no records of it


def test_others_that_can_are_compared_with_the_best_that_cannot() -> None:
    trained = {
        "mamba": (20.0, 20.1, 19.9),
        "lstm": (15.0, 15.1, 14.9),
        "gru": (9.0, 9.1, 8.9),
        "lru": (9.0, 9.1, 8.9),
        "gla:gates=constant": (12.0, 12.1, 11.9),
    }
    shown = text(
        *(
            held(COPY, bits, label, 64, seed)
            for label, some in trained.items()
            for seed, bits in enumerate(some)
        )
    )
    assert re.search(r"So it is here: on \S+ mamba holds 20\.\S+ .*bits and lru 9\.", shown)
    assert "Of the 2 other models that can, 1 is better than gla:gates=constant" in shown
    alone = text(*(held(COPY, 15, "lstm", 64, seed) for seed in range(3)))
    assert "To copy selected" not in alone  # the pair is not there


def test_a_planned_pair_is_not_corrected_for_all_pairs() -> None:
    """As three trainings of each show it, which the correction for many models hides."""
    trained = {
        "gated-deltanet:eigenvalues=signed": (1, 1, 1),
        "gated-deltanet": (0.95, 0.92, 0.92),
        "lstm": (1, 1, 1),
    }
    others = {f"lstm:hidden={n}": (1, 0.8 + n / 100, 1) for n in range(8)}
    shown = text(
        *(
            held(PARITY, bits, label, 64, seed)
            for label, some in (trained | others).items()
            for seed, bits in enumerate(some)
        )
    )
    assert "So it is here: on state-tracking/group=parity" in shown
    assert re.search(r"eigenvalues=signed holds 1\.\d+", shown)
    assert "Of the 1 other model that can, none is better than gated-deltanet" in shown


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
