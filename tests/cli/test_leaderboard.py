"""`seqmem leaderboard`."""

import json
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
    usual = seqmem_("leaderboard")
    assert "not ranked" in usual.out
    assert "nothing measured" not in usual.out
    assert "not ranked" not in seqmem_("leaderboard", "--no-published").out
    only = seqmem_("leaderboard", "--task", "wikitext-103", "--format", "markdown")
    assert only.status == 0
    assert "### wikitext-103: nothing measured" in only.out
    assert "45.19" in only.out
    rows = json.loads(seqmem_("leaderboard", "--task", "wikitext-103", "--format", "json").out)
    assert {row["trust"] for row in rows} == {"published"}
    ran = seqmem_("leaderboard", "--task", "wikitext-103", "--no-published")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "unknown task among the records 'wikitext-103'" in ran.err
