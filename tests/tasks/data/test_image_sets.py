"""Sets of images: found, read, checked, split."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from seqmem.errors import InputError
from seqmem.submit import cli
from seqmem.tasks import data_problem, load_source
from seqmem.tasks.data import fetch as fetching
from seqmem.tasks.data.fetch import fetch_data
from seqmem.tasks.data.image_sets import DIGITS, IMAGE_SETS, MNIST
from seqmem.tests.images import FILES, TRAIN, expect, generated, write_set


@pytest.mark.parametrize("ending", [".gz", ""])
def test_the_splits_of_idx_files(
    own_data: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    arrays = generated()
    source = expect(monkeypatch, arrays)
    write_set(own_data / "fashion-mnist", arrays, ending)
    assert source.locate().problem == ""
    found = source.load()
    assert {name: len(part.labels) for name, part in found.items()} == dict(source.images)
    pixels, labels = arrays[FILES[0]], arrays[FILES[1]]
    assert np.array_equal(found["train"].pixels, pixels[:TRAIN])
    assert np.array_equal(found["valid"].pixels, pixels[TRAIN:])
    assert np.array_equal(found["valid"].labels, labels[TRAIN:])
    assert np.array_equal(found["test"].pixels, arrays[FILES[2]])
    assert np.array_equal(found["test"].labels, arrays[FILES[3]])


def test_other_names_of_the_same_files(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = expect(monkeypatch, generated())
    renamed = {name.replace("-idx", ".idx"): values for name, values in generated().items()}
    write_set(own_data / "fashion-mnist", renamed)
    source.check()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(
    own_data: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source = expect(monkeypatch, generated())
    write_set(own_data / "fashion-mnist", generated())
    (own_data / "fashion-mnist" / f"{name}.gz").unlink()
    located = source.locate()
    assert located.files is None
    assert f"{name} (or .gz, .xz) is not in {own_data}/fashion-mnist; get it" in located.problem
    with pytest.raises(InputError, match=name):
        source.check()


def test_without_a_data_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEQMEM_DATA", raising=False)
    assert "mnist: no data directory is given" in MNIST.locate().problem
    assert "no data directory" in data_problem("permuted-image/mnist,seed=1")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({FILES[1]: generated()[FILES[1]][:-1]}, r"-idx3-ubyte\.gz has 80 images, and .* 79 label"),
        ({FILES[2]: generated()[FILES[2]][1:]}, r"has 29 images, and .*labels.* 30 labels; one"),
        (
            {name: generated()[name][:-1] for name in FILES[:2]},
            r"train-images-idx3-ubyte\.gz: 79 images, expected 80; the file is truncated",
        ),
        ({FILES[0]: generated(5)[FILES[0]]}, r"train-images.*: 5 rows, expected 6"),
        ({FILES[0]: generated()[FILES[0]] // 2}, r"train-images.*: sha256 of the content is"),
        ({FILES[3]: generated()[FILES[3]][::-1]}, r"t10k-labels.*: sha256 of the content is"),
        ({FILES[0]: generated()[FILES[1]]}, r"train-images.*is not a file of images .*, three dim"),
        ({FILES[1]: generated()[FILES[0]]}, r"train-labels.*is not a file of labels .*, one dim"),
    ],
)
def test_altered_files_are_named(
    own_data: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object], problem: str
) -> None:
    source = expect(monkeypatch, generated())
    write_set(own_data / "fashion-mnist", {**generated(), **changed})  # type: ignore[dict-item]
    with pytest.raises(InputError, match=problem) as caught:
        source.check()
    assert "\n" not in str(caught.value)


def test_a_damaged_file_costs_one_line(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expect(monkeypatch, generated())
    write_set(own_data / "fashion-mnist", generated())
    path = own_data / "fashion-mnist" / f"{FILES[0]}.gz"
    path.write_bytes(path.read_bytes()[:-40])
    arguments = ["--results", str(own_data / "results")]
    for family in ("sequential-image/fashion-mnist", "permuted-image/fashion-mnist,seed=0"):
        done = CliRunner().invoke(cli, ["eval", "marginal", "--task", family, *arguments])
        assert done.exit_code == 2
        assert done.stderr.startswith(f"seqmem: {path}: is truncated or damaged")
        assert done.stderr.count("\n") == 1


def test_a_complete_set_is_not_downloaded_again(
    own_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its compression is: the hashes of downloads are those of .gz files."""
    expect(monkeypatch, generated())
    nowhere = {"fashion-mnist": {"a.gz": ("http://127.0.0.1:1/a.gz", "0" * 64)}}
    monkeypatch.setattr(fetching, "FETCHABLE", nowhere)
    write_set(own_data / "fashion-mnist", generated(), "")
    assert (
        fetch_data("fashion-mnist") == f"fashion-mnist: in {own_data}/fashion-mnist, hashes correct"
    )
    (own_data / "fashion-mnist" / FILES[3]).write_bytes(b"altered")
    with pytest.raises(InputError, match="t10k-labels-idx1-ubyte: is not a file of labels"):
        fetch_data("fashion-mnist")


def test_the_digits_are_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="needs seqmem[images]")
    bunch, found = datasets.load_digits(), DIGITS.load()
    parts = found.values()
    assert np.array_equal(np.concatenate([part.pixels for part in parts]), bunch.images)
    assert np.array_equal(np.concatenate([part.labels for part in parts]), bunch.target)
    assert [len(part.labels) for part in parts] == [1097, 200, 500]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1,2,3", r"line 2: is not 65 whole numbers from 0 to 16"),
        (",".join(["17"] * 65), r"line 2: is not 65 whole numbers"),
        (",".join(["-1"] * 65), r"line 2: is not 65 whole numbers"),
        (",".join(["1"] * 65), r"digits\.csv\.gz: 2 images, expected 1,797"),
    ],
)
def test_altered_digits_are_named(own_data: Path, text: str, problem: str) -> None:
    """A file in the data directory is read before that of scikit-learn."""
    (own_data / "digits").mkdir()
    lines = ",".join(["0"] * 65) + "\n" + text + "\n"
    (own_data / "digits" / "digits.csv.gz").write_bytes(gzip.compress(lines.encode()))
    with pytest.raises(InputError, match=problem):
        DIGITS.load()


def test_without_scikit_learn(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    problem = data_problem("sequential-image/digits")
    assert problem.startswith("digits: scikit-learn is not installed; pip install 'seqmem[images]'")
    assert load_source("digits").locate().files is None


@pytest.mark.slow
def test_the_real_files(data: Path) -> None:
    found = IMAGE_SETS["fashion-mnist"].load()
    assert [len(found[name].labels) for name in ("train", "valid", "test")] == [55000, 5000, 10000]
    assert np.bincount(found["test"].labels).tolist() == [1000] * 10
