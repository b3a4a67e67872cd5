"""The page of the board: the file itself, before a browser reads it."""

import base64
import hashlib
import importlib.util
import json
import math
import re
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("vl_convert", reason="the page needs the plot extra")

from seqmem.baselines import BASELINES
from seqmem.leaderboard.charts.picture import javascript
from seqmem.leaderboard.page import page
from seqmem.leaderboard.page.data import page_data
from seqmem.leaderboard.page.document import SCRIPTS
from seqmem.leaderboard.page.document import document as document_of
from seqmem.leaderboard.published import Published, read_published
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.statistics.aggregate import beats_chance, boards
from seqmem.leaderboard.statistics.envelope import envelope
from seqmem.leaderboard.store import write_record
from seqmem.leaderboard.tables.board_table import board_text
from seqmem.leaderboard.tables.flat import flat
from seqmem.tests.command import Command
from seqmem.tests.records import Losses, fixed, make_record, make_trained, split_by

MODELS = {name: model.summary for name, model in BASELINES.items()}
ROOT = Path(__file__).parents[3]
VOID = {"meta", "input", "br", "img", "link", "hr", "wbr", "source", "base"}
EVIL = "</script><img src=x onerror=alert(1)><!--\"'&amp;\u2028"


class Tree(HTMLParser):
    """Elements and their attributes; an end tag without a start tag is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def block(text: str) -> dict[str, Any]:
    """The page's data, as a browser reads it."""
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert len(found) == 1
    return dict(json.loads(found[0]))


def some_records() -> list[Record]:
    """Two tasks, seeds, k_train of two kinds, an infinite perplexity, a gap."""
    return [
        *(make_trained({1: 0.9, 4: 0.5, "full": 0.2 + s / 50}, seed=s) for s in range(3)),
        make_trained({1: 0.8, "full": 0.4}, label="gru", k_train=4),
        make_trained({1: 0.7, 4: 0.6, "full": 0.5}, label="gru", k_train=4, state="reset"),
        make_record({1: 800.0, 4: 5.0, "full": 4.0}, task="wikitext-2", score="perplexity"),
        make_record({1: 6.0, 4: 5.5}, task="wikitext-2", score="perplexity", label=EVIL),
    ]


@pytest.fixture(scope="module")
def made() -> str:
    return page(boards(some_records()), MODELS, read_published())


