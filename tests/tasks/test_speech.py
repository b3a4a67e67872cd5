"""Speech and your own recordings, as tasks."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from seqmem.baselines.marginal import Marginal
from seqmem.errors import InputError
from seqmem.measuring.curve import measure
from seqmem.submit import cli
from seqmem.tasks import load_task
from seqmem.tasks.audio import Audio
from seqmem.tasks.data.sound import read_codes
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.next_sample import CrossEntropyInBits, NextSample
from seqmem.testing import check_chance, check_task
from seqmem.tests.sounds import CLIPS, tone, write_clips, write_wav


def make(task_id: str) -> NextSample:
    task = load_task(task_id)
    assert isinstance(task, NextSample)
    return task


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Ten recordings of the user."""
    folder = tmp_path / "own"
    for i in range(10):
        write_wav(folder / f"{i}.wav", tone(100 + 30 * i, 0.1, 8000, 0.1 + 0.05 * i), 8000)
    return folder


def test_contract_and_chance(own_data: Path, recordings: Path) -> None:
    write_clips(own_data)
    for task_id in (
        "speech/ljspeech",
        "speech/ljspeech,rate=16000",
        f"audio:{recordings}/*.wav",
    ):
        task = make(task_id)
        assert task.id == task_id
        check_task(task)
        check_chance(task, (1, 30, "full"))
        assert task.optimum(7) is None
        assert pickle.loads(pickle.dumps(task)).data_hash == task.data_hash
        assert load_task(task_id).data_hash == task.data_hash
    assert make("speech/ljspeech").longest_context == 8192
    assert make("speech/ljspeech,rate=16000").longest_context == 16_384


def test_inputs_and_targets_are_the_samples_in_order(own_data: Path) -> None:
    folder = write_clips(own_data)
    task = make("speech/ljspeech")
    clips = {name: read_codes(folder / f"{name}.wav", 8000) for name in CLIPS}
    test = task.split("test")
    assert test.inputs.tolist() == clips["LJ001-0010"][:-1].tolist()
    assert test.targets.tolist() == clips["LJ001-0010"][1:].tolist()
    write_clips(own_data, ("LJ001-0020",), seconds=0.01)
    test = make("speech/ljspeech").split("test")
    two = [clips["LJ001-0010"], read_codes(folder / "LJ001-0020.wav", 8000)]
    assert test.starts.tolist() == [0, len(two[0]) - 1, len(two[0]) + len(two[1]) - 2]
    assert test.inputs.tolist() == [*two[0][:-1].tolist(), *two[1][:-1].tolist()]
    assert test.targets.tolist() == [*two[0][1:].tolist(), *two[1][1:].tolist()]
    order = [clips[name] for name in CLIPS if name[-1] not in "09" or name[:5] != "LJ001"]
    whole = np.concatenate(order)
    train = task.train(0, 0)
    assert train.inputs.tolist() == whole[:-1].tolist()
    assert train.targets.tolist() == whole[1:].tolist()


def test_the_hash_covers_every_clip(own_data: Path) -> None:
    folder = write_clips(own_data)
    found = {make("speech/ljspeech").data_hash, make("speech/ljspeech,rate=16000").data_hash}
    for name in CLIPS[:4:3]:  # one that trains, one that tests
        write_wav(folder / f"{name}.wav", tone(len(found) * 100, 0.1))
        found.add(make("speech/ljspeech").data_hash)
    assert len(found) == 4


def test_a_clip_shorter_than_k_is_scored_with_what_there_is(own_data: Path) -> None:
    """A model that sums what it reads: with k inputs the last k, and at the start fewer."""
    write_clips(own_data, (*CLIPS, "LJ001-0020"))
    write_clips(own_data, ("LJ001-0030",), seconds=0.002)
    task = make("speech/ljspeech")
    test = task.split("test")
    assert int(test.starts.diff().min()) < 30 < int(test.starts.diff().max())
    blind = Marginal(task.inputs, task.outputs)
    blind.fit(task, 0)
    curve = measure(blind, task, test, [1, 30, 8192, "full"])
    for k in (1, 30, 8192, "full"):
        assert len(curve.at(k).losses) == len(test)  # none is left out
    assert test.available.max() < 8192


def test_the_loss_is_in_bits() -> None:
    outputs = torch.randn(5, 256, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 3, 255, 7, 9])
    found = CrossEntropyInBits()(outputs, targets)
    torch.testing.assert_close(found * math.log(2), CrossEntropy()(outputs, targets))
    even = CrossEntropyInBits()(torch.zeros(1, 256), targets[:2], torch.tensor([0, 0]))
    assert even.tolist() == pytest.approx([8.0, 8.0])


