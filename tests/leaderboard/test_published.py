"""Published numbers: the rules of the file, and how a board shows them."""

import io
import json
import math
import re
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from seqmem.errors import InputError
from seqmem.leaderboard.published import UNITS, Citation, Published, read_published
from seqmem.leaderboard.record import Record, RecordError
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.store import COMMITTED, read_records
from seqmem.leaderboard.tables.board_table import board_text
from seqmem.leaderboard.tables.flat import COLUMNS
from seqmem.tasks import load_task
from seqmem.tests.records import make_record

ENTRIES = read_published()


def name_of(entry: Published) -> str:
    return f"{entry.task} {entry.model} {entry.printed}"


each = pytest.mark.parametrize("entry", ENTRIES, ids=name_of)

# The committed file.


@each
def test_the_source_is_complete(entry: Published) -> None:
    assert 1990 < entry.source.year < 2030
    assert re.search("arXiv|README|issue|blog|NLP-progress", entry.source.where)


@each
def test_the_unit_is_that_of_the_task_or_the_difference_is_explained(entry: Published) -> None:
    loss, unit = load_task(entry.task).loss, UNITS[entry.unit]
    own = loss.unit
    if loss.score == "perplexity":
        own = f"perplexity {loss.unit.removeprefix('nats ')}"
    assert (unit.score == loss.score) == (entry.unit == own)
    assert (unit.score is None) == bool(unit.differs)


@cache
def chance_of(task_id: str) -> float | None:
    """Return the loss at chance of the task or its records; None if its data are missing."""
    records, _ = read_records([COMMITTED])
    known = [record.task.chance for record in records if record.task.id == task_id]
    if known:
        return known[0]
    try:
        return load_task(task_id).chance()
    except InputError:
        return None


def loss_of(entry: Published) -> float:
    return math.log(entry.score) if entry.unit.startswith("perplexity") else entry.score


# Chance on a thousand sequences of the adding problem: two standard deviations of its mean.
SPREAD = 2 * math.sqrt((1 / 15 - 1 / 36) / 1000)


@each
def test_no_score_beats_the_optimum(entry: Published) -> None:
    assert loss_of(entry) > (load_task(entry.task).optimum("full") or 0)


@each
def test_no_score_is_worse_than_chance(entry: Published) -> None:
    if entry.task.startswith("copy-memory"):
        # Over all positions: 10 ln 8 / (T + 20), to the printed digits.
        assert entry.score < 10 * math.log(8) / 1020 + 5e-5
        return
    if entry.unit.startswith("percent"):  # the higher, the better; one class of ten is chance
        assert 10 < entry.score <= 100
        return
    task, chance = load_task(entry.task), chance_of(entry.task)
    if task.loss.score == "perplexity":
        assert entry.score < task.outputs  # a uniform guess, whatever the data
    elif chance is None:
        pytest.skip(f"{entry.task} needs its data to know chance")
    if chance is not None:
        assert loss_of(entry) < chance + (SPREAD if entry.task.startswith("adding") else 0)


@each
def test_no_context_exceeds_the_longest_one(entry: Published) -> None:
    assert entry.context is None or entry.at_most is None
    if "Transformer" in entry.model or "GCNN" in entry.model:
        assert entry.context != "full"


def test_no_number_is_listed_twice() -> None:
    keys = [(entry.task, entry.model, entry.source) for entry in ENTRIES]
    assert len(set(keys)) == len(keys)
    assert len({(e.task, e.source, e.model.casefold(), e.printed) for e in ENTRIES}) == len(keys)


@each
def test_known_mistakes_are_avoided(entry: Published) -> None:
    # Once labelled WikiText-2 in the README of pytorch/examples, and measured on Penn Treebank.
    treebank = {"117.61", "110.44", "87.17", "80.97", "75.96", "77.42", "72.30", "72.3"}
    assert entry.printed not in treebank
    text = f"{entry.task} {entry.model} {entry.source} {entry.note}".casefold()
    for word in ("penn", "ptb", "treebank"):
        assert word not in text
    # They learn while they are tested; they model the joint frame; the suite takes slices.
    for word in ("cache", "dynamic", "rbm", "nade", "dbn", "billion"):
        assert word not in text
    if entry.source.work == "Miller":
        assert "blog" in entry.source.where


