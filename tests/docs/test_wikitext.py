"""The blog post's table and the published curve, beside records."""

import math
from dataclasses import replace

import pytest

from seqmem.docs.published_curve import Curve, curves, excess_sentence, trend
from seqmem.docs.wikitext import text_boards, text_charts, text_parts
from seqmem.leaderboard.record import Record
from seqmem.tests.records import make_trained


def trained(
    label: str,
    full: float,
    *,
    steps: int = 100,
    rate: float = 0.004,
    valid: float | None = None,
    seed: int = 0,
    need: int = 64,
) -> Record:
    """Return a record that loses 0.2 nats with 10 words, and 0.001 with as many as it needs."""
    record = make_trained(
        {10: full + 0.2, need: full + 0.001, 128: full + 0.0005, "full": full},
        task="wikitext-2", chance=7.0, score="perplexity", optimum=None, label=label, seed=seed,
        budget=f"small, steps {steps}, learning_rate {rate}",
    )  # fmt: skip
    options = {"hidden": 200, "layers": 2, "dropout": 0.3, "tied": True}
    training = dict(record.training)
    training["recipe"] |= {"options": options, "steps": steps, "learning_rate": rate}
    training["result"] = {"targets": 41_772 * steps, "stopped": "budget", "best_step": 1,
                          "best_validation": full + 0.1 if valid is None else valid}  # fmt: skip
    return replace(record, training=training)


def table_of(records: list[Record]) -> tuple[str, dict[str, list[str]]]:
    """Return the text, and the rows of the table by their model."""
    text = "\n".join(text_parts(text_boards(records), "charts"))
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.count("|") == 9
    ]
    return text, {cells[0]: cells for cells in lines[2:]}


WORSE = math.log(1.1)


def test_the_table_has_printed_and_measured_numbers() -> None:
    text, rows = table_of(
        [trained("lstm", 4.6), trained("lstm-stable:forget_bias=free", 4.6 + WORSE / 2),
         trained("lstm-stable", 4.6 + WORSE), trained("rnn", 5.0),
         trained("rnn-stable", 5.0 - WORSE),
         trained("lstm", 4.5, steps=900), trained("lstm-stable", 4.5, steps=900)]
    )  # fmt: skip
    assert list(rows) == [
        "rnn", "rnn-stable", "lstm", "lstm-stable:forget_bias=free", "lstm-stable"
    ]  # fmt: skip
    assert rows["rnn"][2:4] == ["146.7", "146.7"]
    assert rows["lstm"][2:4] == ["92.3", "95.7"]
    assert rows["lstm-stable"][2:4] == ["95.1", "113.2"]
    assert rows["lstm"][4].startswith("99")  # of the recipe with all pairs, not of the longest
    assert rows["lstm-stable"][5].startswith("+10.0")
    assert rows["lstm-stable"][5].endswith(")")
    assert rows["rnn-stable"][5].startswith("−9.091")
    assert rows["lstm"][5] == rows["rnn"][5] == "–"
    assert "2 × 200, tied, dropout 0.3, 2 epochs, 1 training of each; ±" in text
    assert "One learning rate of each was trained for so long: 0.004 (" in text
    assert "−9.091 % (−9.091 to −9.091) for an RNN, " in text
    assert "for an LSTM that provably forgets**, in one training each, relative" in text


def test_models_of_unequal_recipes_are_not_compared() -> None:
    records = [trained("lstm", 4.6), trained("lstm-stable", 4.7, steps=101)]
    assert "against free" not in table_of(records)[0]


def test_validation_chooses_the_learning_rate() -> None:
    """Not the test score, which the first of three has best."""
    text, rows = table_of(
        [trained("rnn", 4.8, rate=0.01, valid=5.3), trained("rnn", 5.0, rate=0.001, valid=5.1),
         trained("rnn", 4.9, rate=0.1, valid=5.2), trained("rnn-stable", 5.0, rate=0.01)]
    )  # fmt: skip
    assert ": 0.001 (rnn), 0.01 (rnn-stable)." in text
    assert rows["rnn"][4].startswith("148")
    assert "Of several learning rates the one with the best validation loss is shown:" in text


