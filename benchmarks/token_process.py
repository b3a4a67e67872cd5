"""What a process of its own costs a Hugging Face model.

    python benchmarks/token_process.py

Random networks with a vocabulary of 32,000 tokens are measured on a generated text, at k = 1, 8 and
64 with every target scored, in this process and in one with limits. The two alternate.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import machine, say
from tabulate import tabulate
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from seqmem.submissions.hugging_face.hub import find_model
from seqmem.submissions.hugging_face.loading import load_model
from seqmem.submissions.hugging_face.measure import measure_words
from seqmem.submissions.hugging_face.remote import RemoteTokenModel
from seqmem.submissions.hugging_face.token_model import TokenModel
from seqmem.tasks import load_task
from seqmem.tasks.task import Task

VOCABULARY, CONTEXTS, ROUNDS = 32_000, (1, 8, 64), 3


def words(count: int, seed: int = 0) -> str:
    """Return a text of made-up words, in lines of twelve."""
    rng = np.random.default_rng(seed)
    parts = ["ka", "lo", "mi", "ne", "tu", "ra", "si", "vo", "pe"]
    known = ["".join(rng.choice(parts, rng.integers(1, 5))) for _ in range(400)]
    chosen = rng.choice(known, count)
    return "\n".join(" ".join(chosen[i : i + 12]) for i in range(0, count, 12)) + "\n"


def tokenizer(text: str) -> PreTrainedTokenizerFast:
    """Return byte-level BPE, trained on a text."""
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    own.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False
    )
    own.train_from_iterator([text], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=own, bos_token="<end>", eos_token="<end>")


def networks() -> dict[str, Any]:
    """Return random networks of 4 layers and 256 units."""
    ends = {"bos_token_id": 0, "eos_token_id": 0, "vocab_size": VOCABULARY}
    llama = {"num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 688}
    torch.manual_seed(0)
    return {
        "GPT-2": GPT2LMHeadModel(GPT2Config(n_embd=256, n_layer=4, n_head=4, **ends)),
        "Llama": LlamaForCausalLM(
            LlamaConfig(hidden_size=256, num_hidden_layers=4, **llama, **ends)
        ),
    }


def seconds(model: TokenModel, task: Task) -> float:
    """Return how long a curve takes."""
    began = time.perf_counter()
    measure_words(model, task, CONTEXTS)
    return time.perf_counter() - began


def main() -> None:
    """Write a row for each network."""
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as place:
        book = Path(place) / "book.txt"
        book.write_text(words(5_000))
        task = load_task(f"text:{book}")
        own = tokenizer(book.read_text())
        rows = []
        for name, network in networks().items():
            folder = Path(place) / name
            network.save_pretrained(folder)
            own.save_pretrained(folder)
            found = find_model(str(folder))
            here = load_model(found.path, found.given)
            began = time.perf_counter()
            with RemoteTokenModel(found, threads=torch.get_num_threads()) as there:
                start = time.perf_counter() - began
                times = [(seconds(here, task), seconds(there, task)) for _ in range(ROUNDS)]
            first, second = (min(column) for column in zip(*times, strict=True))
            rows.append([name, first, second, second / first, start])
    headers = ["network", "in this process, s", "in its own, s", "ratio", "start, s"]
    formats = ("", ".1f", ".1f", ".2f", ".1f")
    say(f"\n{machine()}\n")
    say(tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=formats))


if __name__ == "__main__":
    main()
