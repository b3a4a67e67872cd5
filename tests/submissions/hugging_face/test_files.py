"""Which files belong to a model, and what is refused before any of them is read."""

import os
import pickle
import shutil
from pathlib import Path

import pytest

from seqmem.errors import InputError
from seqmem.submissions.hugging_face.files import ModelFolder, find_files

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 268435456\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files with the right names and first bytes, and others that are not the model's."""
    place = tmp_path / "own"
    place.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (place / name).write_text("{}")
    (place / "model.safetensors").write_bytes(bytes([2, *[0] * 7]) + b"{}")
    (place / "modeling_own.py").write_text("raise SystemExit('run')")
    (place / "notes.txt").write_text("secret")
    return place


def found(folder: Path) -> ModelFolder:
    return find_files(folder, "hf:own")


def refused(folder: Path, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        found(folder)
    assert str(caught.value).startswith("hf:own: ")
    assert "\n" not in str(caught.value)


def test_the_models_files_and_no_others(folder: Path) -> None:
    names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert [path.name for path in found(folder).files] == names


def test_hashes_follow_the_models_files(folder: Path) -> None:
    def hashes() -> tuple[str, str]:
        now = found(folder)
        return now.settings_sha256, now.weights_sha256

    settings, weights = hashes()
    (folder / "training.log").write_text("epoch 1")
    assert hashes() == (settings, weights)
    (folder / "merges.txt").write_text("a b")
    other_settings, same = hashes()
    assert (other_settings != settings, same) == (True, weights)
    (folder / "model.safetensors").write_bytes(bytes([3, *[0] * 7]) + b"{ }")
    same_settings, other = hashes()
    assert (same_settings, other != weights) == (other_settings, True)


def test_a_pickle_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, r"pytorch_model\.bin is a pickle, which can run code; save .* safetensors")
    (folder / "pytorch_model.bin").unlink()
    refused(folder, "there are no weights")


def test_an_adapter_is_refused(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    refused(folder, "an adapter to another model; merge the two")


def test_a_tokenizer_is_required(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    refused(folder, r"there is no tokenizer .* tokenizer\.save_pretrained")


@pytest.mark.parametrize(
    ("head", "match"),
    [
        (POINTER, r"is a pointer of Git LFS.* git lfs pull"),
        (b"  <!DOCTYPE html><html>", "is a web page"),
        (pickle.dumps({}), "is a pickle, which can run code"),
        (b"PK\x03\x04rest", "is a zip archive"),
        (b"\x1f\x8b\x08rest", "compressed with gzip"),
        (b"GGUF\x03", "GGUF of llama.cpp"),
        (b"", "is empty"),
    ],
    ids=["pointer", "page", "pickle", "zip", "gzip", "gguf", "empty"],
)
@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_files_that_are_not_what_their_names_say(
    folder: Path, name: str, head: bytes, match: str
) -> None:
    (folder / name).write_bytes(head)
    refused(folder, f"{name} {match}" if match.startswith("is") else f"{name} .*{match}")


def test_links_stay_inside(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    link = folder / "special_tokens_map.json"
    link.symlink_to(tmp_path / "secret.json")
    refused(folder, r"special_tokens_map\.json is a link to a file outside of the folder")
    link.unlink()
    link.symlink_to("tokenizer_config.json")
    assert link in found(folder).files
    link.unlink()
    link.symlink_to(link.name)
    refused(folder, r"special_tokens_map\.json is a link to no file")


def test_links_of_the_cache_lead_to_its_own_files(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "models--someone--own"
    snapshot = cache / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    shutil.copytree(folder, snapshot)
    (cache / "blobs").mkdir()
    (snapshot / "config.json").rename(cache / "blobs/1")
    (snapshot / "config.json").symlink_to("../../blobs/1")
    assert len(found(snapshot).files) == 4
    (tmp_path / "other").write_text("{}")
    (snapshot / "merges.txt").symlink_to(tmp_path / "other")
    refused(snapshot, r"merges\.txt is a link to a file outside")


def test_pipes_and_devices_are_refused(folder: Path) -> None:
    os.mkfifo(folder / "merges.txt")
    refused(folder, r"merges\.txt is not a regular file")
    (folder / "merges.txt").unlink()
    (folder / "merges.txt").symlink_to("/dev/zero")
    refused(folder, r"merges\.txt is a link to a file outside")
    (folder / "merges.txt").unlink()
    (folder / "merges.txt").mkdir()
    refused(folder, r"merges\.txt is not a regular file")
