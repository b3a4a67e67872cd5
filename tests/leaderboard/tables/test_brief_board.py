"""The board in a terminal: what it shows of each model, and that it fits."""

import re

import pytest

from seqmem.baselines import BASELINES
from seqmem.leaderboard.published import read_published
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.store import COMMITTED, read_records
from seqmem.leaderboard.tables.board_table import board_text
from seqmem.leaderboard.tables.brief_board import brief_text, telling_contexts
from seqmem.tests.records import make_record, make_trained

CURVE: dict[Context, float] = {1: 1.0, 2: 0.9, 4: 0.8, 8: 0.5, 16: 0.2, 32: 0.1, "full": 0.1}


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_committed_boards_fit(width: int) -> None:
    records, _ = read_records([COMMITTED])
    found = boards(records)
    text = brief_text(found, width, read_published())
    assert max(map(len, text.splitlines())) <= width
    for board in found:
        assert text.count(f"{board.task_id}: ") == 1
    for name in BASELINES.keys() & {record.model["name"] for record in records}:
        assert re.search(rf"^{name}\b", text, re.MULTILINE)


def test_telling_contexts_are_where_the_best_models_gain() -> None:
    (board,) = boards([make_trained(CURVE)])
    # Half of the gain, 0.45, is reached at 8; nine tenths, 0.81, at 32.
    assert telling_contexts(board) == (1, 8, 32, "full")
    (short,) = boards([make_trained({1: 0.9, 2: 0.3, "full": 0.3})])
    assert telling_contexts(short) == (1, 2, "full")


def test_contexts_of_one_model_alone_are_not_telling() -> None:
    own = {3: 0.99, 5: 0.7, 7: 0.55, 100: 0.1, **CURVE}
    curves = {"gru": CURVE, "tcn": CURVE, "lstm": own}
    (board,) = boards([make_trained(curve, label=name) for name, curve in curves.items()])
    assert telling_contexts(board) == (1, 8, 32, "full")
    text = brief_text([board], 120)
    assert not re.search(r"k=(3|5|7|100)\b", text)
    assert re.search(r"^tcn .*█▇▆▄▂▁$", text, re.MULTILINE)  # without gaps
    assert "k=5" in brief_text([board], 120, every_k=True)


def test_budgets_have_a_column_where_they_differ() -> None:
    (board,) = boards(
        [make_trained(CURVE, label=name, budget=budget)
         for name, budget in (("gru", "small"), ("lstm", "small"), ("lstm", "medium, steps 9"))]
    )  # fmt: skip
    text = brief_text([board], 80)
    assert re.search(r"^lstm +medium, steps 9 ", text, re.MULTILINE)
    assert re.search(r"^gru +small ", text, re.MULTILINE)


def test_scores_in_the_middle_of_a_curve_are_left_out_before_the_context_need() -> None:
    (board,) = boards(
        [make_trained(CURVE, label=name, budget=budget)
         for name, budget in (("lstm-stable:forget_bias=free", "medium, steps 23872"),
                              ("lstm", "small"))]
    )  # fmt: skip
    (head,) = re.findall("^model .*$", brief_text([board], 78), re.MULTILINE)
    assert head.split() == ["model", "budget", "k=1", "k=8", "full", "k*(1", "%)"]
    heads = re.findall("^model .*$", brief_text([board], 78, every_k=True), re.MULTILINE)
    assert len(heads) == 2  # what was asked for is shown


def test_a_row_shows_scores_need_and_curve() -> None:
    (board,) = boards([make_trained(CURVE, label="gru"), make_trained(CURVE, label="tcn")])
    text = brief_text([board], 120)
    assert re.search(r"^gru +.*1\.0000 +0\.5000 +0\.1000 .* 32 .* █▇▆▄▂▁$", text, re.MULTILINE)
    assert re.search(r"^chance +", text, re.MULTILINE)
    assert "--format wide" in text  # an option of every command that prints boards


def test_narrow_terminals_keep_scores_and_need() -> None:
    (board,) = boards([make_trained(CURVE, label="gru", seed=s) for s in range(3)])
    wide, narrow = brief_text([board], 120), brief_text([board], 50)
    assert "curve" in wide
    assert "curve" not in narrow
    assert "k*(1 %)" in narrow
    assert "0.1000" in narrow


def test_chosen_contexts_are_shown_in_every_format() -> None:
    found = boards([make_record(CURVE)])
    for form in ("table", "wide", "markdown", "latex"):
        text = board_text(found, form, contexts=(2, "full"))
        assert "0.9000" in text
        assert "0.8000" not in text
    assert board_text(found, "csv", contexts=(2, "full")).count("\n") == 3
