"""``text:python-stdlib``: split by files, and another text in every version of Python."""

from pathlib import Path

import pytest

from seqmem.baselines.marginal import Marginal
from seqmem.check.run import CheckRequest, check
from seqmem.errors import InputError
from seqmem.measuring.curve import measure
from seqmem.tasks import load_task, suites
from seqmem.tasks.data import python_files
from seqmem.tasks.loading import load_tasks
from seqmem.tasks.original_text import original_text
from seqmem.tasks.python_stdlib import PythonStdlib
from seqmem.tasks.text import Text
from seqmem.testing import check_task

ID = "text:python-stdlib?unit=char"


def make(task_id: str) -> PythonStdlib:
    task = load_task(task_id)
    assert isinstance(task, PythonStdlib)
    return task


@pytest.fixture
def library(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small library in the place of Python's."""
    root = own_data / "library"
    root.mkdir()
    for i in range(30):
        (root / f"m{i:02}.py").write_text(f"def function_{i}(x):\n    return x + {i}\n\n" * 8)
    monkeypatch.setattr(python_files, "HELD_OUT", 900)
    monkeypatch.setattr(python_files, "_folder", lambda: root)
    python_files.select_files.cache_clear()
    return root


def test_each_part_is_the_text_of_its_files(library: Path) -> None:
    task = make(ID)
    parts = zip(("train", "valid", "test"), python_files.select_files(library), strict=True)
    for name, files in parts:
        split = task.train(0, 0) if name == "train" else task.split(name)
        text = "".join(path.read_text() for path in files)
        assert files
        known = set("".join(path.read_text() for path in python_files.select_files(library)[0]))
        expected = [letter if letter in known else "<unk>" for letter in text]
        assert [task.words[i] for i in split.inputs.tolist()] == expected[:-1]
        assert [task.words[i] for i in split.targets.tolist()] == expected[1:]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("task_id", [ID, "text:python-stdlib", "text:python-stdlib?min-count=1"])
def test_contract_and_chance(task_id: str) -> None:
    task = make(task_id)
    assert task.id == task_id
    assert task.family == "python-stdlib"
    check_task(task)
    blind = Marginal(task.inputs, task.outputs)
    blind.fit(task, 0)
    losses = measure(blind, task, task.split("test"), ["full"]).at("full").losses
    assert losses.mean() == pytest.approx(task.chance(), rel=1e-5)


@pytest.mark.usefixtures("library")
def test_models_with_a_tokenizer_read_the_same_words() -> None:
    task = make("text:python-stdlib")
    text = original_text(task)
    assert len(text.targets) == len(task.split("test"))
    words = [text.words[i] for i in text.targets.tolist()]
    seen = [word if word in task.words else "<unk>" for word in words]
    assert seen == [task.words[i] for i in task.split("test").targets.tolist()]


def test_another_version_is_another_text(library: Path) -> None:
    before = make(ID)
    lines: list[str] = []
    (task,), _ = load_tasks([ID], None, lines.append, command="seqmem eval")
    assert task.data_hash == before.data_hash
    (line,) = lines
    assert line.startswith(f"{ID} is the source of Python 3.")
    assert line.endswith("another version are not comparable")
    path = python_files.select_files(library)[2][0]
    path.write_text(path.read_text().replace("return", "yield "))
    assert make(ID).data_hash != before.data_hash


def test_a_file_of_that_name(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own_data)
    (own_data / "python-stdlib").write_text("some words of a text . " * 400)
    task = load_task("text:./python-stdlib")
    assert task.family == "text"
    assert isinstance(task, Text)
    assert set(task.words) == {"some", "words", "of", "a", "text", ".", "<eos>", "<unk>"}
    assert load_task("text:python-stdlib.txt").family == "text"


@pytest.mark.parametrize(
    ("task_id", "says"),
    [
        ("python-stdlib", r"its id is text:python-stdlib\?unit=char"),
        ("python-stdlib/unit=char", r"its id is text:python-stdlib\?unit=char"),
        ("text:python-stdlib?unit=byte", "the unit is word or char"),
        ("text:python-stdlib?size=1", "unknown parameter 'size'"),
    ],
)
def test_wrong_ids_are_explained(task_id: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        load_task(task_id)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("library")
def test_a_check_of_a_suite_skips_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can commit what is expected of another machine's text."""
    one = {"one": suites.Suite((ID, "copy-memory/T=5"), budget="smoke")}
    monkeypatch.setattr(suites, "SUITES", one)
    report = check(CheckRequest(tmp_path, models=("marginal",), suite="one"), lambda line: None)
    states = {verdict.task: verdict.state for verdict in report.verdicts}
    assert states[ID] == "skipped"
