"""Tables in every format: exact numbers, LaTeX, a whole suite, stable pairs."""

import csv
import io
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmem.errors import InputError
from seqmem.leaderboard.published import read_published
from seqmem.leaderboard.record import (
    Context,
    Record,
)
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.statistics.rows import WITHOUT_MISSED
from seqmem.leaderboard.statistics.suite_scores import overview
from seqmem.leaderboard.tables.board_table import board_text
from seqmem.leaderboard.tables.stable_table import measured_pairs, published_pairs, stable_text
from seqmem.leaderboard.tables.suite_table import suite_text
from seqmem.leaderboard.tables.writing import latex_text
from seqmem.tests.records import board_of, fixed, make_record, make_trained

Losses = dict[Context, float]

# Numbers.


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(1e-300, 1e300), min_size=2, max_size=4), st.text(max_size=8))
def test_csv_and_json_lose_nothing(values: list[float], label: str) -> None:
    label = "m" + "".join(c for c in label if c.isprintable())
    losses: Losses = {2**i: value for i, value in enumerate(values)}
    made = boards([make_record(losses, label=label, half=None)])
    for rows in (
        list(csv.DictReader(io.StringIO(board_text(made, "csv"), newline=""))),
        json.loads(board_text(made, "json")),
    ):
        assert [float(row["loss"]) for row in rows] == values
        assert {row["model"] for row in rows} == {label}
        assert [int(row["k"]) for row in rows] == list(losses)
        ranks = [row["rank_best"] for row in rows]
        assert [rank not in ("", None) for rank in ranks] == [value < 1 for value in values]


@pytest.mark.parametrize(
    ("changes", "written"),
    [
        ({}, "at least ±0.02"),
        ({"n": 513}, "±0.02"),
        ({"method": "all", "half_width": 0.0}, "exact"),
    ],
)
def test_sampling_errors_of_earlier_records_with_few_windows_are_lower_bounds(
    changes: dict[str, Any], written: str
) -> None:
    record = make_record({"full": 0.5})
    (point,) = record.curve
    point = replace(point, **{"method": "sample", "n": 512, "half_width": 0.02, **changes})
    record = replace(record, curve=(point,), measurement={"half_width": WITHOUT_MISSED})
    shown = board_text([board_of(record)], "wide")
    assert f"sampling error {written}." in shown
    new = replace(record, measurement={"half_width": WITHOUT_MISSED + "; and what it missed"})
    assert "at least" not in board_text([board_of(new)], "wide")


def test_chosen_columns_come_in_their_order_and_fit_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    losses: Losses = {2**i: 0.9 - i / 100 for i in range(20)}
    trained = [make_trained(losses, label="lstm", k_train=k) for k in (4, 8)]
    made = boards([*trained, make_trained(losses, label="tcn", k_train=8)])
    text = board_text(made, "table", chosen=["k=8", "param", "state"])
    header = next(line for line in text.splitlines() if line.startswith("model"))
    assert re.split("  +", header) == ["model", "k_train", "k=8", "parameters", "state, floats"]
    assert max(map(len, text.splitlines())) <= 60
    assert len(re.findall("^lstm", text, re.MULTILINE)) == 2
    for wrong, said in (("k=3", "'k=3' is no column; there are 'k_train'"), ("s", "may be")):
        with pytest.raises(InputError, match=f"--columns: .*{said}"):
            board_text(made, "table", chosen=[wrong])


def test_an_infinite_perplexity_is_null_in_json() -> None:
    (row,) = json.loads(
        board_text(boards([make_record({"full": 1e4}, score="perplexity")]), "json")
    )
    assert (row["loss"], row["perplexity"]) == (1e4, None)


# Values that all rows have in common.


def test_common_values_are_above_the_table_and_others_in_it() -> None:
    alike = [fixed(make_trained({1: 0.5, "full": x}, label=m)) for m, x in (("a", 0.1), ("b", 0.2))]
    text = board_text(boards(alike), "wide")
    assert (
        "All rows: k_train full, budget small, seeds 1, solved 0 of 1, trust self-reported, "
        "sampling error exact"
    ) in text
    header = next(line for line in text.splitlines() if line.startswith("model"))
    assert re.split("  +", header) == [
        "model", "rank", "parameters", "state, floats", "k=1", "full", "k*(1 %)",
    ]  # fmt: skip
    assert text.startswith("Rank: possible ranks at full")
    other = [alike[0], replace(alike[1], trust="rescored")]
    text = board_text(boards(other), "wide")
    assert re.search(r"^a +1 +self-reported", text, re.MULTILINE)
    assert re.search(r"^b +2 +rescored", text, re.MULTILINE)
    unchecked = replace(alike[1], validity=None)  # a record without the results of the gate
    text = board_text(boards([alike[0], unchecked]), "wide")
    assert re.search(r"^a +1 +self-reported  ", text, re.MULTILINE)
    assert re.search(r"^b +2 +self-reported \(not checked\)", text, re.MULTILINE)
    assert "anks" not in board_text(boards(alike[:1]), "wide")
    once = [make_trained({"full": x}, label=m) for m, x in (("a", 0.1), ("b", 0.2))]
    text = board_text(boards(once), "wide")
    assert "No ranks: no model here has several seeds" in text
    assert "rank " not in text


