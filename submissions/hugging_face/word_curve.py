"""The context curve of a model that reads tokens, with context lengths in words of a task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from seqmem.errors import CellError, InputError
from seqmem.measuring.curve import Curve, estimate_curve
from seqmem.measuring.window_scores import ByTarget
from seqmem.submissions.hugging_face.model import HuggingFaceModel
from seqmem.submissions.hugging_face.word_pieces import language_task, word_pieces
from seqmem.submissions.hugging_face.word_scores import WordScorer
from seqmem.submissions.hugging_face.word_text import WordText
from seqmem.tasks.task import Context, Split, Task

__all__ = ["WordCurve", "measure_words"]


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


@torch.inference_mode()
@torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
def measure_words(
    model: HuggingFaceModel,
    task: Task,
    split: Split,
    contexts: Sequence[Context],
    *,
    precision: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda steps: None,
) -> WordCurve:
    """Measure the mean loss of words at every context length; see `seqmem.measuring.curve.measure`.

    A context length is left out, with the reason, if a window exceeds the model's longest input; so
    is "full" if a sequence does.

    Args:
        model: the model; it is set to evaluation mode.
        task: a task of predicting words.
        split: the words, with a target for every input.
        contexts: positive integers and "full", in any order.
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
    language = language_task(task)
    pieces = word_pieces(language, model.encode)
    if (largest := int(pieces.tokens.max())) >= model.vocabulary:
        raise InputError(
            f"{model.given}: its tokenizer returns token {largest:,}, and the model has "
            f"{model.vocabulary:,}; the two do not belong together"
        )
    steps_at: dict[int, int] = {}

    def count(k: int, steps: int) -> None:
        if k:
            steps_at[k] = steps_at.get(k, 0) + steps
        progress(steps)

    text = WordText(split, pieces, model.bos_tokens)
    scorer = WordScorer(model.to(device).eval(), task, split, device, count, text)
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
        int(pieces.utf8[text.targets].sum()),
        int((pieces.log_ambiguity[: len(pieces.ends_line)] > 0).sum()),
    )
