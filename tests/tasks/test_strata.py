"""Strata of targets, against what a loop finds."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmem.tasks import load_task
from seqmem.tasks.copy_memory import CopyMemory
from seqmem.tasks.strata import Strata, by_frequency, by_recurrence, previous
from seqmem.tasks.task import Task


def labels_of(task: Task, by: str) -> list[str]:
    """Return the label of each target."""
    (strata,) = (each for each in task.strata() if each.by == by)
    assert len(strata.of) == len(task.split("test"))
    assert sorted(set(strata.of.tolist())) == list(range(len(strata.labels)))
    return [strata.labels[each] for each in strata.of.tolist()]


def ago_label(ago: int | None) -> str:
    if ago is None:
        return "new"
    bounds = {8: "at most 8 ago", 64: "9–64 ago", 512: "65–512 ago"}
    return next((name for most, name in bounds.items() if ago <= most), "over 512 ago")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.data())
def test_previous_is_the_latest_earlier_place(ids: list[int], data: st.DataObject) -> None:
    until = data.draw(st.lists(st.integers(-1, len(ids) - 1), min_size=1, max_size=20))
    wanted = data.draw(st.lists(st.integers(0, 5), min_size=len(until), max_size=len(until)))
    found = previous(np.array(ids, np.int32), np.array(wanted), np.array(until))
    for place, each, last in zip(found.tolist(), wanted, until, strict=True):
        earlier = [i for i, other in enumerate(ids[: last + 1]) if other == each]
        assert place == (earlier[-1] if earlier else -1)


def test_bounds_belong_to_the_lower_stratum() -> None:
    counts = np.array([0, 10, 11, 100, 101, 1000, 1001, 10_000, 10_001])
    (found,) = by_frequency(counts, np.arange(9))
    assert found.of.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    (found,) = by_recurrence(np.array([1, 8, 9, 64, 65, 512, 513, 0]))
    names = [found.labels[i] for i in found.of]
    assert names == [ago_label(ago) for ago in (1, 8, 9, 64, 65, 512, 513, None)]


def test_empty_strata_are_left_out_and_one_alone_is_none() -> None:
    (found,) = by_frequency(np.array([5, 2000]), np.array([1, 0, 1]))
    assert found.labels == ("at most 10 times", "1,001–10,000 times")
    assert found.of.tolist() == [1, 0, 1]
    assert by_frequency(np.array([5, 6]), np.array([1, 0, 1])) == ()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """A text of words whose frequencies fall as 1/rank."""
    rng = np.random.default_rng(3)
    words = rng.zipf(1.3, 12_000) % 900
    path = tmp_path_factory.mktemp("text") / "words.txt"
    lines = [" ".join(f"w{word}" for word in line) for line in words.reshape(-1, 12)]
    path.write_text("\n".join(lines))
    return load_task(f"text:{path}?min-count=1")


def test_words_are_divided_by_frequency_and_recurrence(text: Task) -> None:
    split, train = text.split("test"), text.train(0, 0)
    tokens = [*train.inputs.tolist(), int(train.targets[-1])]
    counts = [tokens.count(word) for word in split.targets.tolist()]
    inputs = split.inputs.tolist()
    bounds = {10: "at most 10", 100: "11–100", 1000: "101–1,000", 10_000: "1,001–10,000"}
    names = [next(f"{name} times" for most, name in bounds.items() if n <= most) for n in counts]
    assert labels_of(text, "frequency") == names
    distances = []
    for j, target in enumerate(split.targets.tolist()):
        seen = [j - i + 1 for i in range(j + 1) if inputs[i] == target]
        distances.append(min(seen, default=None))
    assert labels_of(text, "recurrence") == [ago_label(ago) for ago in distances]
    assert len(set(distances)) > 20


def test_recalled_symbols_are_divided_by_their_places() -> None:
    labels = labels_of(CopyMemory(10, 50), "slot")
    assert labels[:11] == [*(f"symbol {i}" for i in range(1, 11)), "symbol 1"]


def test_keys_are_new_once_in_each_sequence() -> None:
    task = load_task("associative-recall/keys=8,values=16,zipf=1")
    split = task.split("test").prefix(400)
    key, recurrence = labels_of(task, "key"), labels_of(task, "recurrence")
    starts = split.starts.tolist()
    for j, place in enumerate(split.positions.tolist()):
        start = max(s for s in starts if s <= place)
        wanted = int(split.inputs[place])
        distances = [place - q for q in range(start, place, 2) if int(split.inputs[q]) == wanted]
        ago = min(distances, default=None)
        assert key[j] == ("new" if ago is None else "seen before")
        assert recurrence[j] == ago_label(ago)
        if ago is not None:  # the value is the oldest of that many inputs
            assert int(split.inputs[place - ago + 1]) - 8 == int(split.targets[j])


def test_translations_are_divided_by_target_words_before(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 60, (200, 2))
    lines = [
        "\t".join(" ".join(f"{side}{rng.integers(9)}" for _ in range(n)) for side, n in both)
        for both in (zip("st", pair, strict=True) for pair in lengths)
    ]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines))
    task = load_task(f"translation:{tmp_path}/pairs.tsv")
    names = []
    for _, words in lengths[-10:].tolist():  # the test split; each target has its </s>
        bounds = {4: "0–3", 8: "4–7", 16: "8–15", 32: "16–31", 99: "32 or more"}
        names += [next(bounds[b] for b in bounds if i < b) for i in range(words + 1)]
    assert labels_of(task, "target words before") == names


def test_other_tasks_have_none_and_many_slots_are_not_shown() -> None:
    for task in ("adding-problem/T=20", "selective-copy/T=64,data=33"):
        assert load_task(task).strata() == ()
    (slots,) = load_task("selective-copy/T=64,data=4").strata()
    assert isinstance(slots, Strata)
    assert slots.labels[-1] == "symbol 4"
