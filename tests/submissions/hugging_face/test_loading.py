"""A folder is loaded as data: with all of its weights, without code, or refused in one line."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqmem.errors import InputError
from seqmem.tests import tiny_models as tiny

Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = tiny.byte_level()
    return tiny.save(tmp_path_factory.mktemp("hf") / "own", tiny.gpt2(len(tokenizer)), tokenizer)


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to modify."""
    return Path(shutil.copytree(saved, tmp_path / "own"))


def refused(folder: Path, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        tiny.load(folder)
    assert str(caught.value).startswith(f"hf:{folder}: ")
    assert "\n" not in str(caught.value)


def rewrite(folder: Path, change: Callable[[Weights], Weights]) -> None:
    weights = folder / "model.safetensors"
    save_file(change(load_file(weights)), weights, metadata={"format": "pt"})


def test_settings_of_the_libraries_are_restored(saved: Path) -> None:
    from huggingface_hub import constants
    from transformers.utils import logging

    before = (
        constants.HF_HUB_DISABLE_TELEMETRY,
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
    )
    tiny.load(saved)
    assert before == (
        constants.HF_HUB_DISABLE_TELEMETRY,
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
    )


def test_short_floats_on_disk_are_read_exactly(folder: Path) -> None:
    tiny.save(folder, tiny.gpt2(320).to(torch.bfloat16))
    model = tiny.load(folder)
    assert {w.dtype for w in model.parameters()} == {torch.float32}
    expected = tiny.gpt2(320).to(torch.bfloat16).float().state_dict()
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, expected[name])


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
    assert tiny.load(folder).longest == 512


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


def test_other_models_are_refused(folder: Path) -> None:
    tiny.change(folder / "config.json", model_type="vit")
    refused(folder, "model_type 'vit' is not a causal language model")
    for kind in (None, ["gpt2"], {"gpt2": 1}):
        tiny.change(folder / "config.json", model_type=kind)
        refused(folder, r"model_type '.*' is not a causal")


@pytest.mark.parametrize(
    ("name", "value"), [("n_layer", "many"), ("n_embd", 1e300), ("pad_token_id", [0])]
)
def test_settings_that_cannot_be_read_are_named(folder: Path, name: str, value: object) -> None:
    tiny.change(folder / "config.json", **{name: value})
    refused(folder, rf"config\.json cannot be read .*'{name}'.* expected int")


def test_outputs_are_read_by_name_whatever_the_settings_ask_for(folder: Path) -> None:
    tokens = torch.arange(6)[None]
    with torch.inference_mode():
        expected = tiny.load(folder)(tokens)
        tiny.change(
            folder / "config.json",
            return_dict=False,
            output_hidden_states=True,
            output_attentions=True,
            use_cache=True,
        )
        assert torch.equal(tiny.load(folder)(tokens), expected)


def test_a_tokenizer_that_splits_at_random_is_refused(folder: Path) -> None:
    settings = json.loads((folder / "tokenizer.json").read_text())
    tiny.change(folder / "tokenizer.json", model=settings["model"] | {"dropout": 0.01})
    refused(folder, r"its tokenizer splits words at random \(dropout\)")


def test_a_model_without_its_head_is_refused(tmp_path: Path) -> None:
    place = tiny.save(tmp_path / "own", tiny.llama(320).model, tiny.byte_level())
    refused(place, r"lack 1 tensor \(lm_head\.weight\) of a causal language model")


def test_a_model_that_reads_later_tokens_is_refused(tmp_path: Path) -> None:
    place = tiny.save(tmp_path / "own", tiny.bert(320), tiny.byte_level())
    refused(place, "outputs depend on later tokens")


def test_damaged_files_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    refused(folder, r"the model cannot be read \(SafetensorError: .*\)")
    (folder / "tokenizer.json").write_text("{}")
    refused(folder, "its tokenizer cannot be read")
    (folder / "config.json").write_text("[]")
    refused(folder, r"config\.json contains no settings")
    (folder / "config.json").write_text("{")
    refused(folder, r"config\.json cannot be read")
    (folder / "config.json").unlink()
    refused(folder, r"there is no config\.json")


def test_the_extra_is_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    refused(saved, r"pip install 'seqmem\[hf\]'")


def test_weights_that_the_model_does_not_use_are_refused(folder: Path) -> None:
    """As where config.json has fewer layers than the file."""
    tiny.change(folder / "config.json", n_layer=1, layer_types=None)
    refused(folder, r"GPT2LMHeadModel\) does not use 11 tensors \(transformer\.h\.1\.attn.*, …\)")


def test_constants_of_earlier_versions_are_no_weights(folder: Path) -> None:
    constants = {"transformer.h.0.attn.masked_bias": torch.tensor(-1e4)}
    rewrite(folder, lambda weights: weights | constants)
    assert tiny.load(folder).longest == 512


@pytest.mark.parametrize(
    ("prefix", "wrapper"), [("_orig_mod.", "torch.compile"), ("module.", "torch.nn.DataParallel")]
)
def test_names_of_wrapped_modules(folder: Path, prefix: str, wrapper: str) -> None:
    rewrite(folder, lambda weights: {prefix + name: value for name, value in weights.items()})
    refused(folder, f"begin with '{prefix}', as those of a module wrapped by {wrapper} do")


def test_other_shapes_are_refused(folder: Path) -> None:
    tiny.change(folder / "config.json", vocab_size=330)
    refused(folder, r"wte\.weight has shape \(\d+, 32\) in the weights, and \(330, 32\) according")


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_quantised_weights_are_refused(folder: Path, dtype: torch.dtype) -> None:
    def shorten(weights: Weights) -> Weights:
        return {n: value.to(dtype) if "mlp" in n else value for n, value in weights.items()}

    rewrite(folder, shorten)
    refused(folder, "8 tensors .* stored as .*8.*: the weights are quantised")


def test_settings_of_quantisation_are_refused(folder: Path) -> None:
    tiny.change(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    refused(folder, r"quantised \(gptq, says 'quantization_config' in config\.json\).* float32")


def test_more_memory_than_there_is(folder: Path) -> None:
    tiny.change(folder / "config.json", vocab_size=10**15)
    with pytest.raises((MemoryError, RuntimeError)):
        tiny.load(folder)


def test_deep_settings_are_refused(folder: Path) -> None:
    (folder / "config.json").write_text('{"a":' * 900 + "1" + "}" * 900)
    refused(folder, "model_type 'None' is not")
    (folder / "config.json").write_text('{"a":' * 200_000 + "1" + "}" * 200_000)
    refused(folder, r"config\.json cannot be read")