def test_the_page_is_well_formed_and_requests_nothing(made: str) -> None:
    tree = Tree(made)
    identifiers = [a["id"] for _, a in tree.found if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    for tag, attributes in tree.found:
        assert not {"src", "srcset", "action", "data", "poster"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")], tag
        if "href" in attributes:
            assert tag == "a"
            assert (attributes["href"] or "").removeprefix("#") in identifiers
    for name in ("aria-labelledby", "for"):
        for tag, attributes in tree.found:
            assert attributes.get(name, identifiers[0]) in identifiers, tag
    assert not {tag for tag, _ in tree.found} & {"link", "iframe", "object", "base"}
    style = "".join(text for tag, text in tree.texts if tag == "style")
    assert "url(" not in style
    assert "@import" not in style


def test_landmarks_headings_and_tables_are_there(made: str) -> None:
    tree = Tree(made)
    count = Counter(tag for tag, _ in tree.found)
    assert count["main"] == count["h1"] == count["nav"] == count["dialog"] == 1
    assert count["caption"] == count["table"] > 0
    assert all(attributes.get("scope") for attributes in tree.every("th"))
    assert tree.every("html") == [{"lang": "en"}]
    regions = [a for a in tree.every("div") if a.get("role") == "region"]
    assert regions
    for region in regions:  # what scrolls can be scrolled without a mouse, and has a name
        assert region.get("tabindex") == "0"
        assert region.get("aria-label") or region.get("aria-labelledby")
    for plot in (a for a in tree.every("div") if a.get("class") == "plot"):
        assert plot.get("role") == "img"
        assert "same numbers" in (plot["aria-label"] or "")


def test_addresses_are_names_of_formats_only(made: str) -> None:
    """The drawing library holds others, which only a menu opens that is switched off."""
    own = made.replace(javascript(), "")
    assert set(re.findall(r"https?://[^\"'\s<)]+", own)) <= {"http://www.w3.org/2000/svg"}
    assert own.count("cdn") == 0


def test_only_the_scripts_that_are_there_may_run(made: str) -> None:
    tree = Tree(made)
    (policy,) = [
        a["content"] or "" for a in tree.every("meta") if "Content-Security" in str(a.values())
    ]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    scripts = re.findall(r"<script>(.*?)</script>", made, re.S)
    assert len(scripts) == 2
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts}
    assert set(rules["script-src"].split()) == {f"'sha256-{value}'" for value in hashes}
    assert "unsafe" not in rules["script-src"]


def test_nothing_in_a_record_becomes_markup(made: str) -> None:
    assert "<img" not in made.replace(javascript(), "")
    assert EVIL in block(made)["models"]
    record = make_record({1: 0.5, "full": 0.4}, label=EVIL, task=f"toy/{EVIL}", budget=EVIL)
    evil = replace(
        record,
        suite={"version": EVIL, "commit": EVIL, "dirty": None},
        created=EVIL,
        trust=EVIL,
        task=replace(record.task, unit=EVIL, loss=EVIL, split=EVIL, data_hash=EVIL),
        training={**record.training, "recipe": {EVIL: EVIL}},
    )
    other = replace(evil, training={**evil.training, "budget": EVIL + "2"})
    bad = replace(read_published()[0], task="music/jsb", model=EVIL, note=EVIL)
    text = page(boards([evil, other]), MODELS, [bad])
    assert not Tree(text).every("img")
    assert Tree(text).every("script") == Tree(made).every("script")
    assert "<img" not in text.replace(javascript(), "")


def test_the_block_of_data_holds_the_numbers_of_the_flat_table(made: str) -> None:
    data = block(made)
    found = {}
    for task in data["tasks"]:
        for row in task["rows"]:
            for record in row["records"]:
                for k, values in zip(task["contexts"], record["points"], strict=True):
                    if values is None:
                        continue
                    point = dict(zip(data["point"], values, strict=True))
                    point["method"] = data["shared"][point["method"]]
                    cell = task["id"], row["label"], row["kTrain"], row["state"], record["seed"], k
                    assert cell not in found
                    found[cell] = point | {
                        "parameters": row["parameters"],
                        "trust": record["trust"],
                        "unit": task["lossUnit"],
                    }
    columns = flat(boards(some_records()))
    lines = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    assert len(lines) == len(found)
    same = {name: name for name in ("loss", "half_width", "n", "method", "accuracy")}
    same |= {"loss_low": "low", "loss_high": "high", "excess_over_full": "excess"}
    same |= {"parameters": "parameters", "trust": "trust", "loss_unit": "unit"}
    for line in lines:
        where = (
            line["task"], line["model"], line["k_train"], line["state"], line["seed"], line["k"],
        )  # fmt: skip
        for column, name in same.items():
            value = line[column]
            if value is None:
                assert found[where][name] is None
            elif isinstance(value, float):
                assert found[where][name] == pytest.approx(value, rel=1e-8)
            else:
                assert found[where][name] == value


def test_cells_and_envelope_are_those_of_the_boards(made: str) -> None:
    for task, board in zip(block(made)["tasks"], boards(some_records()), strict=False):
        assert task["contexts"] == list(board.contexts)
        for row, own in zip(task["rows"], board.rows, strict=True):
            for k, cell in zip(board.contexts, row["cells"], strict=True):
                if k not in own.scores:
                    assert cell is None
                    continue
                kept = own.scores[k]
                if kept.value == math.inf:
                    assert cell[0] is None
                else:
                    assert cell[0] == pytest.approx(kept.value, rel=1e-8)
                assert cell[4] == kept.seeds
                assert cell[5] == beats_chance(own, k, board.chance)
        for best in envelope(board):
            _, row_at, k_at, better = task["envelope"][board.contexts.index(best.k)]
            assert board.rows[row_at] is best.row
            assert board.contexts[k_at] == best.at
            assert better == beats_chance(best.row, best.at, board.chance)


def test_ranks_trust_and_state_are_those_of_the_tables() -> None:
    """What `seqmem leaderboard` prints: the same columns, cell by cell."""
    records = [
        fixed(make_trained({1: 0.9, "full": loss}, label=label, noise=noise))
        for label, loss, noise in (
            ("a", 0.1, 0.0),
            ("b", 0.2, 0.0),
            ("c", 0.3, 0.02),
            ("d", 0.305, 0),
        )
    ]
    records[1] = replace(records[1], trust="rescored")
    (board,) = boards(records)
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in board_text([board], "markdown").splitlines()
        if line.startswith("|")
    ]
    heads, cells = lines[0], [line for line in lines[2:] if line[0] in "abcd"]
    (task,) = page_data([board], MODELS)["tasks"]
    assert len(cells) == len(task["rows"])
    ranks = set()
    for line, row in zip(cells, task["rows"], strict=True):
        printed = dict(zip(heads, line, strict=True))
        best, worst = row["rank"]["best"], row["rank"]["worst"]
        ranks.add(printed["rank"])
        assert printed["rank"] == row["rank"]["text"]
        assert printed["rank"] == (str(best) if best == worst else f"{best}–{worst}")
        assert printed["trust"] == row["trust"]
        assert printed["state, floats"] == f"{row['floats']:,}"
        assert printed["model"] == row["label"]
        assert (row["bits"], row["bitsPerFloat"]) == (None, None)
        assert "bits held" not in printed
    assert ranks == {"1", "2", "3–4"}
    assert {row["trust"] for row in task["rows"]} == {"self-reported", "rescored"}


