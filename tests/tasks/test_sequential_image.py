import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from seqmem.baselines.marginal import Marginal
from seqmem.errors import InputError
from seqmem.measuring.curve import measure
from seqmem.tasks import data_problem, load_task
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.permuted_image import PermutedImage
from seqmem.tasks.sequential_image import SequentialImage
from seqmem.testing import check_chance, check_task
from seqmem.tests.images import FILES, TRAIN, expect, generated, write_set

IDS = ["sequential-image/fashion-mnist", "permuted-image/fashion-mnist,seed=3"]


@pytest.fixture
def images(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small set in the place of Fashion-MNIST."""
    expect(monkeypatch, generated())
    write_set(own_data / "fashion-mnist", generated())


def make(task_id: str) -> SequentialImage:
    task = load_task(task_id)
    assert isinstance(task, SequentialImage)
    return task


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("task_id", IDS)
def test_contract_and_chance(task_id: str) -> None:
    task = make(task_id)
    check_task(task)
    check_chance(task, (1, 5, task.longest_context, "full"))
    assert task.contexts == (1, 2, 4, 8, 16, 32, 36)
    assert task.optimum(5) is None
    again = pickle.loads(pickle.dumps(task))
    assert again.data_hash == task.data_hash


@pytest.mark.usefixtures("images")
def test_chance_is_the_entropy_of_the_classes() -> None:
    """Exactly, if the test has the frequencies of training."""
    task, labels = make(IDS[0]), generated()
    frequency = np.bincount(labels[FILES[1]][:TRAIN], minlength=10) / TRAIN
    expected = -np.log(frequency)[labels[FILES[3]]].mean()
    assert task.chance() == pytest.approx(expected, rel=1e-6)
    same = np.bincount(labels[FILES[3]], minlength=10) / len(labels[FILES[3]])
    assert np.allclose(same, frequency)
    assert task.chance() == pytest.approx(-(frequency * np.log(frequency)).sum(), rel=1e-6)


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("task_id", IDS)
def test_every_pixel_in_its_place(task_id: str) -> None:
    task, arrays = make(task_id), generated()
    split, order = task.split("test"), list(range(36))
    if task_id == IDS[1]:
        texts = [f"permuted-image/3/{place}" for place in order]
        order.sort(key=lambda place: hashlib.sha256(texts[place].encode()).hexdigest())
        assert order != list(range(36))
    for i, (image, label) in enumerate(zip(arrays[FILES[2]], arrays[FILES[3]], strict=True)):
        flat = [float(value) / 255 for row in image for value in row]
        read = split.inputs[split.starts[i] : split.starts[i + 1], 0]
        assert read.tolist() == pytest.approx([flat[place] for place in order])
        assert split.positions[i] == split.starts[i + 1] - 1
        assert split.targets[i] == label
    assert float(split.inputs.max()) <= 1


def test_orders_of_pixels() -> None:
    """A seed is one order for every set of the same size, on any machine."""
    mnist = make("permuted-image/mnist,seed=0").places()
    assert sorted(mnist) == list(range(784))
    assert np.array_equal(mnist, make("permuted-image/fashion-mnist,seed=0").places())
    assert not np.array_equal(mnist, make("permuted-image/mnist,seed=1").places())
    assert make("permuted-image/digits,seed=0").places()[:8].tolist() == PINNED
    assert np.array_equal(make("sequential-image/digits").places(), np.arange(64))


PINNED = [29, 27, 30, 62, 39, 16, 10, 13]


@pytest.mark.usefixtures("images")
def test_accuracy_is_measured_beside_the_loss() -> None:
    task = make(IDS[0])
    assert isinstance(task.loss, CrossEntropy)
    blind = Marginal(task.inputs, task.outputs)
    blind.fit(task, 0)
    at = measure(blind, task, task.split("test"), [1, "full"]).at("full")
    assert at.correct is not None
    assert at.correct.mean() == pytest.approx(
        float((generated()[FILES[3]] == 0).mean())
    )  # the commonest class


def test_the_digits() -> None:
    if problem := data_problem("sequential-image/digits"):
        pytest.skip(problem)
    for task_id in ("sequential-image/digits", "permuted-image/digits,seed=1"):
        task = make(task_id)
        check_task(task)
        check_chance(task, (1, 64))
        assert task.chance() == pytest.approx(2.3024, abs=1e-4)


def test_sizes_are_known_without_data() -> None:
    assert make("sequential-image/mnist").longest_context == 784
    assert make("sequential-image/digits").contexts == (1, 2, 4, 8, 16, 32, 64)
    assert make("permuted-image/mnist,seed=007").id == "permuted-image/mnist,seed=7"
    assert isinstance(make("permuted-image/mnist,seed=0"), PermutedImage)


@pytest.mark.parametrize(
    ("task_id", "says"),
    [
        ("sequential-image", "unknown task"),
        ("sequential-image/minst", "did you mean sequential-image/mnist"),
        ("sequential-image/mnist,seed=1", "unknown parameter 'seed'; this family has variant"),
        ("sequential-image/mnist,digits", "unknown task"),
        ("sequential-image/mnist,seed=1,", "'' is not parameter=value"),
        ("sequential-image/seed=1", "unknown parameter 'seed'"),
        ("permuted-image/mnist", "seed is missing, as in permuted-image/fashion-mnist,seed=0"),
        ("permuted-image/mnist,seed=-1", "not a whole number from 0 to 999999"),
        ("permuted-image/mnist,seed=1000000", "out of range: 0 to 999999"),
        ("permuted-image/mnist,seed=1,seed=2", "given twice"),
        ("permuted-image/mnist,variant=digits,seed=2", "parameter variant is given twice"),
        ("music/jsb,seed=1", "unknown parameter 'seed'"),
        ("billion-word/heldout-10-13,min-count=1", "unknown parameter 'min-count'"),
    ],
)
def test_wrong_ids_are_explained(task_id: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        load_task(task_id)
    assert task_id in str(caught.value)
    assert "\n" not in str(caught.value)
