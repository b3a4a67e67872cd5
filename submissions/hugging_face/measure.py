"""Measure a language model that has a tokenizer of its own."""

import math
import time
from collections.abc import Callable
from importlib.metadata import version

from tqdm import tqdm

from seqmem.measuring.record import MeasuredCurve
from seqmem.measuring.settings import MeasurementSettings
from seqmem.submissions.hugging_face.encoding_cost import encoding_cost
from seqmem.submissions.hugging_face.model import HuggingFaceModel
from seqmem.submissions.hugging_face.word_curve import WordCurve, measure_words
from seqmem.submissions.hugging_face.word_pieces import language_task
from seqmem.tasks.task import Task

__all__ = ["measure_hugging_face"]

RULES = {
    "text": "each word after a space, but directly after the end of a line without; ends of lines "
    "and sentences are a line feed; words encoded one by one",
    "per word": "the sum over a word's tokens; a model with a tokenizer can also predict words "
    "outside the task's vocabulary, a model with this vocabulary as outputs cannot: compare the "
    "two with care, and models with different tokenizers per byte",
}


def measure_hugging_face(
    model: HuggingFaceModel,
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
    language, split = language_task(task), task.split("test")
    measured = settings.cast(model)
    began = time.monotonic()
    with tqdm(unit="token", unit_scale=True, disable=None, leave=False) as bar:
        bar.set_description(f"measure {name} on {task.id}")
        found = measure_words(
            measured,
            task,
            split,
            settings.contexts_for(task),
            precision=settings.half_width(task),
            seed=settings.sample_seed,
            device=settings.device,
            progress=bar.update,
        )
        per_byte = encoding_cost(measured, language, found.text, device=settings.device)
    for k, reason in found.curve.failures.items():
        report(f"k = {k} is not measured: {reason}")
    full = found.curve.full is not None
    return MeasuredCurve(
        found.curve,
        seconds=time.monotonic() - began,
        plain_pass=int(found.text.before[-1]),
        window="the k most recent words since the start of the sequence, read from position 0; "
        + model.bos_rule,
        full="whole sequences" if full else "not measured",
        reference="whole sequences"
        if full
        else f"overlapping pieces, {found.longest_piece} tokens",
        extras=_extras(found, per_byte),
        rules={
            **RULES,
            "words sharing their tokens": found.ambiguous,
            "libraries": {name: version(name) for name in ("transformers", "tokenizers")},
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