def test_a_task_is_described_with_its_own_parameters() -> None:
    tasks = ("adding-problem/T=16", "copy-memory/T=10-50", "hidden-markov/dwell=4", "music/jsb")
    more = ("state-tracking/group=S3,reset=0.05", "selective-copy/T=24,data=4")
    records = [make_record({"full": 0.5}, task=task) for task in (*tasks, *more)]
    data = page_data(boards(records), MODELS)
    said = {task["id"]: task["about"] for task in data["tasks"]}
    assert said["adding-problem/T=16"] == "Add the two marked numbers out of 16"
    assert said["copy-memory/T=10-50"].endswith(" 10-50")
    assert "lasts 4 steps" in said["hidden-markov/dwell=4"]
    assert said["state-tracking/group=S3,reset=0.05"].endswith("probability 0.05")
    assert "the 4 symbols" in said["selective-copy/T=24,data=4"]
    assert said["music/jsb"].startswith("Predict the next frame")


def test_series_have_one_look_on_all_boards() -> None:
    records = [
        make_trained({1: 0.9, "full": 0.3}, task=task, budget=budget, k_train=k, usual_k=8)
        for task in ("a/T=1", "b/T=2")
        for budget, k in (("small", 8), ("smoke", 8), ("small", 2))
        if (task, budget) != ("b/T=2", "smoke")
    ]
    data = page_data(boards(records), MODELS)
    looks: dict[str, set[str]] = {}
    for task in data["tasks"]:
        names = [row["series"] for row in task["rows"]]
        assert len(names) == len(set(names))
        for row in task["rows"]:
            looks.setdefault(row["series"], set()).add(json.dumps(row["style"]))
    assert set(looks) == {"lstm", "lstm, smoke", "lstm, k_train 2"} == set(data["series"])
    assert all(len(styles) == 1 for styles in looks.values())


def test_facts_that_records_share_are_stored_once() -> None:
    few = page_data(boards([make_record({"full": 0.5}, seed=s) for s in range(2)]), MODELS)
    many = page_data(boards([make_record({"full": 0.5}, seed=s) for s in range(40)]), MODELS)
    assert len(many["tasks"][0]["rows"][0]["records"]) == 40
    assert len(few["shared"]) == len(many["shared"])


