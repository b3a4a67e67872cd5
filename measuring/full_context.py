"""Whether a model can read everything since the start of a sequence, known before it is read."""

from dataclasses import replace

from seqmem.measuring.reference import longest_pass
from seqmem.measuring.settings import MeasurementSettings
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Split, Task

__all__ = ["reads_whole", "without_unreadable"]


def reads_whole(model: SequenceModel, split: Split) -> bool:
    """Return whether a model can read every sequence of a split from its start to its end."""
    longest = int(split.starts.diff().max())
    bounded = model.receptive_field is not None or longest <= longest_pass(model)
    return model.stateful or bounded


def without_unreadable(
    model: SequenceModel, task: Task, settings: MeasurementSettings
) -> tuple[MeasurementSettings, str | None]:
    """Return settings without k = full if the model cannot read the test split so, and a line.

    Such a model neither carries a state nor bounds how far it looks back, and a sequence, as the
    whole of a corpus, is too long to be read at once.
    """
    contexts = settings.grid(task)
    finite = tuple(k for k in contexts if k != "full")
    if "full" not in contexts or not finite or reads_whole(model, task.split("test")):
        return settings, None
    return (
        replace(settings, contexts=finite),
        f"k = full needs a state or a declared receptive field; measured to k = {finite[-1]:,}",
    )
