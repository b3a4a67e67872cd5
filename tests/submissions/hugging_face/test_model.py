"""Hugging Face models are loaded as data, or refused in one line."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from seqmem.errors import CellError, InputError
from seqmem.submissions.hugging_face.model import HuggingFaceModel, open_hugging_face
from seqmem.submissions.hugging_face.token_model import PADDING
from seqmem.tasks.model import weights_sha256
from seqmem.tests import tiny_models as tiny


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = tiny.byte_level()
    return tiny.save(tmp_path_factory.mktemp("hf") / "own", tiny.gpt2(len(tokenizer)), tokenizer)


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to modify."""
    return Path(shutil.copytree(saved, tmp_path / "own"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No downloads, and an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def refused(folder: Path | str, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        open_hugging_face(str(folder))
    assert str(caught.value).startswith(f"hf:{folder}: ")
    assert "\n" not in str(caught.value)


def test_facts(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = open_hugging_face(str(saved))
    assert capfd.readouterr() == ("", "")
    network = tiny.gpt2(model.vocabulary)
    assert sum(w.numel() for w in model.parameters()) == sum(
        w.numel() for w in network.parameters()
    )
    facts = model.facts()
    assert facts["longest_input"] == 512
    assert facts["has_bos"] is True
    assert "puts none before a text" in facts["bos_rule"]
    assert model.name == "hf:own"
    same = HuggingFaceModel(network, model.tokenizer, "hf:own")
    assert weights_sha256(model) == weights_sha256(same)
    tokens = torch.randint(100, (2, 9), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(model(tokens), network(tokens).logits)


def test_bos_is_the_tokenizers_choice(tmp_path: Path) -> None:
    tokenizer = tiny.byte_level(bos=True)
    model = open_hugging_face(str(tiny.save(tmp_path / "own", tiny.llama(320), tokenizer)))
    assert model.bos_tokens == (tokenizer.bos_token_id,)
    assert "begins with '<|end|>'" in model.bos_rule


def test_settings_of_the_libraries_are_restored(saved: Path) -> None:
    from huggingface_hub import constants
    from transformers.utils import logging

    before = (
        constants.HF_HUB_DISABLE_TELEMETRY,
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
    )
    open_hugging_face(str(saved))
    assert before == (
        constants.HF_HUB_DISABLE_TELEMETRY,
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
    )


def test_short_floats_on_disk_are_read_exactly(folder: Path) -> None:
    tiny.save(folder, tiny.gpt2(320).to(torch.bfloat16))
    model = open_hugging_face(str(folder))
    assert {w.dtype for w in model.parameters()} == {torch.float32}
    expected = tiny.gpt2(320).to(torch.bfloat16).float().state_dict()
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, expected[name])


def test_the_longest_input_is_enforced(tmp_path: Path) -> None:
    """Rotary positions would accept longer inputs without an error."""
    place = tiny.save(tmp_path / "own", tiny.llama(320, longest=32), tiny.byte_level())
    model = open_hugging_face(str(place))
    assert model.longest == 32
    model(torch.zeros(1, 32, dtype=torch.int64))
    with pytest.raises(CellError, match="at most 32 tokens at once, and got 33"):
        model(torch.zeros(1, 33, dtype=torch.int64))
    tiny.change(place / "tokenizer_config.json", model_max_length=20)
    assert open_hugging_face(str(place)).longest == 20


@pytest.mark.parametrize("make", [tiny.gpt2, tiny.llama])
def test_padding_at_the_right_changes_nothing(make: object, tmp_path: Path) -> None:
    assert callable(make)
    place = tiny.save(tmp_path / "own", make(320), tiny.byte_level())
    model = open_hugging_face(str(place))
    tokens = torch.randint(320, (3, 20), generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([20, 7, 13])
    padded = tokens.where(torch.arange(20) < lengths[:, None], PADDING)
    rows, columns = (padded != PADDING).nonzero(as_tuple=True)
    late = columns >= 5
    with torch.inference_mode():
        found, _ = model.features_at(padded, rows, columns)
        some, _ = model.features_at(padded, rows[late], columns[late])
        torch.testing.assert_close(some, found[late])
        for row, length in enumerate(lengths.tolist()):
            alone = model.network(tokens[row : row + 1, :length]).logits[0]
            torch.testing.assert_close(found[rows == row], alone, rtol=1e-4, atol=1e-5)


def test_text_is_no_special_token(saved: Path) -> None:
    model = open_hugging_face(str(saved))
    (tokens,) = model.encode(["a <|end|> b"])
    assert model.tokenizer.bos_token_id not in tokens
    assert model.tokenizer.decode(tokens) == "a <|end|> b"


def test_a_pickle_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, r"pytorch_model\.bin is a pickle, which can run code; save .* safetensors")
    (folder / "pytorch_model.bin").unlink()
    refused(folder, "there are no weights")


def test_an_index_names_files_of_the_folder_only(folder: Path) -> None:
    whole = folder / "model.safetensors"
    index = folder / "model.safetensors.index.json"
    names = tiny.gpt2(320).state_dict()
    part = "model-00001-of-00001.safetensors"
    whole.rename(folder / part)
    for name in (f"../own/{part}", "gone.safetensors", "pytorch_model.bin"):
        index.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, name)}))
        refused(folder, r"index\.json names .* not a safetensors file of this folder")
    index.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, part)}))
    assert open_hugging_face(str(folder)).longest == 512


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_is_refused(folder: Path, name: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    auto = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    tiny.change(folder / name, text_config={"auto_map": auto})
    refused(folder, f"'auto_map' in {name} asks for code of its own, which is not run")
    assert not ran.exists()


def test_attention_code_from_outside_is_refused(folder: Path) -> None:
    tiny.change(folder / "config.json", _attn_implementation="someone/kernel")
    refused(folder, "'_attn_implementation' in config.json asks for code")


def test_an_adapter_is_refused(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    refused(folder, "an adapter to another model; merge the two")


def test_a_tokenizer_is_required(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    refused(folder, r"there is no tokenizer .* tokenizer\.save_pretrained")


def test_other_models_are_refused(folder: Path) -> None:
    tiny.change(folder / "config.json", model_type="vit")
    refused(folder, "model_type 'vit' is not a causal language model")
    tiny.change(folder / "config.json", model_type=None)
    refused(folder, "model_type 'None' is not a causal")


def test_a_model_without_its_head_is_refused(tmp_path: Path) -> None:
    place = tiny.save(tmp_path / "own", tiny.llama(320).model, tiny.byte_level())
    refused(place, r"lack 1 of the tensors of a causal language model, lm_head\.weight among them")


def test_a_model_that_reads_later_tokens_is_refused(tmp_path: Path) -> None:
    place = tiny.save(tmp_path / "own", tiny.bert(320), tiny.byte_level())
    refused(place, "outputs depend on later tokens")


def test_damaged_files_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    refused(folder, r"the model cannot be read \(SafetensorError: .*; save it again")
    (folder / "tokenizer.json").write_text("{}")
    refused(folder, "its tokenizer cannot be read")
    (folder / "config.json").write_text("[]")
    refused(folder, r"config\.json contains no settings")
    (folder / "config.json").write_text("{")
    refused(folder, r"config\.json cannot be read")
    (folder / "config.json").unlink()
    refused(folder, r"there is no config\.json")


def test_a_missing_folder(tmp_path: Path) -> None:
    refused(tmp_path / "gone", "there is no such folder")
    refused("./gone", "there is no such folder; name one")
    refused("someone/gone", "no such folder, and no such model in the cache or on the hub")


def test_a_model_of_the_cache(saved: Path, tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    stored = tmp_path / "cache" / "models--someone--own"
    shutil.copytree(saved, stored / "snapshots" / commit)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text(commit)
    model = open_hugging_face("someone/own")
    assert (model.name, model.revision) == ("hf:someone/own", commit)


def test_the_extra_is_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    refused(saved, r"pip install 'seqmem\[hf\]'")
