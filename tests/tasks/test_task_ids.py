"""Task ids, families and suites."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from seqmem.baselines.training.recipes import BUDGETS, recipe_for
from seqmem.cli.listings import task_rows
from seqmem.errors import InputError
from seqmem.submit import cli
from seqmem.tasks import DATA, FAMILIES, SUITES, family_of, load_source, load_task


def test_families_of_ids() -> None:
    assert family_of("wikitext-103/vocabulary=valid") == "wikitext-103"
    assert family_of("text:a/b.txt") == family_of("text:/a.txt?unit=char") == "text"
    assert family_of("text:wikitext-2") == "text"


@pytest.mark.parametrize("family", FAMILIES)
def test_examples_load_without_data_and_have_recipes(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEQMEM_DATA", raising=False)
    task = load_task(FAMILIES[family].example)
    assert task.id == FAMILIES[family].example
    assert task.family == family
    for budget in BUDGETS:
        assert recipe_for(family, budget).steps > 0


def test_variants_load() -> None:
    for name, family in FAMILIES.items():
        for variant in family.variants:
            rest = family.example.partition(",")[2]  # parameters that follow the variant
            task_id = f"{name}/{variant}" + (f",{rest}" if family.variants and rest else "")
            assert load_task(task_id).id == task_id


def test_data_sets_and_suites_exist() -> None:
    for name in DATA:
        assert load_source(name).name == name
    for family in FAMILIES.values():
        used = (
            {family.data.format(variant=v) for v in family.variants or ("",)} if family.data else ()
        )
        assert set(used) <= set(DATA)
    for suite in SUITES.values():
        for task_id in suite.tasks:
            assert load_task(task_id).id == task_id


def test_an_unknown_variant_or_parameter() -> None:
    with pytest.raises(InputError, match="did you mean billion-word/heldout-10-13"):
        load_task("billion-word/heldout-10-14")
    with pytest.raises(InputError, match=r"'valid' is not parameter=value; .* wikitext-103"):
        load_task("wikitext-103/valid")
    with pytest.raises(InputError, match="has no parameters"):
        load_task("wikitext-2/vocabulary=valid")


@pytest.mark.usefixtures("own_data")
def test_the_listing_without_data() -> None:
    rows = {row["task"]: row for row in task_rows()}
    assert rows["billion-word/heldout-10-13"]["data"] == "missing"
    assert rows["wikitext-103"]["chance"] is None
    assert rows["text:FILE"]["data"] == "yours"
    assert rows["text:FILE"]["chance"] is None


@pytest.mark.usefixtures("own_data")
@pytest.mark.parametrize(
    ("task", "line"),
    [
        ("text:gone.txt", "gone.txt: there is no such file"),
        ("wikitext-103", "wikitext-103: train.txt or wiki.train.tokens"),
        ("billion-word/heldout-10-13", "shard news.en.heldout-00010-of-00050"),
    ],
)
def test_missing_data_cost_one_line(task: str, line: str, tmp_path: Path) -> None:
    results = str(tmp_path / "results")
    done = CliRunner().invoke(cli, ["eval", "marginal", "--task", task, "--results", results])
    assert done.exit_code == 2
    assert line in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("task_id", "says"),
    [
        ("nonsense", "unknown task"),
        ("copy-memroy/T=30", "did you mean copy-memory"),
        ("copy-memory", "T is missing"),
        ("copy-memory/T=0", "out of range: 1 to 10000"),
        ("copy-memory/T=20-10", "write T=10-20"),
        ("copy-memory/T=-5", "not a whole number"),
        ("copy-memory/T=1e3", "not a whole number"),
        ("copy-memory/T=٣", "not a whole number"),
        ("copy-memory/T=10,T=20", "given twice"),
        ("copy-memory/T", "not parameter=value"),
        ("copy-memory/T=5,x=1", "unknown parameter 'x'"),
        ("adding-problem/T=1", "out of range: 2 to 5000"),
        ("adding-problem/T=99999999999999999999", "not a whole number"),
        ("hidden-markov/dwell=1", "out of range: 2 to 1000"),
        ("wikitext-2/T=3", "has no parameters"),
        ("associative-recall/keys=1,values=4,zipf=0", "keys=1 is out of range: 2 to 1024"),
        ("associative-recall/keys=4,values=4", "zipf is missing"),
        ("associative-recall/keys=4,values=4,zipf=3.5", "zipf=3.5 is out of range: 0 to 3"),
        ("associative-recall/keys=4,values=4,zipf=-1", "not a number from 0 to 3"),
        ("associative-recall/keys=4,values=4,zipf=nan", "not a number from 0 to 3"),
        ("state-tracking/group=Q8,reset=0", "group=Q8 is unknown; there are parity, Z3 … Z120"),
        ("state-tracking/group=Z121,reset=0", "group=Z121 is out of range: group=Z2 to group=Z120"),
        ("state-tracking/group=Zx,reset=0", "group=Zx is unknown"),
        ("state-tracking/group=S3,reset=1", "reset=1 is out of range: 0 to 0.9"),
        ("selective-copy/T=8,data=9", "data=9 is out of range: 1 to 8, the places of T=8"),
        ("selective-copy/T=5001,data=9", "out of range: 1 to 5000"),
        ("induction/V=1,T=9", "V=1 is out of range: 2 to 1024"),
        ("long-memory/d=0.5", "d=0.5 is out of range: 0.05 to 0.49"),
        ("long-memory/d=0.4,longer=17", "longer=17 is out of range: 1 to 16"),
        ("long-memory/d=0.4,long=2", "this family has d, longer"),
        ("copy-memory/T=9,longer=2", "unknown parameter 'longer'"),
        ("long-memory/d=0.12345", "not a number from 0.05 to 0.49 with at most four decimals"),
    ],
)
def test_wrong_ids_are_explained(task_id: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        load_task(task_id)
    assert task_id in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task_id", [f.example for f in FAMILIES.values()])
def test_examples_load(task_id: str) -> None:
    assert load_task(task_id).id == task_id


def test_suites_name_tasks_that_exist() -> None:
    for suite in SUITES.values():
        assert [load_task(task_id).id for task_id in suite.tasks] == list(suite.tasks)
        assert len(set(suite.tasks)) == len(suite.tasks)


def test_ids_are_canonical() -> None:
    assert load_task("copy-memory/T=010-010").id == "copy-memory/T=10"
    assert load_task("long-memory/longer=1,d=00.40").id == "long-memory/d=0.4"
    assert load_task("long-memory/longer=02,d=0.4").id == "long-memory/d=0.4,longer=2"
    assert load_task("associative-recall/zipf=1.0,values=4,keys=02").id == (
        "associative-recall/keys=2,values=4,zipf=1"
    )


def test_importing_the_suite_brings_in_no_torch() -> None:
    code = "import sys, seqmem.tasks, seqmem.baselines; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