def test_versions_are_named_and_not_comparable() -> None:
    text = board_text(boards([make_record({1: 0.5}), make_record({1: 0.4}, version=2)]), "wide")
    for version in (1, 2):
        assert f"(version {version}, data 00000000; not comparable with other" in text


# LaTeX.

TOKEN = re.compile(
    r"\\texttt\{\\char34\}|\\ensuremath\{[^}]*\}|\\\^\{\}|\\[A-Za-z]+\{\}|\\.|\{.\}|."
)
PLAIN = {latex_text(chr(code)): chr(code) for code in [*range(32, 127), *map(ord, "±−×≤≥∞λ–—…")]}


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from(list(PLAIN.values())), max_size=40))
def test_latex_prints_the_text(text: str) -> None:
    """Every token is known and stands for one character."""
    assert "".join(PLAIN[token] for token in TOKEN.findall(latex_text(text))) == text


def test_no_character_is_a_command() -> None:
    for code in range(0x3000):
        written = latex_text(chr(code))
        bare = re.sub(r"\\[A-Za-z]+(\{\})?|\\\^\{\}|\\[{}$&%#_]", "", written)
        assert not re.search(r"[$&%#_^~\\]", bare), (code, written)
        assert bare.count("{") == bare.count("}")
        assert "\n" not in written
        assert all(ord(c) < 0x100 for c in written)


def test_latex_tables_compile(tmp_path: Path) -> None:
    engine = shutil.which("pdflatex") or shutil.which("tectonic")
    if engine is None:
        pytest.skip("needs pdflatex or tectonic")
    name = "".join(map(chr, range(32, 127))) + "äß中±"
    text = board_text(boards([make_record({1: 0.5}, label=name)]), "latex", read_published())
    document = f"\\documentclass{{article}}\\begin{{document}}{text}\\end{{document}}"
    (tmp_path / "a.tex").write_text(document, encoding="utf-8")
    subprocess.run([engine, "a.tex"], cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)


def test_latex_tables_have_a_cell_for_every_column() -> None:
    text = board_text(boards([make_record({1: 0.5, "full": 0.1}, label="a&b_c")]), "latex")
    assert r"a\&b\_c" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1


# A whole suite.


def suite() -> list[Record]:
    known: dict[str, Any] = {"task": "s/1", "chance": 1.0, "optimum": 0.0}
    open_: dict[str, Any] = {
        "task": "s/2",
        "chance": math.log(100),
        "optimum": None,
        "score": "perplexity",
    }
    return [
        make_trained({1: 0.9, "full": 0.5}, label="a", **known),
        make_trained({1: 1.2, "full": 1.2}, label="b", **known),
        make_trained({1: math.log(20), "full": math.log(10)}, label="a", **open_),
        make_trained({1: math.log(50), "full": math.log(50)}, label="c", **open_),
        make_trained({1: 9.0, "full": 9.0}, label="c", task="s/4", chance=1.0, optimum=None),
        make_trained({1: 0.0}, label="c", task="s/5"),
    ]


def test_a_suite_is_scored_between_chance_and_the_best() -> None:
    found = overview(boards(suite()), ("s/1", "s/2", "s/3", "s/4", "s/5"))
    scores = {entry.label: {t: s.value for t, s in entry.scores.items()} for entry in found.entries}
    assert scores == {
        "a": {"s/1": 0.5, "s/2": pytest.approx(1.0)},
        "b": {"s/1": pytest.approx(-0.2)},
        "c": {"s/2": pytest.approx(math.log(2) / math.log(10))},
    }
    assert (found.absent, found.unscaled) == (("s/3", "s/5"), ("s/4",))
    assert [(entry.label, entry.mean) for entry in found.entries] == [
        ("a", pytest.approx(0.75)),
        ("b", None),  # no mean without all scores
        ("c", None),
    ]


