"""Verdicts: margins, intervals, and what is not compared at all."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from seqmem.check.ci import annotations, junit
from seqmem.check.curves import Curves, Run, Setting
from seqmem.check.expectation import (
    Expectation,
    ExpectationError,
    expectation_from_json,
    expectation_to_json,
    read_expectations,
    write_expectation,
)
from seqmem.check.judge import Verdict, judge
from seqmem.check.margin import LEVEL, fresh_margin
from seqmem.check.report import CheckReport, report_json, report_table, sentence

SKIPPED = Verdict("wikitext-2", "all", "skipped", "no data")
SETTING = Setting("delay/lag=3", 1, "test", "train", (1, "full"), (50,) * 16, {"steps": 4})


def curves(
    rng: np.random.Generator,
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4),
    noise: float = 0.01,
    shift: float = 0.0,
) -> Curves:
    """Losses near 2 and 1, shifted as a whole by the seed."""
    means = np.array([2.0, 1.0]) + shift + noise * rng.standard_normal((len(seeds), 2))
    runs = tuple(
        Run(seed, tuple((50 * mean,) * 16 for mean in each), 1000, 0.5, 2.0)
        for seed, each in zip(seeds, means.tolist(), strict=True)
    )
    return Curves("lstm", SETTING, "nats", 2.0, runs)


def expectation(rng: np.random.Generator, rounding: float = 1e-5) -> Expectation:
    changes = (rounding * rng.standard_normal((5, 2))).round(9)
    return Expectation(curves(rng), tuple(map(tuple, changes.tolist())), "2026-01-01", {}, {})


def shifted(found: Curves, by: float, k: int = 0) -> Curves:
    """Return curves with every loss at one k larger by this much."""
    runs = []
    for run in found.runs:
        sums = [list(each) for each in run.group_sums]
        sums[k] = [total + 50 * by for total in sums[k]]
        runs.append(replace(run, group_sums=tuple(map(tuple, sums))))
    return replace(found, runs=tuple(runs))


def report(*verdicts: Verdict, speed: bool = False) -> CheckReport:
    return CheckReport(verdicts, speed)


def test_the_same_training_is_green_and_a_small_change_of_it_is_not() -> None:
    expected = expectation(np.random.default_rng(0))
    same = expected.curves.only((0, 1))
    assert judge(expected, same).state == "green"
    assert judge(expected, same).same
    for by in (0.002, -0.002):  # a fifth of what another seed changes
        verdict = judge(expected, shifted(same, by, k=1))
        assert verdict.state == "red"
        assert verdict.worst is not None
        assert verdict.worst.k == "full"
        assert verdict.worst.difference == pytest.approx(by, rel=1e-6)
        assert "other seeds change the loss as much" in sentence(verdict)
    assert "more than any seed explains" in sentence(judge(expected, shifted(same, 1.0)))


def test_near_the_margin_a_cell_is_undecided() -> None:
    expected = expectation(np.random.default_rng(0), rounding=1e-3)
    same = expected.curves.only((0, 1))
    margin = float(expected.margins(2, same=True)[0])
    states = [judge(expected, shifted(same, by * margin)).state for by in (0.3, 1.0, 3.0)]
    assert states == ["green", "cannot tell", "red"]


def test_a_margin_wider_than_what_can_be_learned_makes_nothing_green() -> None:
    rng = np.random.default_rng(0)
    wide = replace(expectation(rng), curves=curves(rng, noise=0.5))
    verdict = judge(wide, curves(rng, seeds=(7, 8), noise=0.5))
    assert verdict.state == "cannot tell"


def test_fresh_seeds_are_seldom_red_and_a_large_shift_is() -> None:
    """The margin has its stated level: expectations and trainings are drawn anew each time."""
    rng = np.random.default_rng(5)
    red = shifted_red = 0
    for _ in range(1000):
        expected = expectation(rng)
        red += judge(expected, curves(rng, seeds=(7, 8))).state == "red"
        shifted_red += judge(expected, curves(rng, seeds=(7, 8), shift=0.5)).state == "red"
    assert red <= 1000 * 2 * LEVEL * 4  # two k; four times the expected number is a one in 500 case
    assert shifted_red > 990


def test_more_seeds_narrow_the_margin() -> None:
    found = curves(np.random.default_rng(0))
    assert (fresh_margin(found, 5) < fresh_margin(found, 1)).all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"version": 2}, "version"),
        ({"data_hash": "other"}, "test data"),
        ({"training_hash": "other"}, "training data"),
        ({"contexts": (2, "full")}, "context lengths"),
        ({"group_counts": (49, *(50,) * 15)}, "scored targets"),
        ({"recipe": {"steps": 5}}, "recipe"),
    ],
)
def test_what_changed_is_not_compared(change: dict[str, object], word: str) -> None:
    expected = expectation(np.random.default_rng(0))
    same = expected.curves.only((0, 1))
    other = replace(same, setting=replace(SETTING, **change))  # type: ignore[arg-type]
    verdict = judge(expected, other)
    assert verdict.state == "not comparable"
    assert word in verdict.reason
    assert "--update" in verdict.reason
    assert report(judge(expected, same), verdict).problems()


def test_nothing_compared_is_no_success() -> None:
    assert report().problems()
    assert report(SKIPPED).problems()
    rng = np.random.default_rng(0)
    expected = expectation(rng)
    green = judge(expected, expected.curves.only((0, 1)))
    assert not report(green, SKIPPED).problems()
    assert report(green, Verdict("delay/lag=3", "tcn", "red", "training diverged")).problems()


def test_slow_fails_only_when_asked() -> None:
    expected = expectation(np.random.default_rng(0))
    same = expected.curves.only((0, 1))
    slower = replace(same, runs=tuple(replace(run, training=1.1) for run in same.runs))
    verdict = judge(expected, slower)
    assert verdict.speed is not None
    assert verdict.speed.training == pytest.approx(2.2)
    assert not report(verdict).problems()
    assert report(verdict, speed=True).problems()
    assert "×2.20" in report_table(report(verdict), "table")
    more = replace(same, runs=tuple(replace(run, model_steps=1200) for run in same.runs))
    assert report(judge(expected, more), speed=True).problems()


def test_expectations_are_read_as_they_were_written_and_the_latest_counts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first, second = expectation(rng), expectation(rng)
    paths = [write_expectation(each, tmp_path) for each in (first, second)]
    for n in range(9):  # lstm.10.json comes after lstm.9.json
        paths.append(write_expectation(second if n == 8 else first, tmp_path))
    assert [path.name for path in paths[:2]] == ["lstm.json", "lstm.2.json"]
    found, problems = read_expectations(tmp_path)
    assert not problems
    assert found == {("delay/lag=3", "lstm"): second}
    assert expectation_from_json(expectation_to_json(first)) == first
    text = json.loads(paths[0].read_text())
    assert text["losses"] == pytest.approx(first.curves.losses().mean(0), rel=1e-5)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"form": 99}', '{"form": 1, "setting": {}, "runs": []}', "[" * 99_999],
    ids=range(6),
)
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ExpectationError):
        expectation_from_json(text)
    (tmp_path / "x.json").write_text(text)
    assert len(read_expectations(tmp_path)[1]) == 1


def test_json_junit_and_annotations() -> None:
    expected = expectation(np.random.default_rng(0))
    same = expected.curves.only((0, 1))
    one = report(
        judge(expected, same),
        judge(expected, replace(shifted(same, 0.5), model="gru")),
        Verdict("delay/lag=3", "tcn", "red", "100 % wrong\nand more"),
        SKIPPED,
    )
    root = ElementTree.fromstring(junit(one))
    suites = {suite.get("name"): suite for suite in root}
    assert suites["delay/lag=3"].get("failures") == "2"
    assert suites["delay/lag=3"].get("tests") == "3"
    assert suites["wikitext-2"].get("skipped") == "1"
    lines = annotations(one).splitlines()
    assert [line.split()[0] for line in lines] == ["::error", "::error", "::notice"]
    assert "100 %25 wrong%0Aand more" in lines[1]
    data = json.loads(report_json(one))
    assert not data["passed"]
    assert [cell["state"] for cell in data["cells"]] == ["green", "red", "red", "skipped"]
    assert "2 red" in report_table(one, "markdown")
    # Nothing but skipped cases is an error in the file too.
    empty = ElementTree.fromstring(junit(report(SKIPPED)))
    assert empty.find(".//error") is not None