def test_strata_are_of_the_20_ms_before_a_target(own_data: Path) -> None:
    rate, folder = 8000, write_clips(own_data)
    loud, quiet = 0.5 * np.ones(22_050 // 10), 0.005 * np.ones(22_050 // 10)
    write_wav(folder / "LJ001-0010.wav", np.concatenate([loud, quiet, loud]))
    (found,) = make("speech/ljspeech").strata()
    assert found.by == "loudness"
    assert found.labels == ("−50 to −35 dB", "−35 to −20 dB", "above −20 dB")
    kinds = np.array(found.labels)[found.of]
    # 20 ms after the sound has changed, nothing of what was before counts.
    assert set(kinds[: rate // 10 - 20]) == {"above −20 dB"}
    assert set(kinds[rate // 10 + rate // 50 + 20 : rate // 5 - 20]) == {"−50 to −35 dB"}
    assert set(kinds[rate // 5 + 20 :]) == {"above −20 dB"}


def test_own_recordings_are_split_by_file(recordings: Path) -> None:
    task = make(f"audio:{recordings}/*.wav")
    assert isinstance(task, Audio)
    assert task.user_file == f"{recordings}/*.wav"
    lengths = [task.arrays[f"lengths.{part}"].tolist() for part in ("train", "valid", "test")]
    assert lengths == [[800] * 8, [800], [800]]
    (recordings / "0.wav").rename(recordings / "zero.wav")  # the name says nothing
    renamed = make(f"audio:{recordings}/*.wav")
    assert renamed.data_hash == task.data_hash
    every = np.concatenate([task.arrays[f"codes.{part}"] for part in ("train", "valid", "test")])
    files = [read_codes(path, 8000) for path in recordings.glob("*.wav")]
    assert sorted(every.tolist()) == sorted(np.concatenate(files).tolist())


def test_at_most_two_minutes_are_held_out(
    recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqmem.tasks.audio.HELD_OUT", 0.05)
    for i in range(30):
        write_wav(recordings / f"more{i}.wav", tone(60 + i, 0.1, 8000, 0.3), 8000)
    task = make(f"audio:{recordings}/*.wav")
    assert task.arrays["lengths.test"].tolist() == task.arrays["lengths.valid"].tolist() == [800]
    assert task.arrays["lengths.train"].tolist() == [800] * 38


def test_too_few_recordings(recordings: Path) -> None:
    with pytest.raises(InputError, match=r"too few recordings to split, 1; .* at least 3"):
        make(f"audio:{recordings}/1.wav").split("test")
    with pytest.raises(InputError, match="matches no file"):
        make(f"audio:{recordings}/*.flac").split("test")
    with pytest.raises(InputError, match="is a folder, not a file"):
        make(f"audio:{recordings}").split("test")


def test_the_same_recording_twice(recordings: Path, own_data: Path) -> None:
    for i in range(10):
        (recordings / f"again{i}.wav").write_bytes((recordings / "1.wav").read_bytes())
    with pytest.raises(InputError, match=r"has the same sound as .* keep one of them"):
        make(f"audio:{recordings}/*.wav").split("test")
    folder = write_clips(own_data)
    (folder / "LJ003-0001.wav").write_bytes((folder / "LJ001-0010.wav").read_bytes())
    with pytest.raises(InputError, match=r"LJ001-0010\.wav: has the same sound as .*LJ003-0001"):
        make("speech/ljspeech").split("test")


def test_one_wrong_file_costs_one_line_on_the_command_line(
    recordings: Path, tmp_path: Path
) -> None:
    write_wav(recordings / "both.wav", tone(440, 0.1, 8000), channels=2)
    arguments = ["eval", "marginal", "--task", f"audio:{recordings}/*.wav"]
    done = CliRunner().invoke(cli, [*arguments, "--results", str(tmp_path / "results")])
    assert done.exit_code == 2
    assert "both.wav: has 2 channels" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("task_id", "says"),
    [
        ("speech", "unknown task 'speech': did you mean speech/ljspeech"),
        ("speech/lj", "did you mean speech/ljspeech"),
        ("speech/ljspeech,rate=11025", "rate=11025: the rate is 8000 or 16000, as in speech/"),
        ("speech/ljspeech,k=3", "unknown parameter 'k'; this family has"),
        ("audio:", "no file is named; write 'audio:FOLDER/"),
        ("audio:*.wav?rate=x", "rate=x: the rate is 8000 or 16000, as in audio:GLOB"),
        ("audio:*.wav?bits=16", "unknown parameter 'bits'"),
        ("audio/rate=8000", "path of your own files follows a colon, audio:GLOB"),
    ],
)
def test_wrong_ids_are_explained(task_id: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        load_task(task_id)
    assert task_id in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_spellings_are_one_task() -> None:
    assert load_task("speech/ljspeech,rate=8000").id == "speech/ljspeech"
    assert load_task("audio:a?b.wav?rate=16000").id == "audio:a?b.wav?rate=16000"