def test_a_suite_explains_its_numbers() -> None:
    found = overview(boards(suite()), ("s/1", "s/2", "s/3", "s/4", "s/5"))
    text = suite_text("s", found, "markdown")
    assert "1 is the optimum on s/1." in text
    assert "1 is the best score here at any k and training setting: s/2 10.0000 (a)." in text
    assert "The mean is over 2 tasks, and only of models that have them all: 1 of 3." in text
    assert "Without a score, and not in the mean: s/3 and s/5." in text
    assert "the optimum is unknown: s/4." in text
    lines = [re.sub(" +", " ", line) for line in text.splitlines()]
    assert "| a | small | 0.750 | 2 of 5 | 0.500 ±0.010 | 1.0000 ±0.0043 |" in lines
    assert "| b | small | – | 1 of 5 | −0.200 ±0.010 | – |" in lines
    assert "| a | small | > 1 | > 1 |" in lines
    rows = json.loads(suite_text("s", found, "json"))
    assert len(rows) == len(list(csv.DictReader(io.StringIO(suite_text("s", found, "csv"))))) == 4
    assert rows[0]["one_is"] == "optimum"
    empty = suite_text("s", overview([], ("s/1",)), "table")
    assert "No task of this suite has a score" in empty


def test_of_several_versions_the_latest_counts_in_a_suite() -> None:
    old = make_trained({"full": 0.1}, created="2026-01-01")
    new = make_trained({"full": 0.4}, created="2026-01-02", version=2)
    (entry,) = overview(boards([new, old]), ("toy/T=3",)).entries
    assert entry.mean == pytest.approx(0.6)


# Stable pairs.


def test_stable_models_are_listed_with_unconstrained_ones() -> None:
    stable = make_trained({4: 0.3, "full": 0.2}, label="lstm-stable")
    certified = {**stable.model, "certificate": {"rate": 0.95, "promised_k": 120}}
    records = [replace(stable, model=certified), make_trained({4: 0.1, "full": 0.1})]
    (row,) = measured_pairs(boards(records))
    assert (row["λ, stable"], row["λ, unconstrained"], row["guaranteed k"]) == ("0.95", "–", "120")
    assert (row["k*(1 %), stable"], row["k*(1 %), unconstrained"]) == ("> 4", "4")
    assert row["the stable model is"] == "worse in one training each"
    text = stable_text(boards(records), "table", read_published())
    assert "λ, unconstrained" not in text
    for number in ("146.7", "143.5", "92.3", "95.1", "0.95"):
        assert number in text
    assert text.index("0.95") < text.index("not ranked") < text.index("146.7")


def test_published_pairs_are_those_of_one_source() -> None:
    pairs = published_pairs(read_published())
    assert [list(row.values())[:4] for row in pairs] == [
        ["wikitext-2", "RNN", "146.7", "143.5"],
        ["wikitext-2", "LSTM", "92.3", "95.1"],
    ]
    assert "No stable model has records" in stable_text([], "table")


# Boards.


def test_the_table_contains_the_measurements() -> None:
    record = make_record(
        {1: math.log(100), "full": math.log(50)},
        score="perplexity",
        unit="nats per word",
        chance=math.log(900),
    )
    text = board_text(boards([record]), "wide")
    assert "toy/T=3: perplexity per word" in text
    assert "100.0 ±1.0" in text
    assert "900.0" in text
    assert "optimum" in text


def test_a_tiny_interval_is_not_shown_as_zero() -> None:
    text = board_text(boards([make_record({1: 0.5, "full": 0.1}, half=1e-9)]), "wide")
    assert "0.5000 ±<0.0001" in text
    assert "±0.0000" not in text


def test_several_seeds_show_their_range() -> None:
    records = [make_record({"full": loss}, seed=i) for i, loss in enumerate((0.3, 0.1, 0.2))]
    assert "0.2000 ±0.0100 [0.1000, 0.3000]" in board_text(boards(records), "wide")


def test_names_are_escaped_in_markdown() -> None:
    text = board_text(boards([make_record({"full": 0.1}, label="a|b")]), "markdown")
    assert "| a\\|b " in text


def test_csv_and_json_contain_the_numbers() -> None:
    losses: dict[Context, float] = {1: 1 / 3, 2: 0.1, "full": 0.012345678901234}
    shown = boards([make_record(losses)])
    table = pd.read_csv(io.StringIO(board_text(shown, "csv")))
    assert dict(zip(table["k"], table["loss"], strict=True)) == {
        str(k): loss for k, loss in losses.items()
    }
    rows = json.loads(board_text(shown, "json"))
    assert {row["k"]: row["loss"] for row in rows} == pytest.approx(losses, rel=1e-14)
    assert rows[0]["task"] == "toy/T=3"


def test_an_empty_board_is_empty() -> None:
    assert board_text([], "table") == ""
    assert json.loads(board_text([], "json")) == []
