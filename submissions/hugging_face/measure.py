"""Measuring a language model that has a tokenizer of its own, and the record that is made of it."""

import math
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from tqdm import tqdm

from seqmem.leaderboard.record import Record
from seqmem.measuring.record import MeasuredCurve, make_record
from seqmem.measuring.settings import MeasurementSettings
from seqmem.provenance import source_sha256
from seqmem.submissions.hugging_face.encoding_cost import encoding_cost
from seqmem.submissions.hugging_face.model import HuggingFaceModel
from seqmem.submissions.hugging_face.word_curve import WordCurve, measure_words
from seqmem.submissions.hugging_face.word_pieces import language_task
from seqmem.tasks.task import Task

__all__ = ["measure_hugging_face"]

# Of a model that was trained elsewhere nothing is known but its weights.
UNKNOWN_TRAINING: Mapping[str, Any] = {
    "k_train": "unknown",
    "state": None,
    "seed": 0,
    "budget": "elsewhere",
    "recipe": None,
}
RULES = {
    "text": "each word with a space before it, at the start of a line without; line and sentence "
    "ends are a line feed; words encoded one by one",
    "per word": "the sum over a word's tokens; a perplexity per word of a model that could say "
    "more than the task's vocabulary, which one with that vocabulary for its outputs cannot: "
    "compare the two with care, and models with tokenizers per byte",
}


def measure_hugging_face(
    model: HuggingFaceModel,
    task: Task,
    how: MeasurementSettings,
    say: Callable[[str], object],
    *,
    label: str | None = None,
    training: Mapping[str, Any] = UNKNOWN_TRAINING,
) -> Record:
    """Measure a model's curve on the test split of a task of words, and make a record of it.

    Context lengths are words of the task, losses nats per word; `extras` has them per byte of the
    text that was scored.

    Args:
        model: what is measured; it is left as it was, on the device.
        task: the task.
        how: contexts, precision, device. Every k takes windows of its own.
        say: called with one line at the end, and one for each k that could not be measured.
        label: the model's name on the board; None for the one it was opened by.
        training: how it was trained, as a record holds it.

    Raises:
        NotApplicableError: the task is not one of words.
        InputError: model and tokenizer do not go with the task, or not with each other.
        CellError: the model cannot be measured.
    """
    language, split = language_task(task), task.split("test")
    measured = how.cast(model)
    began = time.monotonic()
    with tqdm(unit="token", unit_scale=True, disable=None, leave=False) as bar:
        bar.set_description(f"measure {label or model.name} on {task.id}")
        found = measure_words(
            measured,
            task,
            split,
            how.contexts_for(task),
            precision=how.half_width(task),
            seed=how.sample_seed,
            device=how.device,
            progress=bar.update,
        )
        both = encoding_cost(measured, language, found.text, device=how.device)
    for k, reason in found.curve.failures.items():
        say(f"k = {k} is not measured: {reason}")
    full = found.curve.full is not None
    return make_record(
        model,
        MeasuredCurve(
            found.curve,
            seconds=time.monotonic() - began,
            plain_pass=int(found.text.before[-1]),
            window="the k most recent words since the start of the sequence, read from position 0; "
            + model.bos_rule,
            full="whole sequences" if full else "not measured",
            reference="whole sequences"
            if full
            else f"overlapping pieces, {found.longest_piece} tokens",
            extras=_extras(found, both),
            rules={
                **RULES,
                "words sharing their tokens": found.ambiguous,
                "libraries": {name: version(name) for name in ("transformers", "tokenizers")},
            },
        ),
        {
            "name": model.name,
            "label": label or model.name,
            "options": {},
            "source_sha256": source_sha256("seqmem.submissions.hugging_face.word_curve"),
            **model.facts(),
        },
        training,
        task,
        how,
        say,
    )


def _extras(found: WordCurve, both: tuple[float, float] | None) -> dict[str, float]:
    """Give the scores per byte, and what the rules of measuring change."""
    curve, words = found.curve, len(found.text.split)
    losses = {f"k={k}": float(at.losses.mean()) for k, at in curve.estimates.items()}
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
    if both is not None:
        extras["nats per byte of some passages, words encoded one by one"] = both[0]
        extras["nats per byte of some passages, encoded as a whole"] = both[1]
    return extras