def test_copy_memory_is_never_shown_as_recall() -> None:
    for entry in ENTRIES:
        if entry.task.startswith("copy-memory"):
            assert "all positions" in entry.unit
            assert UNITS[entry.unit].score is None


# Reading.

GOOD = """
[sources.a]
work = "Anon"
year = 2020
where = "arXiv 1, table 1"

[[group]]
task = "music/jsb"
unit = "nats per frame"
source = "a"
scores = [{ model = "LSTM", score = "8.40", context = 13, parameters = "1.5M", note = "why" }]
"""


def read(tmp_path: Path, text: str) -> tuple[Published, ...]:
    path = tmp_path / "published.toml"
    path.write_text(text)
    return read_published(path)


def test_entries_are_read(tmp_path: Path) -> None:
    (entry,) = read(tmp_path, GOOD)
    assert entry == Published(
        task="music/jsb",
        model="LSTM",
        printed="8.40",
        unit="nats per frame",
        context=13,
        at_most=None,
        parameters="1.5M",
        source=Citation("Anon", 2020, "arXiv 1, table 1"),
        note="why",
    )
    assert (entry.score, entry.parameter_count) == (8.4, 1_500_000)
    assert str(entry.source) == "Anon 2020, arXiv 1, table 1"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("music/jsb", "wikitext-2", "unit 'nats per frame' is not a unit of this task: perplexity"),
        ("music/jsb", "music/jbs", "did you mean music/jsb"),
        ("nats per frame", "bits", "unit 'bits'"),
        ('source = "a"', "", "source 'None' is not described"),
        ('source = "a"', 'source = "b"', "source 'b' is not described"),
        ('"8.40"', '"inf"', "score = 'inf' is not a positive number"),
        ('"8.40"', '"nan"', "score = 'nan' is not a positive number"),
        ('"8.40"', '"-1"', "score = '-1' is not a positive number"),
        ('"8.40"', "8.40", "score = 8.4 is not a positive number in quotes"),
        ('score = "8.40", ', "", "score is missing"),
        (
            "context = 13",
            "context = 0",
            "context = 0 should be greater than or equal to 1 or should be 'full'",
        ),
        ("context = 13", "context = true", "context = True should be a valid integer"),
        ("context = 13", 'context = "13"', "context = '13' should be a valid integer"),
        ("context = 13", 'at_most = "full"', "at_most = 'full' should be a valid integer"),
        ("context = 13", "context = 13, at_most = 13", "both given"),
        ('"1.5M"', "1500000", "parameters = 1500000 should be a valid string"),
        ('"1.5M"', '"1.5"', "parameters = '1.5' should match pattern"),
        ('note = "why"', 'unit = "bits"', "unit 'bits' is not a unit of this task"),
        ('note = "why"', "interval = 1", "unknown field 'interval'"),
        ('"why" }', '"why" }, { model = "LSTM", score = "8.5" }', "given twice for Anon 2020"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_named(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    with pytest.raises(RecordError) as error:
        read(tmp_path, text)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    (task,) = re.findall('task = "(.*)"', text)
    assert str(error.value).startswith(f"published {task}, LSTM: ")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('model = "LSTM", ', "", "published music/jsb, None: model is missing"),
        ('work = "Anon"', "", "published source 'a': work is missing"),
        (
            "year = 2020",
            'year = "2020"',
            "published source 'a': year = '2020' should be a valid integer",
        ),
        ('where = "arXiv 1, table 1"', 'where = ""', "published source 'a'"),
        ("[[group]]", "[[group", "published.toml is not TOML"),
    ],
)
def test_other_errors_are_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(RecordError, match=re.escape(says)):
        read(tmp_path, GOOD.replace(old, new, 1))


# Tables.


def jsb() -> list[Record]:
    return [make_record({1: 9.0, "full": 8.3}, task="music/jsb", unit="nats per frame")]


def shown(form: str, task_id: str = "music/jsb") -> str:
    entries = [entry for entry in ENTRIES if entry.task == task_id]
    return board_text(boards(jsb()), form, entries)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["wide", "markdown"])
