"""Charts hold what the records hold, and become files that need nothing else."""

import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.dom import minidom

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("altair", reason="charts need the plot extra")
pytest.importorskip("vl_convert", reason="charts need the plot extra")

from seqmem.baselines import BASELINES
from seqmem.leaderboard.aggregate import Board, boards
from seqmem.leaderboard.charts import curve_chart, matrix_chart, need_chart
from seqmem.leaderboard.charts.curve import _apart
from seqmem.leaderboard.charts.parts import picture
from seqmem.leaderboard.charts.styles import styles
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.store import write_record
from seqmem.tests.command import Command
from seqmem.tests.records import make_record, make_trained

LOSSES: dict[Context, float] = {1: 0.9, 2: 0.5, 16: 0.2, "full": 0.2}
PNG = b"\x89PNG"


def everything(task: str = "toy/T=3") -> Board:
    """Every baseline, two seeds each."""
    records = [
        make_trained(
            {k: loss + i / 100 + seed / 500 for k, loss in LOSSES.items()},
            label=label,
            seed=seed,
            task=task,
        )
        for i, label in enumerate(BASELINES)
        for seed in range(2)
    ]
    (board,) = boards(records)
    return board


def values(chart: Any, *keys: str) -> list[dict[str, Any]]:
    """Every row of a chart's data that has all the keys; layers that share data give it once."""

    def found(part: Any) -> Iterator[dict[str, Any]]:
        if isinstance(part, dict):
            for row in part.get("values", ()) if isinstance(part.get("values"), list) else ():
                if isinstance(row, dict) and set(keys) <= row.keys():
                    yield row
            for value in part.values():
                yield from found(value)
        elif isinstance(part, list):
            for value in part:
                yield from found(value)

    specification = chart.to_dict()
    shared = [{"values": rows} for rows in specification.pop("datasets", {}).values()]
    unique = {repr(row): row for row in found([specification, shared])}
    return list(unique.values())


def test_a_curve_chart_holds_every_score_interval_and_seed() -> None:
    board = everything()
    chart = curve_chart([board], BASELINES)
    drawn = values(chart, "model", "score", "low", "high")
    for row in board.rows:
        for k, cell in row.scores.items():
            (point,) = [
                p
                for p in drawn
                if p["model"] == row.label and (p["full"] if k == "full" else p["k"] == k)
            ]
            assert cell.half is not None
            assert point["score"] == cell.value
            assert point["high"] - point["low"] == pytest.approx(2 * cell.half)
    assert len(values(chart, "model", "seed")) == len(board.rows) * len(LOSSES) * 2
    right = [point["k"] for point in drawn if point["full"]]
    assert len(set(right)) == len(right)  # side by side
    assert min(right) > max(k for k in LOSSES if k != "full")


def test_every_model_chance_and_optimum_are_named() -> None:
    svg = picture(curve_chart([everything()], BASELINES), "svg").decode()
    texts = [node.firstChild.nodeValue for node in minidom.parseString(svg).getElementsByTagName(
        "text") if node.firstChild]  # fmt: skip
    for name in (*BASELINES, "chance", "optimum", "full"):
        assert texts.count(name) == 1
    outside = set(re.findall(r"https?://[^\"'<\s)]+", svg))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert re.search(r'role="img" aria-label="toy/T=3: [^"]*12 models: [^"]*Lower is better', svg)


def test_a_picture_does_not_depend_on_those_before_it() -> None:
    chart = curve_chart([everything()], BASELINES)
    first = picture(chart, "svg")
    assert picture(chart, "svg") == first
    assert set(re.findall(rb"#(clip\d+)", first)) <= set(re.findall(rb'id="(clip\d+)"', first))


@given(st.lists(st.floats(0, 300), max_size=20).map(sorted))
def test_labels_are_apart_in_order_and_within_the_frame(heights: list[float]) -> None:
    placed = _apart(heights, 14, 300)
    assert len(placed) == len(heights)
    assert all(after - before >= 14 - 1e-6 for before, after in pairwise(placed))
    assert all(0 <= height <= 300 + 1e-6 for height in placed)
    if all(after - before >= 14 for before, after in pairwise(heights)):
        assert placed == pytest.approx(heights)


def test_styles_differ_and_belong_to_the_model() -> None:
    names = [*BASELINES, *(f"{name}:hidden=3" for name in BASELINES), "mine"]
    looks = styles(names, BASELINES)
    assert len(set(looks)) == len(names)
    assert len({(look.colour, look.dash) for look in looks}) == len(names)
    assert styles(["tcn", "lstm"], BASELINES) == [
        looks[names.index("tcn")],
        looks[names.index("lstm")],
    ]


def test_scores_far_above_chance_do_not_flatten_the_rest() -> None:
    (board,) = boards([make_record({1: 50.0, 2: 0.9, "full": 0.1})])
    text = curve_chart([board], BASELINES).to_json()
    assert "what lies above the frame is not drawn" in text
    assert "what lies above" not in curve_chart([everything()], BASELINES).to_json()


