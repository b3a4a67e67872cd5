"""`seqmem plot` draws a task's records to a file."""

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("vl_convert", reason="charts need the plot extra")

from seqmem.leaderboard.store import write_record
from seqmem.tests.command import Command
from seqmem.tests.leaderboard.charts.drawn import LOSSES
from seqmem.tests.records import make_record, recalled

PNG = b"\x89PNG"


def test_plot_draws_svg_png_and_pdf(seqmem_: Command, tmp_path: Path) -> None:
    write_record(make_record(LOSSES), tmp_path / "mine", "one")
    for name, starts in (("curve.svg", b"<svg"), ("curve.PNG", PNG), ("curve.pdf", b"%PDF")):
        ran = seqmem_("plot", "toy/T=3", "-o", name, "--records", "mine")
        assert (ran.status, ran.out, ran.err) == (0, "", "")
        assert (tmp_path / name).read_bytes().startswith(starts)


def test_plot_shows_only_the_requested_budget(seqmem_: Command, tmp_path: Path) -> None:
    write_record(make_record(LOSSES, label="gru"), tmp_path / "mine", "one")
    write_record(make_record(LOSSES, label="rnn", budget="smoke"), tmp_path / "mine", "two")
    asked = ["plot", "toy/T=3", "-o", "c.svg", "--records", "mine"]
    assert seqmem_(*asked, "--budget", "smoke").status == 0
    picture_of_smoke = (tmp_path / "c.svg").read_text()
    assert ">rnn<" in picture_of_smoke
    assert ">gru<" not in picture_of_smoke


def _inches(svg: str) -> float:
    (points,) = re.findall(r'^<svg [^>]*?width="([0-9.]+)pt"', svg)
    return float(points) / 72


@pytest.mark.parametrize("columns", [1, 2])
def test_a_picture_is_as_wide_as_requested(seqmem_: Command, tmp_path: Path, columns: int) -> None:
    for task in ("toy/T=3", "toy/T=4"):
        write_record(make_record(LOSSES, task=task), tmp_path / "mine", task[-1])
    asked = ["plot", "toy/T=3", "toy/T=4", "-o", "c.svg", "--records", "mine"]
    assert seqmem_(*asked, "--width", "6", "--columns", str(columns)).status == 0
    assert _inches((tmp_path / "c.svg").read_text()) == pytest.approx(6, abs=0.03)


def test_only_the_requested_models_are_drawn_and_one_stands_out(
    seqmem_: Command, tmp_path: Path
) -> None:
    for label in ("gru", "rnn", "lstm:hidden=8,layers=2"):
        write_record(make_record(LOSSES, label=label), tmp_path / "mine", label[:4])
    asked = [
        "plot",
        "toy/T=3",
        "-o",
        "c.svg",
        "--records",
        "mine",
        "--model",
        "gru,lstm:hidden=8,layers=2",
    ]
    assert seqmem_(*asked, "--highlight", "lstm").status == 0
    svg = (tmp_path / "c.svg").read_text()
    assert ">rnn<" not in svg
    assert re.search(r'font-weight="bold"[^>]*>lstm:hidden=8,layers=2<', svg)
    assert re.search(r">gru<", svg)
    assert not re.search(r'font-weight="bold"[^>]*>gru<', svg)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("plot", "Missing argument"),
        ("plot toy/T=3", "Missing option"),
        ("plot toy/T=3 -o c.jpeg", "ends in one of .svg, .pdf, .png"),
        ("plot toy/T=3 -o c", "ends in one of .svg, .pdf, .png"),
        ("plot toy/T=3 -o c.svg --records mine --model lstmm", "did you mean lstm"),
        ("plot toy/T=3 -o c.svg --records mine --highlight gru", "unknown model to highlight"),
        ("plot toy/T=3 -o c.svg --records mine --model ,", "names nothing"),
        ("plot toy/T=3 -o c.svg --records mine --width 1", "inches or more"),
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


def test_without_the_extra_one_line_names_it(
    seqmem_: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(make_record(LOSSES), tmp_path / "mine", "one")
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    ran = seqmem_("plot", "toy/T=3", "-o", "c.svg", "--records", "mine")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "vl_convert is not installed; pip install 'seqmem[plot]'" in ran.err


def test_a_sweep_draws_scores_and_bits_against_a_parameter(
    seqmem_: Command, tmp_path: Path
) -> None:
    for keys in (8, 32):
        for label in ("lstm", "tcn"):
            record = recalled(
                keys / 64, f"associative-recall/keys={keys},values=8,zipf=0", label=label
            )
            write_record(record, tmp_path / "mine", f"{label}{keys}")
    tasks = "associative-recall/keys=8|32,values=8,zipf=0"
    asked = ["plot", tasks, "-o", "c.svg", "--records", "mine", "--against"]
    ran = seqmem_(*asked, "keys", "--highlight", "lstm", "--width", "7")
    assert (ran.status, ran.err) == (0, "")
    svg = (tmp_path / "c.svg").read_text()
    assert _inches(svg) == pytest.approx(7, abs=0.03)
    # Two models at two numbers of keys, in two frames.
    assert len(re.findall(r'aria-label="[^"]*model: [^"]*" [^>]*description="point"', svg)) == 8
    assert "bits held, at least" in svg
    refused = seqmem_(*asked, "pairs")
    assert refused.status == 2
    assert "it may be state, keys, values, zipf" in refused.err
