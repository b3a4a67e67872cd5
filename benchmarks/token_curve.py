"""A Hugging Face model's curve against the usual loops over tokens with a stride.

    python benchmarks/token_curve.py

A random network of Llama's shape (4 layers, 128 units) on a generated text of words. The usual loop
reads a window of L tokens, scores the last S of them and moves on by S:

- S = 1, with L the tokens of 256 words, is the loss at one k; some windows are timed and scaled up;
- S = 512 at L = 1,024 is a pass over the text, in which targets see 512 to 1,024 tokens.

Against the first, the curve at k = 1, 4, 16, 64 and 256 words and full to ±0.5 %; against the
second, its reference pass alone. All alternate in this process. A random network does not predict,
but its losses at each k differ by as much as the samples have to show.
"""

import argparse
import math
import tempfile
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from common import machine, say, timed
from tabulate import tabulate
from token_process import tokenizer, words
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from seqmem.submissions.hugging_face.hub import find_model
from seqmem.submissions.hugging_face.loading import load_model
from seqmem.submissions.hugging_face.measure import measure_words
from seqmem.submissions.hugging_face.token_model import TokenModel
from seqmem.tasks import load_task
from seqmem.tasks.task import Context, Task

CONTEXTS: tuple[Context, ...] = (1, 4, 16, 64, 256, "full")
LONGEST = 256  # words of a window, of the loop with stride 1 as well
PASS, STRIDE = 1024, 512


@torch.inference_mode()
def with_stride(network: LlamaForCausalLM, tokens: Tensor, length: int, stride: int) -> float:
    """Return the mean loss of tokens (N,) in windows that move by a stride, in nats."""
    total, count = 0.0, 0
    for end in range(length, len(tokens), stride):
        window = tokens[None, end - length : end + 1]
        logits = network(window[:, :-1]).logits[0, -stride:].float()
        total += float(F.cross_entropy(logits, window[0, -stride:], reduction="sum"))
        count += stride
    return total / count


def curve(model: TokenModel, task: Task, contexts: tuple[Context, ...]) -> int:
    """Measure a curve to ±0.5 % and return the number of tokens read."""
    return measure_words(model, task, contexts, precision=math.log(1.005)).curve.steps


def main() -> None:
    """Write a row for the curve and one for its reference pass."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=60_000, help="a twentieth is scored")
    parser.add_argument("--part", type=int, default=40, help="one in so many windows is timed")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as place:
        book = Path(place) / "book.txt"
        book.write_text(words(given.words))
        task = load_task(f"text:{book}")
        own = tokenizer(book.read_text())
        torch.manual_seed(0)
        network = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(own), hidden_size=128, num_hidden_layers=4, num_attention_heads=4,
                intermediate_size=344, max_position_embeddings=8192,
            )
        ).eval()  # fmt: skip
        network.save_pretrained(Path(place) / "model")
        own.save_pretrained(Path(place) / "model")
        found = find_model(str(Path(place) / "model"))
        model = load_model(found.path, found.given)
        text = book.read_text()
        scored = torch.tensor(own.encode(text[-len(text) // 20 :]))
        window = round(LONGEST * len(scored) / len(text[-len(text) // 20 :].split()))
        part = scored[: window + 1 + len(scored) // given.part]
        whole = (len(scored) - window) / (len(part) - window)
        times = []
        for _ in range(given.rounds):
            one = timed(lambda: with_stride(network, part, window, 1))[0] * whole
            seconds, steps = timed(lambda: curve(model, task, CONTEXTS))
            stride = timed(lambda: with_stride(network, scored, PASS, STRIDE))[0]
            reference = timed(lambda: curve(model, task, ("full",)))[0]
            times.append((one, seconds, stride, reference))
            say(" ".join(f"{each:.2f}" for each in times[-1]))
    one, seconds, stride, reference = (median(column) for column in zip(*times, strict=True))
    rows = [
        [f"whole curve, {steps / len(scored):.0f} tokens read for each", seconds,
         f"stride 1 at {window} tokens", one, median(b / a for a, b, _, _ in times)],
        ["reference pass", reference,
         f"stride {STRIDE} at {PASS:,} tokens", stride, median(d / c for _, _, c, d in times)],
    ]  # fmt: skip
    say(f"\n{len(scored):,} tokens scored, {machine()}\n")
    headers = ["seqmem", "s", "usual loop", "s", "ratio"]
    say(tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=("", ".2f", "", ".2f", ".2f")))


if __name__ == "__main__":
    main()