def test_seeds_widen_the_interval() -> None:
    records = [trained("lstm", 4.6 + seed / 100, seed=seed) for seed in (0, 1, 2)]
    records += [trained("lstm-stable", 4.6 + seed / 10, seed=seed) for seed in (0, 1, 2)]
    text, rows = table_of(records)
    assert "tied" in rows["lstm-stable"][5]
    assert "in one training each" not in text
    assert "3 trainings of each" in text


def test_lstms_of_every_recipe_are_beside_the_published_one() -> None:
    records = [trained("lstm", 6.0, steps=1, need=16), trained("lstm", 4.5)]
    found = text_boards(records)
    text = "\n".join(text_parts(found, "charts"))
    assert "**The better the LSTM, the more words it uses**" in text
    assert "16 at perplexity 403 and 64 at perplexity 90; 200–250 at 67 for the AWD-LSTM of" in text
    (chart,) = text_charts(found).values()
    points = {(row["name"], row["k"]): row["excess"] for row in chart["data"]["values"]}
    assert points["AWD-LSTM, published, validation articles: 67.29", 10] == 0.4358
    assert points["LSTM, 0.02 epochs: 403.4", 10] == pytest.approx(0.2)
    assert points["LSTM, 2 epochs: 90.02", 10] == pytest.approx(0.2)
    assert points["LSTM, 2 epochs: 90.02", 128] is None  # too small to draw
    assert len(points) == 9 + 2 * 3


def test_a_claim_is_made_only_where_numbers_agree() -> None:
    records = [trained("lstm", 6.0, steps=1), trained("lstm", 4.5, need=16)]
    text = "\n".join(text_parts(text_boards(records), "charts"))
    assert "**How many words LSTMs use**" in text


def test_the_trend_is_a_power_law() -> None:
    def law(k: int, exponent: float) -> Curve:
        return Curve("lstm", 1000 * k ** (-1 / exponent), (), str(k), k)

    exact = [law(k, 2.0) for k in (4, 8, 16, 64, 256)]
    published = Curve("published", 60.0, (), "200–250", published=True)
    found = trend([*exact, published])
    assert found is not None
    assert (found.factor, found.low, found.high) == pytest.approx((4.0, 4.0, 4.0))
    assert found.models == 5
    noisy = trend([*exact[:-1], law(128, 2.5)])
    assert noisy is not None
    assert noisy.low < 3.5 < noisy.factor < noisy.high
    assert trend(exact[1:]) is None
    assert trend([*exact, Curve("lstm", 50.0, (), "> 512")]) is None  # none of its needs is known
    assert trend([law(4, 2.0)] * 5) is None
    # Two equal needs are no trend of their own; with the fit, the claim holds.
    rising = [*exact[:3], law(16, 2.01), *exact[3:], published]
    assert "**The better the LSTM, the more words it uses**" in excess_sentence(rising)
    assert "4 times as many (" in excess_sentence(rising)


def test_few_words_in_training_are_compared_with_few_words_afterwards() -> None:
    usual = trained("lstm", 4.5)
    training = {**usual.training, "k_train": 10, "state": "reset"}
    windows = replace(trained("lstm", 4.58), training=training)  # 4.78 with 10 words
    found = text_boards([usual, windows])
    text = "\n".join(text_parts(found, "charts"))
    assert f"changes by +{100 * math.expm1(0.28):.2f} % (" in text
    assert f"windows of 10, and by +{100 * math.expm1(0.2):.2f} % (" in text
    assert len(curves(found)) == 2  # the published one, and that of the model that reads all
    alone = text_parts(text_boards([usual, trained("lstm", 4.4, steps=9)]), "charts")
    assert "windows of" not in "\n".join(alone)


def test_nothing_is_said_of_no_records() -> None:
    assert text_parts([], "charts") == []
    assert text_charts([]) == {}
