"""Strata in records: stored, checked, shown as a table, a data frame and a chart."""

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from seqmem.api.model_curve import ModelCurve
from seqmem.errors import InputError
from seqmem.leaderboard.record import Record, RecordError, from_json, to_json
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.statistics.strata import needs, shares, split_row
from seqmem.leaderboard.store import write_record
from seqmem.leaderboard.tables.strata_table import strata_text
from seqmem.tests.command import Command
from seqmem.tests.records import Losses, make_record, split_by

LOSSES: Losses = {1: 0.9, 2: 0.7, 4: 0.4, 8: 0.3, "full": 0.3}


def split(**fields: Any) -> Record:
    return split_by(make_record(LOSSES, **fields))


def test_strata_survive_json_and_records_without_them_are_unchanged() -> None:
    assert from_json(to_json(split())) == split()
    assert "strata" not in to_json(make_record(LOSSES))  # signatures of older records stay valid
    assert from_json(to_json(make_record(LOSSES))).strata == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.update(counts=[25, 76]), "add up to 101 of 100 targets"),
        (lambda s: s.update(counts=[100, 0]), "greater than or equal to 1"),
        (lambda s: s.update(counts=[100]), "do not fit 2 labels"),
        (lambda s: s.update(labels=["rare", "rare"]), "do not fit 2 labels"),
        (lambda s: s.update(labels=["rare", "a\x1b[2K"]), "cannot be printed"),
        (lambda s: s.update(labels=["x" * 65, "y"]), "at most 64"),
        (lambda s: s.update(labels=[], counts=[]), "at least 1"),
        (lambda s: s.update(labels=[str(i) for i in range(65)]), "at most 64"),
        (lambda s: s["curve"][0].update(loss=[1.05, 0.86]), "strata give 0.9075"),
        (lambda s: s["curve"][0].update(excess=[0.75, 0.56]), "mean excess at k = 1"),
        (lambda s: s["curve"][0].update(loss=[1.05]), "do not fit 2 labels"),
        (lambda s: s["curve"][0].update(loss_half=[-1, 0.1]), "greater than or equal to 0"),
        (lambda s: s["curve"][0].update(excess=None), "do not fit 2 labels"),
        (lambda s: s["curve"][0].update(loss=[1e300, 0.86]), "less than or equal to"),
        (lambda s: s["curve"][0].update(k=3), "ascending|not in the curve"),
        (lambda s: s["curve"].reverse(), "not ascending"),
        (lambda s: s.update(curve=[]), "not ascending"),
    ],
)
def test_strata_that_cannot_be_true_are_refused(
    change: Callable[[dict[str, Any]], None], says: str
) -> None:
    data = json.loads(to_json(split()))
    change(data["strata"][0])
    with pytest.raises(RecordError, match=says):
        from_json(json.dumps(data))


def test_kinds_are_few_and_each_is_there_once() -> None:
    data = json.loads(to_json(split()))
    data["strata"] *= 2
    with pytest.raises(RecordError, match="one kind twice"):
        from_json(json.dumps(data))
    data["strata"] *= 9
    with pytest.raises(RecordError, match="18 kinds, more than 16"):
        from_json(json.dumps(data))


def test_each_stratum_has_its_need_and_its_share() -> None:
    (row,) = boards([split(chance=1.3)])[0].rows
    found = split_row(row, "frequency")
    assert found is not None
    rare, frequent = needs(found)  # the tolerance is 0.013; at k = 8 they lose 0.15 and −0.05
    assert (rare.state, rare.largest) == ("beyond", 8)
    assert (frequent.k, frequent.low, frequent.high) == (8, 8, 8)
    point = found.at(1)
    assert point is not None
    parts = shares(found.strata, point)  # 25 × 0.75 and 75 × 0.55
    assert parts == pytest.approx([18.75 / 60, 41.25 / 60])
    point = found.at("full")
    assert point is not None
    assert shares(found.strata, point) is None


def test_the_table_shows_the_seed_with_the_median_loss() -> None:
    seeds = [
        split_by(make_record({k: loss + more for k, loss in LOSSES.items()}, seed=i))
        for i, more in enumerate((0.2, 0.0, 0.1))
    ]
    text = strata_text(boards([*seeds, make_record(LOSSES, label="tcn")]), "frequency", "markdown")
    lines = [line for line in text.splitlines() if line.startswith("| lstm")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [line[1] for line in cells] == ["rare", "frequent"]
    assert [line[2] for line in cells] == ["25.0 %", "75.0 %"]
    assert [line[3] for line in cells] == ["0.400 ±0.020", "0.400 ±0.010"]
    assert cells[0][4] == "+0.550 ±0.020"  # k = 2: 0.7 − 0.3 + 3 · 0.05
    assert "Without strata in their records: tcn." in text


def test_words_lose_per_cents_of_their_perplexity() -> None:
    (board,) = boards([split(score="perplexity", unit="nats per word", chance=5.0)])
    text = strata_text([board], "frequency", "wide", [1, "full"])
    assert f"+{100 * math.expm1(0.75):.1f} ±4.2 %" in text
    assert "k = 1 " in text
    assert "k = 2" not in text


def test_csv_and_data_frames_hold_every_number() -> None:
    rows = list(csv.DictReader(io.StringIO(strata_text(boards([split()]), "frequency", "csv"))))
    assert len(rows) == 2 * len(LOSSES)
    frame = ModelCurve((split(),)).by("frequency")
    assert frame["loss"].tolist() == pytest.approx([float(row["loss"]) for row in rows])
    at_1 = frame[frame.k == 1]
    assert (at_1.loss * at_1.targets).sum() / at_1.targets.sum() == pytest.approx(LOSSES[1])
    assert at_1.share_of_excess.sum() == pytest.approx(1)
    assert ((frame.loss_low < frame.loss) & (frame.loss < frame.loss_high)).all()


def test_unknown_kinds_are_named_in_one_line() -> None:
    with pytest.raises(InputError, match="by 'slot': the records of toy/T=3 are split by freq"):
        ModelCurve((split(),)).by("slot")
    with pytest.raises(InputError, match="no record of toy/T=3 has strata"):
        ModelCurve((make_record(LOSSES),)).by("slot")


def test_commands_show_and_draw_strata(seqmem_: Command, tmp_path: Path) -> None:
    write_record(split(), tmp_path / "mine", "one")
    asked = ["--records", "mine", "--by", "frequency"]
    ran = seqmem_("leaderboard", *asked)
    assert (ran.status, ran.err) == (0, "")
    assert "toy/T=3 by frequency" in ran.out
    assert "rare" in ran.out
    refused = seqmem_("leaderboard", "--records", "mine", "--by", "nothing")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "by 'nothing'" in refused.err
    assert seqmem_("leaderboard", *asked, "--format", "html").status == 2
    ran = seqmem_("leaderboard", *asked, "--format", "parquet", "-o", "strata.parquet")
    assert (ran.status, ran.err) == (0, "")
    frame = pd.read_parquet(tmp_path / "strata.parquet")
    assert frame["loss"].tolist() == ModelCurve((split(),)).by("frequency")["loss"].tolist()
    pytest.importorskip("vl_convert", reason="charts need the plot extra")
    drawn = seqmem_("plot", "toy/T=3", "-o", "c.svg", *asked, "--width", "5")
    assert (drawn.status, drawn.out, drawn.err) == (0, "", "")
    picture = (tmp_path / "c.svg").read_text()
    assert ">rare<" in picture
    assert ">lstm on toy/T=3<" in picture
    assert seqmem_("plot", "toy/T=3", "-o", "c.svg", *asked, "--against", "state").status == 2
