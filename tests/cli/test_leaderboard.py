"""`seqmem leaderboard`."""

import csv
import io
import json
import re
from pathlib import Path

from seqmem.tests.command import QUICK, Command


def test_the_leaderboard_shows_own_records(seqmem_: Command, tmp_path: Path) -> None:
    seqmem_("eval", "marginal", *QUICK)
    own = seqmem_("leaderboard", "--task", "adding-problem/T=5")
    assert own.status == 0
    assert "marginal" in own.out
    ran = seqmem_("leaderboard", "--records", "results", "--format", "csv", "-o", "board.csv")
    assert ran.out == ""
    assert (tmp_path / "board.csv").read_text().startswith("task,")
    (tmp_path / "results" / "broken.json").write_text("{")
    ran = seqmem_("leaderboard", "--records", "results")
    assert ran.status == 0
    assert "skipped results/broken.json: not JSON" in ran.err


def test_the_leaderboard_shows_published_numbers(seqmem_: Command) -> None:
    assert re.search(r"\d+ published numbers: --wide shows them", seqmem_("leaderboard").out)
    usual = seqmem_("leaderboard", "--wide")
    assert "not ranked" in usual.out
    assert "nothing measured" not in usual.out
    assert "not ranked" in seqmem_("leaderboard", "--task", "wikitext-2").out
    assert "not ranked" not in seqmem_("leaderboard", "--wide", "--no-published").out
    only = seqmem_("leaderboard", "--task", "wikitext-103", "--format", "markdown")
    assert only.status == 0
    assert "### wikitext-103: nothing measured" in only.out
    assert "45.19" in only.out
    rows = json.loads(seqmem_("leaderboard", "--task", "wikitext-103", "--format", "json").out)
    assert {row["trust"] for row in rows} == {"published"}
    ran = seqmem_("leaderboard", "--task", "wikitext-103", "--no-published")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "unknown task among the records 'wikitext-103'" in ran.err


def test_records_are_chosen_by_model_budget_and_k(seqmem_: Command) -> None:
    asked = ["leaderboard", "--task", "music/jsb", "--no-published", "--format", "csv"]
    ran = seqmem_(*asked, "--model", "lstm,tcn", "--budget", "small", "--k", "1,full")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert {row["model"] for row in rows} == {"lstm", "tcn"}
    assert {row["budget"] for row in rows} == {"small"}
    assert {row["k"] for row in rows} == {"1", "full"}
    for option, value, says in (("--model", "lstmm", "lstm"), ("--budget", "smal", "small")):
        ran = seqmem_(*asked, option, value)
        assert (ran.status, ran.err.count("\n")) == (2, 1)
        assert f"did you mean {says}" in ran.err


def test_records_are_exported(seqmem_: Command, tmp_path: Path) -> None:
    asked = ["leaderboard", "--task", "music/jsb", "--budget", "small", "--model", "lstm"]
    ran = seqmem_(*asked, "--format", "model-card", "--k", "8,full")
    assert ran.out.startswith("model-index:\n- name: lstm\n")
    assert ran.out.count("value:") == 2
    ran = seqmem_(*asked, "--format", "parquet", "-o", "a.parquet")
    assert (ran.status, ran.out) == (0, "")
    assert (tmp_path / "a.parquet").read_bytes().startswith(b"PAR1")
    for ending, begin in (
        ("parquet", b"PAR1"),
        ("csv", b"task,"),
        ("json", b"["),
        ("TEX", b"\\subsection"),
        ("md", b"### music/jsb"),
        ("txt", b"music/jsb"),
    ):
        assert seqmem_(*asked, "-o", f"b.{ending}").status == 0
        assert (tmp_path / f"b.{ending}").read_bytes().startswith(begin), ending
    assert seqmem_(*asked, "-o", "c.parquet", "--format", "csv").status == 0
    assert (tmp_path / "c.parquet").read_bytes() == (tmp_path / "b.csv").read_bytes()
    for wrong, says in (
        (["--format", "parquet"], "name a file with --output"),
        (["--format", "model-card", "--stable"], "leave --suite and --stable out"),
    ):
        ran = seqmem_(*asked[:3], *wrong)
        assert (ran.status, ran.err.count("\n")) == (2, 1)
        assert says in ran.err
