"""Measure a language model that has a tokenizer of its own."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import torch
import torch.nn.functional as F

from seqmem.errors import CellError
from seqmem.measuring.curve import Curve, estimate_curve
from seqmem.measuring.progress_bar import progress_bar
from seqmem.measuring.record import MeasuredCurve
from seqmem.measuring.settings import MeasurementSettings
from seqmem.measuring.window_scores import ByTarget
from seqmem.submissions.hugging_face.token_model import TokenModel
from seqmem.submissions.hugging_face.word_pieces import WITHIN, encoded
from seqmem.submissions.hugging_face.word_scores import WordScorer
from seqmem.submissions.hugging_face.word_text import WordText, language_task, text_of, word_text
from seqmem.tasks.data.vocabulary import UNKNOWN
from seqmem.tasks.language import LanguageTask
from seqmem.tasks.task import Context, Task
from seqmem.tasks.unknown_words import unknown_share

__all__ = ["WordCurve", "encoding_cost", "measure_hugging_face", "measure_words"]

RULES = {
    "text": "each word after a space, but directly after the end of a line without; ends of lines "
    "and sentences are a line feed; words encoded one by one",
    "per word": "the sum over a word's tokens, and the end of words that longer ones begin with, "
    "given that the word before has ended; words outside the task's vocabulary are predicted as "
    "the text writes them, where a model with this vocabulary as outputs predicts <unk>: compare "
    "the two with care, and models with different tokenizers per byte",
}


# The passages in which `encoding_cost` is measured, and the words of each.
PASSAGES, WORDS = 16, 128


@dataclass(frozen=True)
class WordCurve:
    """A curve in nats per word, and further results of the measurement.

    Attributes:
        curve: the curve; its steps are tokens.
        text: the split's words as tokens.
        reference: the mean loss in the reference pass, in nats per word.
        longest_piece: the most tokens read at once in the reference pass.
        bytes: the number of bytes of the scored text in UTF-8.
        ambiguous: how many words of the vocabulary have the same tokens as another word.
    """

    curve: Curve
    text: WordText
    reference: float
    longest_piece: int
    bytes: int
    ambiguous: int


def measure_hugging_face(
    model: TokenModel,
    name: str,
    task: Task,
    settings: MeasurementSettings,
    report: Callable[[str], object],
) -> MeasuredCurve:
    """Measure a model's curve on the test split of a task of words.

    Context lengths are words of the task, and losses nats per word; `extras` contain them per byte
    of the scored text.

    Args:
        model: the model; it is moved to the device and not changed otherwise.
        name: the model's name, for the progress bar.
        task: the task.
        settings: context lengths, precision, device. Every k has windows of its own.
        report: called with a line for each k that cannot be measured.

    Raises:
        NotApplicableError: the task is not one of words.
        InputError: the tokenizer does not fit the task or the network.
        CellError: the model cannot be measured.
    """
    language = language_task(task)
    measured = settings.cast(model)
    began = time.monotonic()
    label = f"measure {name} on {task.id}"
    with progress_bar(desc=label, unit="token", unit_scale=True) as bar:
        found = measure_words(
            measured,
            task,
            settings.contexts_for(task),
            precision=settings.half_width(task),
            seed=settings.sample_seed,
            device=settings.device,
            progress=bar.update,
        )
        per_byte = encoding_cost(measured, language, found.text, device=settings.device)
    outside, unknown = unknown_share(task) or 0.0, found.text.original.share_of(UNKNOWN)
    if outside > unknown:
        report(
            f"{100 * outside:.3g} % of the words are outside the task's vocabulary: this model "
            "predicts them as the text writes them, chance and other models predict <unk>"
        )
    for k, reason in found.curve.failures.items():
        report(f"k = {k} is not measured: {reason}")
    full = found.curve.full is not None
    return MeasuredCurve(
        found.curve,
        seconds=time.monotonic() - began,
        plain_pass=int(found.text.before[-1]),
        rules={
            **RULES,
            "window": "the k most recent words since the start of the sequence, read from position "
            f"0; {model.bos_rule}",
            "full": "whole sequences" if full else "not measured",
            "reference": "whole sequences"
            if full
            else f"overlapping pieces, {found.longest_piece} tokens",
            "words sharing their tokens": found.ambiguous,
            "unknown_targets": unknown,
            "libraries": {name: version(name) for name in ("transformers", "tokenizers")},
        },
        extras={
            "share of words outside the task's vocabulary": outside,
            **_extras(found, per_byte),
        },
    )


def _extras(found: WordCurve, per_byte: tuple[float, float] | None) -> dict[str, float]:
    """Return the losses per byte, and how much encoding words one by one changes them."""
    curve, words = found.curve, len(found.text.split)
    losses = {f"k={k}": float(curve.at(k).losses.mean()) for k in curve.finite}
    if curve.full is not None:
        losses["full"] = float(curve.full.losses.mean())
    else:
        losses["overlapping pieces"] = found.reference
    extras = {"words scored": float(words), "bytes scored": float(found.bytes)}
    if curve.full is None:
        extras["nats per word, overlapping pieces"] = found.reference
    for name, loss in losses.items():
        extras[f"nats per byte, {name}"] = loss * words / found.bytes
        extras[f"bits per byte, {name}"] = loss * words / found.bytes / math.log(2)
    if per_byte is not None:
        extras["nats per byte of some passages, words encoded one by one"] = per_byte[0]
        extras["nats per byte of some passages, encoded as a whole"] = per_byte[1]
    return extras


@torch.inference_mode()
@torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
def measure_words(
    model: TokenModel,
    task: Task,
    contexts: Sequence[Context],
    *,
    text: WordText | None = None,
    precision: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda steps: None,
) -> WordCurve:
    """Measure the mean loss of a split's words; see `seqmem.measuring.curve.measure`.

    A context length is left out, with the reason, if a window exceeds the model's longest input; so
    is "full" if a sequence does.

    Args:
        model: the model; it is set to evaluation mode.
        task: a task of predicting words.
        contexts: positive integers and "full", in any order.
        text: the words; None: those of the test split.
        precision: the largest allowed half-width of the 95 % interval of each mean, in nats per
            word; None scores every target at every k.
        seed: seed of the samples of windows.
        device: where the model runs.
        progress: called with the number of tokens just read.

    Raises:
        NotApplicableError: the task is not one of words.
        InputError: the tokenizer drops a word, or returns tokens that the model does not have.
        CellError: the model's outputs are not finite, or every window exceeds its longest input.
    """
    text = text or word_text(language_task(task), model)
    steps_at: dict[int, int] = {}

    def count(k: int, steps: int) -> None:
        if k:
            steps_at[k] = steps_at.get(k, 0) + steps
        progress(steps)

    scorer = WordScorer(model.to(device).eval(), task, text.split, device, count, text)
    windows = ByTarget(scorer, seed)
    reach = int(windows.available.max())
    lengths = {k: text.longest_window(k) for k in {1, *contexts} if k != "full"}
    too_long: dict[Context, str] = {
        k: f"a window of {k:,} words has {tokens:,} tokens, and the model reads at most "
        f"{scorer.most_tokens:,} at once"
        for k, tokens in lengths.items()
        if tokens > scorer.most_tokens
    }
    if 1 in too_long:
        raise CellError(f"nothing can be measured: {too_long[1]}")
    finite = sorted(k for k in contexts if k != "full" and k not in too_long)
    compared = [lengths[k] for k in finite if k < reach]
    full = "full" in contexts or any(k >= reach for k in finite)
    reference, longest_piece = scorer.reference(max(compared, default=lengths[1]), full)
    curve = estimate_curve(windows, reference, finite, reach, precision, steps_at)
    if not reference.is_full and "full" in contexts:
        too_long["full"] = (
            f"a sequence has {text.longest_window(reach):,} tokens, and the model reads at most "
            f"{scorer.most_tokens:,} at once"
        )
    return WordCurve(
        replace(curve, failures={**curve.failures, **too_long}),
        text,
        float(reference.scores.losses.mean()),
        longest_piece,
        int(text.pieces.utf8[text.targets].sum()),
        int((text.pieces.log_ambiguity[: len(text.original.words)] > 0).sum()),
    )


@torch.inference_mode()
def encoding_cost(
    model: TokenModel, task: LanguageTask, text: WordText, *, device: str = "cpu"
) -> tuple[float, float] | None:
    """Score a few passages, each encoded word by word and as a whole.

    All tokens of a passage but the first are scored.

    Args:
        model: the model in evaluation mode, on the device.
        task: the task.
        text: the split, and the tokens of its words.
        device: where the model runs.

    Returns:
        nats per byte, encoded word by word and as a whole; None if no passage fits into the model's
        longest input.
    """
    begins = np.unique(np.linspace(0, len(text.words) - 1, PASSAGES).astype(np.int64))
    starts = text.split.starts.numpy()
    ends = starts[np.searchsorted(starts, begins, side="right")]
    nats, size = [0.0, 0.0], 0
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        words = text.words[begin : min(begin + WORDS, end)]
        written = text_of([text.original.words[i] for i in words.tolist()], task.line_ends)
        forms = text.pieces.form(words, np.concatenate([[-1], words[:-1]]))
        apart = text.pieces.tokens.joined(forms).tolist()
        both = [apart, encoded([written], WITHIN, model.encode)[0]]
        longest = max(map(len, both)) + len(model.bos_tokens)
        if min(map(len, both)) < 2 or (model.longest is not None and longest > model.longest):
            continue
        size += len(written.encode())
        for i, tokens in enumerate(both):
            ids = torch.tensor([[*model.bos_tokens, *tokens]], device=device)
            at = torch.arange(ids.shape[1] - len(tokens), ids.shape[1] - 1)
            scores, _ = model.features_at(ids, torch.zeros_like(at), at)
            wanted = ids[0, at + 1].to(scores.device)
            nats[i] += float(F.cross_entropy(scores.float(), wanted, reduction="sum"))
    return (nats[0] / size, nats[1] / size) if size else None
