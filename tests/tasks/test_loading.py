from pathlib import Path

import pytest

from seqmem.errors import InputError
from seqmem.tasks import SUITES, data_problem, find_suite
from seqmem.tasks.loading import load_tasks


@pytest.mark.usefixtures("own_data")
def test_a_suite_skips_tasks_without_data_and_says_why() -> None:
    lines: list[str] = []
    tasks, skipped = load_tasks([], "smoke", lines.append, command="seqmem eval")
    assert skipped == {task: why for task in SUITES["smoke"].tasks if (why := data_problem(task))}
    assert {"wikitext-2", "music/jsb", "billion-word/heldout-10-13"} <= set(skipped)
    assert "copy-memory/T=10" not in skipped
    assert {task.id for task in tasks} | set(skipped) == set(SUITES["smoke"].tasks)
    said = [f"{task_id} is skipped: {reason}" for task_id, reason in skipped.items()]
    assert lines == said + [f"{task.id} {task.note}" for task in tasks if task.note]


def test_tasks_by_id_are_loaded_once_in_the_order_given() -> None:
    ids = ["hidden-markov/dwell=2", "copy-memory/T=5", "copy-memory/T=5-5"]
    tasks, skipped = load_tasks(ids, None, print, command="seqmem eval")
    assert [task.id for task in tasks] == ids[:2]
    assert skipped == {}


@pytest.mark.usefixtures("own_data")
def test_a_task_named_by_id_must_have_its_data() -> None:
    with pytest.raises(InputError, match="polymusic"):
        load_tasks(["music/jsb"], None, print, command="seqmem eval")


@pytest.mark.parametrize(
    ("ids", "suite", "says"),
    [
        ([], None, "^no task is given: name either"),
        (["copy-memory/T=5"], "smoke", "^--task copy-memory/T=5 and --suite smoke: name either"),
    ],
)
def test_either_tasks_or_a_suite(ids: list[str], suite: str | None, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_tasks(ids, suite, print, command="seqmem eval")


def test_an_unknown_suite() -> None:
    with pytest.raises(InputError, match=r"unknown suite 'smok': did .* smoke\? `seqmem check --h"):
        find_suite("smok", "seqmem check")
    with pytest.raises(InputError, match="unknown suite"):
        load_tasks([], "smok", print, command="seqmem eval")


def test_several_values_of_parameters_are_all_combinations() -> None:
    ids = ["copy-memory/T=5|7", "associative-recall/keys=2|4,values=8|16,zipf=0", "copy-memory/T=7"]
    tasks, _ = load_tasks(ids, None, print, command="seqmem eval")
    recall = [f"associative-recall/keys={k},values={v},zipf=0" for k in (2, 4) for v in (8, 16)]
    assert [task.id for task in tasks] == ["copy-memory/T=5", "copy-memory/T=7", *recall]
    with pytest.raises(InputError, match="task 'copy-memory/T=x'"):
        load_tasks(["copy-memory/T=5|x"], None, print, command="seqmem eval")


def test_the_name_of_a_file_is_one_task(tmp_path: Path) -> None:
    path = tmp_path / "a=b|c.txt"
    path.write_text("some words of a text . " * 400)
    (task,), _ = load_tasks([f"text:{path}"], None, print, command="seqmem eval")
    assert task.id == f"text:{path}"
