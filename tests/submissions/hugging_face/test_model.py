"""A network and its tokenizer: tokens in, the library's scores out."""

from pathlib import Path

import pytest
import torch

from seqmem.errors import CellError, InputError
from seqmem.submissions.hugging_face.model import HuggingFaceModel
from seqmem.submissions.hugging_face.token_model import PADDING
from seqmem.tests import tiny_models as tiny


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = tiny.byte_level()
    return tiny.save(tmp_path_factory.mktemp("hf") / "own", tiny.gpt2(len(tokenizer)), tokenizer)


def test_facts(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = tiny.load(saved)
    assert capfd.readouterr() == ("", "")
    network = tiny.gpt2(model.vocabulary)
    facts = model.facts()
    assert facts["longest_input"] == 512
    assert facts["has_bos"] is True
    assert facts["parameters"] == sum(w.numel() for w in network.parameters())
    assert "puts none before a text" in facts["bos_rule"]
    tokens = torch.randint(100, (2, 9), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(model(tokens), network(tokens).logits)


def test_bos_is_the_tokenizers_choice(tmp_path: Path) -> None:
    tokenizer = tiny.byte_level(bos=True)
    model = tiny.load(tiny.save(tmp_path / "own", tiny.llama(320), tokenizer))
    assert model.bos_tokens == (tokenizer.bos_token_id,)
    assert "begins with '<|end|>'" in model.bos_rule


def test_the_longest_input_is_enforced(tmp_path: Path) -> None:
    """Rotary positions would accept longer inputs without an error."""
    place = tiny.save(tmp_path / "own", tiny.llama(320, longest=32), tiny.byte_level())
    model = tiny.load(place)
    assert model.longest == 32
    model(torch.zeros(1, 32, dtype=torch.int64))
    with pytest.raises(CellError, match="at most 32 tokens at once, and got 33"):
        model(torch.zeros(1, 33, dtype=torch.int64))
    tiny.change(place / "tokenizer_config.json", model_max_length=20)
    assert tiny.load(place).longest == 20


@pytest.mark.parametrize("make", [tiny.gpt2, tiny.llama])
def test_padding_at_the_right_changes_nothing(make: object, tmp_path: Path) -> None:
    assert callable(make)
    place = tiny.save(tmp_path / "own", make(320), tiny.byte_level())
    model = tiny.load(place)
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
    model = tiny.load(saved)
    (tokens,) = model.encode(["a <|end|> b"])
    assert model.tokenizer.bos_token_id not in tokens
    assert model.tokenizer.decode(tokens) == "a <|end|> b"


def test_a_long_beginning_is_refused() -> None:
    tokenizer = tiny.byte_level()
    tokenizer.backend_tokenizer.post_processor = tiny.tokenizers.processors.TemplateProcessing(
        single="<|end|> " * 65 + "$A", special_tokens=[("<|end|>", 0)]
    )
    with pytest.raises(InputError, match="puts 65 tokens before every text; at most 64"):
        HuggingFaceModel(tiny.gpt2(len(tokenizer)), tokenizer, "hf:tiny")


def test_tokens_that_the_network_lacks() -> None:
    tokenizer = tiny.byte_level()
    model = HuggingFaceModel(tiny.gpt2(len(tokenizer) - 40), tokenizer, "hf:tiny")
    with pytest.raises(InputError, match=r"hf:tiny: its tokenizer returns token \d+, .* has 2\d\d"):
        model.encode(["the cat", "naïve mat"])
    assert model.encode([]) == []
    tokenizer.backend_tokenizer.post_processor = tiny.tokenizers.processors.TemplateProcessing(
        single="<|end|> $A", special_tokens=[("<|end|>", len(tokenizer))]
    )
    with pytest.raises(InputError, match=f"token {len(tokenizer)}, and the model has"):
        HuggingFaceModel(tiny.gpt2(len(tokenizer)), tokenizer, "hf:tiny")
