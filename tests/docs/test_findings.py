"""docs/findings.md contains what the committed records contain."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from seqmem.baselines import BASELINES
from seqmem.docs import findings
from seqmem.docs.committed import BUDGET, chosen, committed_records
from seqmem.leaderboard.failure import Failure, read_failures, write_failure
from seqmem.leaderboard.store import COMMITTED
from seqmem.tests.records import make_record, make_trained

PAGE = findings.PAGE


def test_page_and_charts_are_fresh() -> None:
    records, failures = findings.committed()
    assert findings.stale(records, failures) == [], "run `make findings`"


def test_what_is_stale_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "PAGE", tmp_path / "findings.md")
    monkeypatch.setattr(findings, "CHARTS", tmp_path / "findings")
    old = [make_trained({1: 0.5, "full": 0.4}), make_record({1: 0.9}, task="b")]
    new = [make_trained({1: 0.5, "full": 0.3}), make_record({1: 0.9}, task="c")]
    findings.write(old, [])
    assert findings.stale(old, []) == []
    assert findings.stale(new, []) == ["b.svg", "c.svg", "findings.md", "need.svg", "toy_T=3.svg"]
    findings.write(new, [])
    assert findings.stale(new, []) == []


def test_pictures_exist_and_all_are_used() -> None:
    shown = set(re.findall(r"!\[[^]]*\]\(([^)]+)\)", PAGE.read_text(encoding="utf-8")))
    have = {f"findings/{path.name}" for path in findings.CHARTS.iterdir()}
    assert shown | {"findings/readme.svg"} == have  # that one is in README.md


def test_only_the_budget_and_the_latest_version_count() -> None:
    old = make_record({"full": 0.5}, created="2026-01-01")
    new = make_record({"full": 0.4}, version=2, created="2026-01-02")
    smoke = make_record({"full": 0.1}, budget="smoke", created="2026-01-03")
    (board,) = chosen([new, smoke, old])
    assert board.records == (new,)


def test_a_later_recipe_replaces_an_earlier_one() -> None:
    """Also if the earlier one was better: the best model is that of current recipes."""
    old = make_trained({1: 0.1, "full": 0.1}, created="2026-01-01")
    new = make_trained({1: 0.4, "full": 0.4}, created="2026-01-02")
    new = replace(new, training={**new.training, "recipe": {"k_train": "full", "steps": 3}})
    other = make_trained({1: 0.3, "full": 0.3}, k_train=4, created="2026-01-01")
    (board,) = chosen([new, old, other])
    assert [row.records for row in board.rows] == [(other,), (new,)]


def test_findings_and_tables_take_the_same_records() -> None:
    """Of every schema: points that only an old record has count in both."""
    records, _ = findings.committed()
    used = [r for board in chosen(records) for r in board.records]
    assert {id(r) for r in used} <= {id(r) for r in records}
    assert {r.training["budget"] for r in used} == {BUDGET}
    assert committed_records(BUDGET) == [r for r in records if r.training["budget"] == BUDGET]
    paths = COMMITTED.rglob("*.json")
    schemas = Counter(json.loads(path.read_bytes()).get("schema") for path in paths)
    assert len(records) == sum(schemas.values()) - schemas[None]
    assert schemas[1]


def test_the_page_of_a_known_board() -> None:
    records = [
        make_trained({1: 0.9, 4: 0.1, "full": 0.1}, label=label, seed=seed)
        for label in ("lstm", "tcn")
        for seed in (0, 1)
    ]
    records += [
        make_trained({1: 0.9, 4: 0.3, "full": 0.3 + seed / 1e6}, label="lstm-stable", seed=seed)
        for seed in (0, 1)
    ]
    records = [
        replace(record, model={**record.model, "stateful": record.model["label"] != "tcn"})
        for record in records
    ]
    text = findings.page(records, [])
    assert "6 records on 1 task, budget `small` unless" in text
    assert "sees everything on 1 of 1 task**" in text
    assert "k = 4 on toy/T=3. With all inputs, it is tied on 1. ([chart](#chart-1)" in text
    assert "lstm-stable against lstm: worse on 1 (toy/T=3)" in text
    assert "| toy/T=3 | 0.100 ±0.010 | lstm | 1.0000 | 4 | 4 |" in re.sub(" +", " ", text)
    assert "No model has records of several k_train." in text
    assert f"- {len(BASELINES) - 3} of {len(BASELINES)} models without any record:" in text
    folded = text.split("## Evidence")[1].split("## What these budgets cannot settle")[0]
    assert folded.count("<details>\n<summary>") == folded.count("</details>") == 7
    assert all(
        part.strip() == "" for part in re.split("<details>.*?</details>", folded, flags=re.S)
    )
    for line in text.splitlines():
        if line.startswith("| lstm-stable |") and "1,234" in line:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert cells == [
                "lstm-stable", "full", "2", "0", "1,234", "32", "0.300 ±0.010 [0.300, 0.300]", "4",
                "0.300 ±0.010 [0.300, 0.300]", "4",
            ]  # fmt: skip
            break
    else:
        pytest.fail("no row of lstm-stable in the task's table")


def test_the_first_screen_is_short_and_names_its_charts_and_records() -> None:
    text = PAGE.read_text(encoding="utf-8")
    start, told_ = text.split("## Charts")[0].split("## All tasks")
    assert len(start.splitlines()) <= 55
    assert len(told_.splitlines()) <= 15
    for shown in ("| lstm-stable:forget_bias=free", "95.1", "findings/excess.svg"):
        assert shown in start
    told = [line for line in told_.splitlines() if re.match("[1-5][.] ", line)]
    assert len(told) == 5
    for i, line in enumerate(told, start=1):
        assert f"[chart](#chart-{i})" in line
        assert f"### Chart {i}\n" in text
        (link,) = re.findall(r"`\]\(([.][.]/leaderboard/records[^)]*)\)", line)
        assert (PAGE.parent / link).exists()
    assert len(text.split("## What these budgets cannot settle")[1].strip().splitlines()) <= 10


def test_the_longest_training_of_the_text_counts() -> None:
    records = [
        make_trained({1: 6.0, 32: loss, "full": loss}, task="wikitext-2", chance=7.0, budget=budget,
                     score="perplexity", optimum=None)
        for budget, loss in (("small", 5.3), ("medium", 4.6), ("smoke", 6.5))
    ]  # fmt: skip
    (told, *_) = findings.findings(records)
    assert "(lstm, budget medium, 1 training)" in told.text
    assert told.text.index("at budget small") < told.text.index("at budget smoke")
    assert [b.records for b in chosen(records)] == [(records[0],)]


def test_a_page_without_records() -> None:
    text = findings.page([], [])
    assert "0 records on 0 tasks, budget" in text
    assert "Nothing measured." in text
    assert "No stable model has records together with the unconstrained one." in text
    assert "- 9 of 9 tasks without any record" in text


def test_three_k_train_make_a_matrix() -> None:
    records = [
        make_trained({1: 0.5, "full": 0.4}, k_train=k, usual_k=8, label="lstm:hidden=3")
        for k in (1, 4, 8)
    ]
    (board,) = chosen(records)
    ((_, label, name),) = findings.matrices([board])
    assert (label, name) == ("lstm:hidden=3", "lstm_hidden=3-on-toy_T=3.svg")
    assert not findings.matrices(chosen(records[1:]))


def test_failures_are_read_back(tmp_path: Path) -> None:
    cell = {"task": "toy/T=3", "model": "lru", "k_train": 8, "seed": 0, "budget": "small"}
    failure = Failure("2026", "the loss is nan", 12, (0.5, float("inf")), cell, {}, {}, {})
    write_failure(failure, tmp_path, "lru")
    (tmp_path / "failures" / "broken.json").write_text("{")
    assert read_failures(tmp_path) == [failure]
    assert read_failures(tmp_path / "nowhere") == []