def test_boards_that_are_empty_or_only_published() -> None:
    empty = page([], MODELS)
    assert "No records yet" in empty
    assert len(empty) < 200_000  # nothing to draw: no drawing library
    Tree(empty)
    printed = page([], MODELS, [entry for entry in read_published() if entry.task == "music/jsb"])
    assert "Nothing measured" in printed
    assert "8.45" in printed
    Tree(printed)


def test_published_numbers_stand_beside_with_their_sources(made: str) -> None:
    printed: list[Published] = [e for e in read_published() if e.task == "wikitext-2"]
    assert printed
    texts = [text for _, text in Tree(made).texts]
    for entry in printed:
        assert entry.printed in texts
        assert str(entry.source) in texts
    labels = {row["label"] for task in block(made)["tasks"] for row in task["rows"]}
    assert not labels & {entry.model for entry in printed}


def simulation() -> ModuleType:
    folder = ROOT / "benchmarks"
    found = importlib.util.spec_from_file_location("page_benchmark", folder / "page.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        found.loader.exec_module(module)
    return module


def test_fifty_models_on_fifteen_tasks_are_less_than_five_megabytes() -> None:
    records = simulation().simulated(50, 15)
    assert len(records) == 750
    data = page_data(boards(records), MODELS)
    assert len({task["id"] for task in data["tasks"]}) == 15
    assert sum(len(task["rows"]) for task in data["tasks"]) == 750
    size = len(document_of(data).encode())
    assert size < 5_000_000
    assert size > 1_000_000  # the numbers and the library are in it


def test_strata_are_folded_tables_below_the_board() -> None:
    losses: Losses = {1: 0.9, 2: 0.7, 4: 0.4, "full": 0.3}
    plain = make_record(losses, task="adding-problem/T=5")
    text = page(boards([split_by(make_record(losses), by=f"frequency{EVIL[:20]}"), plain]), MODELS)
    tree = Tree(text)
    assert [a["class"] for a in tree.every("details") if a.get("class") == "strata"] == ["strata"]
    assert [word for tag, word in tree.texts if tag == "summary" and word.startswith("By ")] == [
        f"By frequency{EVIL[:20]}"
    ]
    cells = [word for tag, word in tree.texts if tag == "td"]
    cells = cells[cells.index("rare") :]
    assert cells[:4] == ["rare", "25.0 %", "0.300 ±0.020", "+0.550 ±0.020"]


def test_the_command_writes_a_page(seqmem_: Command, tmp_path: Path) -> None:
    write_record(make_record({1: 0.9, "full": 0.3}), tmp_path / "mine", "one")
    given = ("leaderboard", "--records", str(tmp_path / "mine"), "--format", "html")
    ran = seqmem_(*given)
    assert ran.status == 0, ran.err
    assert ran.out.startswith("<!DOCTYPE html>")
    again = seqmem_(*given, "-o", "board.html")
    assert (again.status, again.out) == (0, "")
    assert (tmp_path / "board.html").read_bytes().decode() == ran.out


def test_other_commands_make_no_page(seqmem_: Command) -> None:
    for command in (["tasks"], ["models"], ["eval", "lstm", "--suite", "smoke"]):
        ran = seqmem_(*command, "--format", "html")
        assert ran.status == 2
        assert "html" in ran.err


def test_a_missing_package_is_one_line(seqmem_: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    ran = seqmem_("leaderboard", "--format", "html")
    assert ran.status == 2
    (line,) = ran.err.strip().splitlines()
    assert "pip install 'seqmem[plot]'" in line


def test_every_part_is_shipped() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = project["tool"]["setuptools"]["package-data"]["seqmem.leaderboard.page"]
    room = ROOT / "leaderboard" / "page"
    assert {path for pattern in named for path in room.glob(pattern)} == {
        path for path in room.iterdir() if path.suffix in (".css", ".js") or "LICENSE" in path.name
    }
    assert {f"{name}.js" for name in SCRIPTS} == {path.name for path in room.glob("*.js")}
