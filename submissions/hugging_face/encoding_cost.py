"""How much the loss per byte changes because every word is encoded on its own."""

import numpy as np
import torch
import torch.nn.functional as F

from seqmem.submissions.hugging_face.model import HuggingFaceModel
from seqmem.submissions.hugging_face.word_pieces import WITHIN, encoded, text_of
from seqmem.submissions.hugging_face.word_text import WordText
from seqmem.tasks.language import LanguageTask

__all__ = ["encoding_cost"]

PASSAGES, WORDS = 16, 128


@torch.inference_mode()
def encoding_cost(
    model: HuggingFaceModel, task: LanguageTask, text: WordText, *, device: str = "cpu"
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
        written = text_of(task, words)
        forms = text.pieces.form(words, np.concatenate([[-1], words[:-1]]))
        both = [text.pieces.tokens_of(forms).tolist(), encoded([written], WITHIN, model.encode)[0]]
        longest = max(map(len, both)) + len(model.bos_tokens)
        if min(map(len, both)) < 2 or (model.longest is not None and longest > model.longest):
            continue
        size += len(written.encode())
        for i, tokens in enumerate(both):
            ids = torch.tensor([[*model.bos_tokens, *tokens]], device=device)
            scores = model.outputs(ids, last=len(tokens))[0, :-1].float()
            nats[i] += float(F.cross_entropy(scores, ids[0, -len(tokens) + 1 :], reduction="sum"))
    return (nats[0] / size, nats[1] / size) if size else None
