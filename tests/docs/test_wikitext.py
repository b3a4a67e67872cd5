"""The blog post's table and the published curve, beside records."""

import math
from dataclasses import replace

import pytest

from seqmem.docs.published_curve import Curve, trend
from seqmem.docs.wikitext import text_boards, text_charts, text_parts
from seqmem.leaderboard.record import Record
from seqmem.tests.records import make_trained


def trained(label: str, full: float, budget: str = "small", at: float = 0.2) -> Record:
    """Return a record whose loss with 10 words is `at` nats above that with all."""
    record = make_trained(
        {10: full + at, 64: full + 0.001, "full": full},
        task="wikitext-2", chance=7.0, budget=budget, score="perplexity", optimum=None,
        label=label,
    )  # fmt: skip
    training = dict(record.training)
    training["recipe"] |= {"options": {"hidden": 200, "layers": 2, "dropout": 0.3, "tied": True}}
    training["recipe"] |= {"learning_rate": 0.004}
    training["result"] = {"targets": 4_177_200, "stopped": "budget", "best_step": 1, "steps": 1,
                          "best_validation": full + 0.1}  # fmt: skip
    return replace(record, training=training)


def test_the_table_has_printed_and_measured_numbers() -> None:
    worse = math.log(1.1)
    records = [
        trained("lstm", 4.6), trained("lstm-stable:forget_bias=free", 4.6 + worse / 2),
        trained("lstm-stable", 4.6 + worse), trained("rnn", 5.0),
        trained("rnn-stable", 5.0 - worse), trained("lstm", 4.5, "medium"),
        trained("rnn", 5.5, "small, learning_rate 0.01"),
        trained("rnn", 4.9, "small, learning_rate 0.001"),
        trained("lstm-stable", 4.5, "medium"),
    ]  # fmt: skip
    text = "\n".join(text_parts(text_boards(records), "charts"))
    rows = {
        cells[0]: cells
        for line in text.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 10
    }
    assert list(rows)[2:] == [
        "rnn", "rnn-stable", "lstm", "lstm-stable:forget_bias=free", "lstm-stable"
    ]  # fmt: skip
    assert rows["rnn"][2:5] == ["146.7", "146.7", rows["rnn"][4]]
    assert rows["lstm"][2:4] == ["92.3", "95.7"]
    assert rows["lstm-stable"][2:4] == ["95.1", "113.2"]
    assert rows["lstm"][4].startswith("99")  # of the budget with all pairs, not of the longest
    assert rows["lstm-stable"][5].startswith("+10.0")
    assert rows["lstm-stable"][5].endswith("worse")
    # Of three learning rates of the free RNN the one that validation chooses.
    assert rows["rnn"][4].startswith("134")
    assert rows["rnn-stable"][5].startswith("+0.4")
    assert rows["lstm"][5] == rows["rnn"][5] == "–"
    assert "budget small (2 epochs), 2 × 200, tied, dropout 0.3, 1 training of each" in text
    assert "that provably forgets +10.0" in text


def test_lstms_of_every_budget_are_beside_the_published_one() -> None:
    records = [trained("lstm", 6.0), trained("lstm", 4.5, "medium, steps 9", 0.3)]
    found = text_boards(records)
    text = "\n".join(text_parts(found, "charts"))
    assert "64 at 403, 64 at 90 and 200–250 at 67; the last is published" in text
    (chart,) = text_charts(found).values()
    points = {(row["name"], row["k"]): row["excess"] for row in chart["data"]["values"]}
    assert points["AWD-LSTM, published (validation): 67.29", 10] == 0.4358
    assert points["lstm, budget small: 403.4", 10] == pytest.approx(0.2)
    assert points["lstm, budget medium, steps 9: 90.02", 10] == pytest.approx(0.3)
    assert len(points) == 9 + 2 * 2


def test_the_trend_is_a_power_law() -> None:
    def law(k: int, exponent: float) -> Curve:
        return Curve("lstm", 1000 * k ** (-1 / exponent), (), str(k), k)

    exact = [law(k, 2.0) for k in (4, 8, 16, 64, 256)]
    assert trend([*exact, Curve("published", 60.0, (), "200–250")]) == (
        "Over 5 trainings of ours, it grows 4 times (4–4) where perplexity halves."
    )
    assert trend(exact[1:]) is None
    noisy = trend([*exact[:-1], law(128, 2.5)])
    assert noisy is not None
    assert "(4–4)" not in noisy


def test_nothing_is_said_of_no_records() -> None:
    assert text_parts([], "charts") == []
    assert text_charts([]) == {}
