"""`seqmem plot` draws a task's records to a file."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("vl_convert", reason="charts need the plot extra")

from seqmem.leaderboard.store import write_record
from seqmem.tests.command import Command
from seqmem.tests.leaderboard.charts.drawn import LOSSES
from seqmem.tests.records import make_record

PNG = b"\x89PNG"


def test_plot_draws_svg_and_png(seqmem_: Command, tmp_path: Path) -> None:
    write_record(make_record(LOSSES), tmp_path / "mine", "one")
    for name, starts in (("curve.svg", b"<svg"), ("curve.PNG", PNG)):
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


def test_without_the_extra_one_line_names_it(
    seqmem_: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(make_record(LOSSES), tmp_path / "mine", "one")
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    ran = seqmem_("plot", "toy/T=3", "-o", "c.svg", "--records", "mine")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "vl_convert is not installed; pip install 'seqmem[plot]'" in ran.err