@pytest.mark.parametrize(
    "losses", [{"full": 0.5}, {1: 0.5}, {1: 1.0, "full": 1.0}, {1: 800.0, "full": 5.0}]
)
@pytest.mark.parametrize("score", ["loss", "perplexity"])
def test_bare_boards_can_be_drawn(losses: dict[Context, float], score: str) -> None:
    (board,) = boards([make_record(losses, score=score, half=None, optimum=None)])
    chart = curve_chart([board], BASELINES)
    assert chart.to_dict()
    need_chart([board], BASELINES).to_dict()
    if score == "perplexity":
        picture(chart, "svg")


def test_a_matrix_keeps_carried_and_reset_apart_and_leaves_gaps() -> None:
    records = [
        make_trained({1: first, k: 0.4, "full": first / 2}, k_train=k, usual_k=8, state=state)
        for k, state, first in ((2, "carried", 0.9), (8, "carried", 0.8), (8, "reset", 0.7))
    ]
    (board,) = boards([*records, make_trained({1: 0.1, "full": 0.1}, label="gru")])
    chart = matrix_chart(board, "lstm")
    cells = values(chart, "k_train", "k")
    assert len(cells) == 8  # of nine, the two of k = k_train = 8 are alike
    assert {(c["k_train"], c["k"]) for c in cells if c["same"]} == {("2", "2"), ("8", "8")}
    assert [panel["title"]["text"] for panel in chart.to_dict()["vconcat"]] == [
        "state carried", "state reset before each window",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no row of rnn"):
        matrix_chart(board, "rnn")


def test_a_need_chart_tells_the_states_apart() -> None:
    (board,) = boards(
        [
            make_trained({1: 0.9, 4: 0.1, 8: 0.1, "full": 0.1}, label="lstm"),
            make_trained({1: 0.9, 4: 0.5, 8: 0.4, "full": 0.1}, label="rnn"),
            make_trained({1: 1.0, 4: 1.0, 8: 1.0, "full": 1.0}, label="gru"),
            make_trained({1: 1.0}, label="tcn"),
        ]
    )
    chart = need_chart([board], BASELINES)
    states = {(mark["model"], mark["state"]): mark["k"] for mark in values(chart, "state")}
    assert states[("lstm", "context need k*(1 %)")] == 4
    assert states[("rnn", "> largest k measured")] > 8
    assert states[("gru", "never better than chance")] < 1
    assert not [model for model, _ in states if model == "tcn"]
    (line,) = [row for row in values(chart, "k") if set(row) == {"k"}]
    assert line == {"k": 4}
    assert "lstm 4" in str(chart.description)


def test_drawing_needs_no_torch() -> None:
    code = (
        "import sys, seqmem.leaderboard.charts, seqmem.leaderboard.charts.plot, "
        "seqmem.docs.sentences, seqmem.docs.unsettled; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# The command.


def test_plot_draws_svg_and_png(seqmem_: Command, tmp_path: Path) -> None:
    write_record(make_record(LOSSES), tmp_path / "mine", "one")
    for name, starts in (("curve.svg", b"<svg"), ("curve.PNG", PNG)):
        ran = seqmem_("plot", "toy/T=3", "-o", name, "--records", "mine")
        assert (ran.status, ran.out, ran.err) == (0, "", "")
        assert (tmp_path / name).read_bytes().startswith(starts)


def test_plot_shows_only_the_budget_asked_for(seqmem_: Command, tmp_path: Path) -> None:
    write_record(make_record(LOSSES, label="gru"), tmp_path / "mine", "one")
    write_record(make_record(LOSSES, label="rnn", budget="smoke"), tmp_path / "mine", "two")
    asked = ["plot", "toy/T=3", "-o", "c.svg", "--records", "mine"]
    assert seqmem_(*asked, "--budget", "smoke").status == 0
    picture_of_smoke = (tmp_path / "c.svg").read_text()
    assert ">rnn<" in picture_of_smoke
    assert ">gru<" not in picture_of_smoke


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("plot", "Missing argument"),
        ("plot toy/T=3", "Missing option"),
        ("plot toy/T=3 -o c.pdf", "ends in .svg or .png"),
        ("plot toy/T=3 -o c", "ends in .svg or .png"),
        ("plot toy/T=4 -o c.svg --records mine", "did you mean toy/T=3"),
        ("plot toy/T=3 -o c.svg --records nowhere", "no such file or folder"),
        ("plot toy/T=3 -o c.svg --records empty", "no records of toy/T=3"),
        ("plot toy/T=3 -o c.svg --records mine --budget smal", "did you mean small"),
        ("plot toy/T=3 -o nowhere/c.svg --records mine", "cannot be written"),
    ],
)
def test_a_wrong_plot_costs_one_line(
    seqmem_: Command, tmp_path: Path, arguments: str, says: str
) -> None:
    write_record(make_record(LOSSES), tmp_path / "mine", "one")
    (tmp_path / "empty").mkdir()
    ran = seqmem_(*arguments.split())
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert says in ran.err
    assert not list(tmp_path.glob("c*"))


@pytest.mark.parametrize("gone", ["altair", "vl_convert"])
def test_without_the_extra_one_line_says_how_to_get_it(
    seqmem_: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    write_record(make_record(LOSSES), tmp_path / "mine", "one")
    monkeypatch.setattr(
        "seqmem.leaderboard.charts.plot.find_spec", lambda name: None if name == gone else object()
    )
    ran = seqmem_("plot", "toy/T=3", "-o", "c.svg", "--records", "mine")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert f"{gone} is not installed; pip install 'seqmem[plot]'" in ran.err