def test_published_rows_follow_and_change_nothing_above(form: str) -> None:
    alone, text = board_text(boards(jsb()), form), shown(form)  # type: ignore[arg-type]
    assert text.startswith(alone)
    below = text[len(alone) :]
    assert "Published, as printed; not ranked." in below
    (tcn,) = [line for line in below.splitlines() if re.match(r"(\| )?TCN  ", line)]
    assert re.findall(r"8\.10|\b13\b|300K|table 1", tcn) == ["8.10", "13", "300K", "table 1"]
    assert "±" not in below
    # Models are in the order of the file.
    places = [below.index(f"{model} ") for model in ("GRU", "RNN", "TCN")]
    assert places == sorted(places)


def test_another_quantity_has_its_own_table_and_an_explanation() -> None:
    first, *rest = shown("markdown").split("Published, as printed")[1:]
    assert "RRU" not in first
    assert "Not the measured score" not in first
    (windows,) = rest
    assert "Not the measured score: a window" in windows
    text = shown("wide", "copy-memory/T=1000")
    assert "copy-memory/T=1000: nothing measured" in text
    assert "Not the measured score: measured scores are of the ten recalled symbols" in text


def test_missing_values_and_bounds_are_shown() -> None:
    text = shown("markdown", "wikitext-103")
    (tcn,) = [line for line in text.splitlines() if line.startswith("| TCN ")]
    assert "≤ 125" in tcn
    (large,) = [line for line in text.splitlines() if line.startswith("| Transformer-XL Large")]
    assert [cell.strip() for cell in large.split("|")][2:5] == ["18.3", "–", "257M"]


def test_two_versions_of_a_task_show_them_once() -> None:
    records = [*jsb(), make_record({"full": 8.3}, task="music/jsb", version=2)]
    tcn = [entry for entry in ENTRIES if (entry.task, entry.model) == ("music/jsb", "TCN")]
    text = board_text(boards(records), "table", tcn)
    assert text.count("8.10") == 1
    assert text.index("version 2") < text.index("8.10")


def test_flat_tables_mark_them_and_keep_measured_rows() -> None:
    table = pd.read_csv(io.StringIO(shown("csv")), dtype=str, keep_default_na=False)
    assert list(table.columns) == list(COLUMNS)
    measured = table[table["trust"] == "self-reported"]
    assert list(measured["loss"]) == ["9.0", "8.3"]
    assert set(measured["parameters"]) == {"1234"}
    assert set(measured["printed"]) == {""}
    published = table[table["trust"] == "published"]
    assert len(published) == len([e for e in ENTRIES if e.task == "music/jsb"])
    for column in ("half_width", "loss_low", "loss_high", "n", "seed", "chance", "optimum"):
        assert set(published[column]) == {""}
    (tcn,) = published[published["model"] == "TCN"].to_dict("records")
    wanted = {"k": "13", "loss": "8.1", "printed": "8.10", "parameters": "300000"}
    assert {key: tcn[key] for key in wanted} == wanted
    (rru,) = published[published["model"] == "RRU"].to_dict("records")
    assert (rru["loss"], rru["perplexity"], rru["printed"]) == ("", "", "7.72")


def test_whole_numbers_stay_whole_if_one_is_missing() -> None:
    tcns = [e for e in ENTRIES if e.task == "music/jsb" and e.model.startswith("TCN")]
    table = pd.read_csv(io.StringIO(board_text([], "csv", tcns)), dtype=str, keep_default_na=False)
    assert list(table["k"]) == ["13", ""]
    assert list(table["parameters"]) == ["300000", ""]


def test_json_has_perplexities_in_their_field_and_null_for_missing_values() -> None:
    rows = [row for row in json.loads(shown("json", "wikitext-103")) if row["trust"] == "published"]
    (tcn,) = [row for row in rows if row["model"] == "TCN"]
    assert (tcn["loss"], tcn["loss_unit"], tcn["k"], tcn["k_at_most"]) == (None, None, None, 125)
    assert tcn["perplexity"] == pytest.approx(45.19)
    assert tcn["source"].startswith("Bai, Kolter & Koltun 2018")
