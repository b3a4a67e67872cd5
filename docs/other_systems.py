"""Translation, speech and images: how much context models use, and what recurrence adds."""

from collections.abc import Mapping, Sequence

from seqmem.docs import sentences
from seqmem.docs.committed import trainings
from seqmem.docs.markup import bullets, chart_name, details, table
from seqmem.docs.sentences import MARGIN, amount, compare, place
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.statistics.aggregate import Board
from seqmem.leaderboard.statistics.answers import CLOSE
from seqmem.leaderboard.statistics.context_need import ContextNeed
from seqmem.leaderboard.statistics.differences import difference
from seqmem.leaderboard.statistics.envelope import Best
from seqmem.leaderboard.statistics.rows import name_of, named_rows
from seqmem.leaderboard.tables.formatting import need
from seqmem.leaderboard.tables.wording import ONE, TIED, difference_text, shown
from seqmem.tasks import family_of
from seqmem.tasks.translation_cuts import CUT

__all__ = ["is_cut", "other_parts"]

FAMILIES = ("translation", "speech", "sequential-image", "permuted-image")
ALONE = "source=0,train=cut"  # a language model of the target side alone

INTRODUCTION = """The blog post's other evidence: translation, speech, and images read pixel by
pixel. Budget `{budget}`, {trainings}: small models, far from published systems. What one *uses*,
which is no need of the task, is the smallest k whose loss is within {close} of the task's gain of
its own with everything."""


def is_cut(record: Record) -> bool:
    """Return whether a record is of a translation of which a part is out of view."""
    return family_of(record.task.id) == "translation" and bool(_parts(record.task.id)[1])


def other_parts(found: Sequence[Board], cut: Sequence[Board], folder: str) -> list[str]:
    """Return what models use on each of these tasks, and what the source of a translation is worth.

    Args:
        found: boards of whole tasks, with context needs for a share of the gain.
        cut: boards of translations of which a part is out of view.
        folder: of the charts, as the page names it.
    """
    some = [board for board in found if family_of(board.task_id) in FAMILIES]
    if not some:
        return []
    some.sort(key=lambda board: FAMILIES.index(family_of(board.task_id)))
    told, tables = [], []
    for board in some:
        told += use_sentences(board)
        parts = {
            options: other
            for other in cut
            for whole, options in [_parts(other.task_id)]
            if whole == board.task_id
        }
        if ALONE in parts:
            told += source_sentences(board, parts[ALONE])
        if parts:
            title = f"{board.task_id} with a part of each source"
            pictures = [
                f"![{other.task_id}: score against k]({folder}/{chart_name(other)})"
                for other in parts.values()
            ]
            tables.append(details(title, [source_table(board, parts), *pictures]))
    return [
        "## Translation, speech, images",
        INTRODUCTION.format(
            budget=some[0].rows[0].budget,
            trainings=trainings(some),
            close=f"{100 * (1 - CLOSE):.0f} %",
        ),
        bullets(told),
        *tables,
    ]


def use_sentences(board: Board) -> list[str]:
    """Return how much context the best model of each kind uses, and which kind is better."""
    forward, recurrent = (kind.get("full") for kind in sentences.sides(board))
    uses = [
        f"the best {kind} model, {_scored(board, best)}, {_use(best.row.need)}"
        for kind, best in (("recurrent", recurrent), ("feed-forward", forward))
        if best is not None
    ]
    if not uses:
        return []
    text = f"**{board.task_id}: {'; '.join(uses)}.**"
    if forward is None or recurrent is None:
        return [text]
    compared = compare(board.task_id, board, place(forward), place(recurrent))
    if compared is None:
        return [f"{text} Nothing is compared: neither learned it, or no interval is known."]
    word = "tied with" if compared.word == TIED else f"{compared.word} than"
    by = amount(compared, " of the gain")
    text += f" The feed-forward one is {word} the recurrent one, by {by}"
    enough = sentences.replaced(board)
    if enough is not None:
        within = f"within {100 * MARGIN:.0f} % of the gain of it"
        if enough.high is not None:
            text += f"; it is {within} with k = {need(enough)}"
        elif enough.low is not None:
            text += f"; with how many inputs it is {within} is not settled: k = {need(enough)}"
        else:
            text += f"; up to k = {enough.largest} it is not {within}"
    return [f"{text}."]


def source_sentences(board: Board, alone: Board) -> list[str]:
    """Return what the source is worth to each model that was also trained without it.

    Args:
        board: of the whole translation.
        alone: of language models of the target side alone, on the same targets.
    """
    facts, with_source = board.records[0].task, named_rows(board)
    told = []
    for name, without in named_rows(alone).items():
        if name not in with_source:
            continue
        row = with_source[name]
        paired = difference((), without, row, "full", alone=True)
        if paired is None:
            continue
        told.append(
            f"**Trained and tested without the source, {name} has "
            f"{shown(without.scores['full'])} instead of {shown(row.scores['full'])} on the same "
            f"targets**: {difference_text(paired, facts)}{'' if paired.trainings else ONE}."
        )
    return told


def source_table(board: Board, parts: Mapping[str, Board]) -> str:
    """Return each model's full-context score by how much of the source is in view.

    Args:
        board: of the whole translation.
        parts: boards of the same with a part of each source, by the options in their ids.
    """
    evaluated = {
        int(options.removeprefix("source=")): named_rows(other)
        for options, other in parts.items()
        if options.removeprefix("source=").isdecimal()
    }
    unit = board.records[0].task.unit.removeprefix("nats per ")
    columns = {f"{n} source {unit}s": evaluated[n] for n in sorted(evaluated)}
    columns |= {"all": named_rows(board)}
    if ALONE in parts:
        columns |= {"none, and none in training": named_rows(parts[ALONE])}
    return table(
        [
            {
                "model": name,
                **{
                    title: shown(rows[name].scores["full"]) if name in rows else "–"
                    for title, rows in columns.items()
                },
            }
            for name in columns["all"]
        ]
    )


def _scored(board: Board, best: Best) -> str:
    return f"{name_of(board, best.row)} at {shown(best.row.scores[best.at])}"


def _use(found: ContextNeed) -> str:
    """Return how many inputs a model uses, in words."""
    words = {"chance": "is no better than chance", "small": "gains less than 1 %"}
    if found.state in ("reached", "beyond"):
        return f"uses k = {need(found)}"
    return words.get(found.state, "was not measured with everything")


def _parts(task_id: str) -> tuple[str, str]:
    """Return the id of a whole translation of a named corpus, and the options that cut it."""
    corpus, *options = task_id.split(",")
    cuts = [option for option in options if option.partition("=")[0] in CUT]
    whole = [corpus, *(option for option in options if option not in cuts)]
    return ",".join(whole), ",".join(cuts)
