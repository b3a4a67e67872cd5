"""Tiny Hugging Face models with random weights, and tokenizers trained on generated text."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqmem.submissions.hugging_face.hub import find_model
from seqmem.submissions.hugging_face.loading import load_model
from seqmem.submissions.hugging_face.model import HuggingFaceModel

tokenizers = pytest.importorskip("tokenizers", reason="needs seqmem[hf]")
transformers = pytest.importorskip("transformers", reason="needs seqmem[hf]")

WORDS = ["the", "cat", "sat", "on", "a", "mat", "naïve", "…", "=", "<unk>", "<|end|>", "@-@"]


def made_up(lines: int, seed: int = 0) -> list[str]:
    """Lines of random words, some of them empty."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, max(int(rng.integers(-4, 12)), 0))) for _ in range(lines)]


def byte_level(bos: bool = False) -> Any:
    """Byte-level BPE like GPT-2's; with `bos`, a token is put before every text."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    text = "\n".join(made_up(60))
    _train(tokenizer, [text], tokenizers.pre_tokenizers.ByteLevel.alphabet())
    if bos:
        end = tokenizer.token_to_id("<|end|>")
        tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
            single="<|end|> $A", special_tokens=[("<|end|>", end)]
        )
    return _fast(tokenizer)


def metaspace() -> Any:
    """BPE over whole texts with a space put before each, like Llama 2's."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="first")
    _train(tokenizer, made_up(60), sorted({*"".join(WORDS), "▁", "\n"}))
    return _fast(tokenizer)


def word_level(words: Sequence[str]) -> Any:
    """One token for each of these words, in their order; other words are <unk>."""
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    split = tokenizers.pre_tokenizers.Split
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [split("\n", "isolated"), split(" ", "removed")]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def _train(tokenizer: Any, texts: Sequence[str], alphabet: Sequence[str]) -> None:
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|end|>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)


def _fast(tokenizer: Any) -> Any:
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|end|>", eos_token="<|end|>"
    )


def gpt2(vocabulary: int, longest: int = 512) -> Any:
    config = transformers.GPT2Config(
        vocab_size=vocabulary,
        n_positions=longest,
        n_embd=32,
        n_layer=2,
        n_head=2,
        initializer_range=0.4,
        bos_token_id=0,
        eos_token_id=0,
    )
    return _random(lambda: transformers.GPT2LMHeadModel(config))


def llama(vocabulary: int, longest: int = 512) -> Any:
    config = transformers.LlamaConfig(
        vocab_size=vocabulary,
        max_position_embeddings=longest,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.4,
        bos_token_id=0,
        eos_token_id=0,
    )
    return _random(lambda: transformers.LlamaForCausalLM(config))


def phi3(vocabulary: int, bound: int) -> Any:
    """A network that scales positions in another way when it reads more than `bound` tokens."""
    config = transformers.Phi3Config(
        vocab_size=vocabulary,
        max_position_embeddings=512,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.4,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        original_max_position_embeddings=bound,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 1e4,
            "short_factor": [1.0] * 8,
            "long_factor": [4.0 * (i + 1) for i in range(8)],
            "original_max_position_embeddings": bound,
        },
    )
    return _random(lambda: transformers.Phi3ForCausalLM(config))


def bert(vocabulary: int) -> Any:
    """A model with attention in both directions, and only the name of a causal language model."""
    config = transformers.BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.4,
    )
    return _random(lambda: transformers.BertLMHeadModel(config))


def _random(make: Callable[[], Any]) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval()


def save(folder: Path, network: Any = None, tokenizer: Any = None) -> Path:
    """Write a network, a tokenizer or both with save_pretrained, without its progress bars."""
    transformers.utils.logging.disable_progress_bar()
    for part in (network, tokenizer):
        if part is not None:
            part.save_pretrained(folder)
    transformers.utils.logging.enable_progress_bar()
    return folder


def load(folder: Path | str) -> HuggingFaceModel:
    """A model of a folder, or of the hub's cache, in this process."""
    found = find_model(str(folder))
    return load_model(found.path, found.given)


def change(path: Path, **settings: object) -> None:
    """Change settings in a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
