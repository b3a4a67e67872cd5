"""What models use on translation, speech and images, as sentences and a table."""

import math
from dataclasses import replace

import pytest

from seqmem.docs.findings import cut, how_long
from seqmem.docs.other_systems import other_parts
from seqmem.docs.sentences import by_gain
from seqmem.leaderboard.record import Record
from seqmem.tests.records import make_trained

BIBLE, SPEECH = "translation/bible-es-en", "speech/ljspeech"


def trained(
    task: str, label: str, full: float, *, need: int = 8, stateful: bool = True, noise: float = 0.01
) -> Record:
    """Return a record that is 0.5 worse with one input, and as good as with all from `need` on."""
    return make_trained(
        {1: full + 0.5, need: full, 64: full, "full": full},
        task=task, label=label, chance=4.0, optimum=None, stateful=stateful, noise=noise,
        unit="nats per word",
        score="perplexity" if task.startswith("translation") else "loss",
    )  # fmt: skip


def text(*records: Record) -> str:
    found = [by_gain(board) for board in how_long(records)]
    return "\n".join(other_parts(found, cut(records), "charts"))


def test_each_kind_is_named_with_what_it_uses_and_the_better_one_is_said() -> None:
    lstm = trained(SPEECH, "lstm", 2.0, need=8)
    wavenet = trained(SPEECH, "wavenet", 1.0, need=16, stateful=False)
    said = text(lstm, trained(SPEECH, "gru", 2.5), wavenet)
    assert f"**{SPEECH}: the best recurrent model, lstm at 2.0" in said
    assert "uses k = 8; the best feed-forward model, wavenet at 1.0" in said
    assert "uses k = 16.**" in said
    assert "one training of each" not in said
    assert "1 training of each" in said
    assert "The feed-forward one is better than the recurrent one, by −33" in said  # of a gain of 3
    assert "% of the gain (" in said
    worse = text(lstm, trained(SPEECH, "wavenet", 3.0, stateful=False))
    assert "The feed-forward one is worse than the recurrent one, by +50" in worse  # of a gain of 2
    assert "up to k = 64 it is not within 5 % of the gain of it." in worse
    assert "feed-forward" not in text(lstm)
    assert text() == ""


def test_what_learned_nothing_uses_nothing() -> None:
    chance = trained(SPEECH, "wavenet", 4.0, stateful=False)
    said = text(trained(SPEECH, "lstm", 4.0), chance)
    assert "k = " not in said.partition("**")[2]
    assert "Nothing is compared" in said
    untrained = replace(chance, training={**chance.training, "recipe": None})
    assert "**" not in text(untrained)  # no kind of model has a sentence


def test_whether_one_replaces_the_other_may_be_open() -> None:
    lstm = trained(SPEECH, "lstm", 2.0)
    said = text(lstm, trained(SPEECH, "wavenet", 2.0, stateful=False, noise=1.5))
    assert "tied with the recurrent one" in said
    assert "is not settled: k = " in said


def test_options_that_cut_nothing_are_another_task() -> None:
    letters = f"{BIBLE},unit=char"
    records = [trained(letters, "lstm", 2.0), trained(f"{letters},source=4", "lstm", 3.0)]
    assert [board.task_id for board in how_long(records)] == [letters]
    said = text(*records, trained(BIBLE, "lstm", 2.5))
    assert f"<summary>{letters} with a part of each source</summary>" in said
    assert f"<summary>{BIBLE} with" not in said


def test_the_worth_of_the_source_is_paired_over_tasks_and_parts_stand_in_one_table() -> None:
    records = [
        trained(BIBLE, "lstm", 2.0),
        trained(BIBLE, "seq2seq", 1.5),
        trained(f"{BIBLE},source=0", "lstm", 3.0),
        trained(f"{BIBLE},source=16", "lstm", 2.25),
        trained(f"{BIBLE},source=4", "lstm", 2.5),
        trained(f"{BIBLE},source=0,train=cut", "lstm", 2.0 + math.log(1.5)),
    ]
    said = text(*records)
    assert "Trained and tested without the source, lstm has 11.08 ±0.11 instead of 7.389" in said
    assert "+50.0" in said  # per cent of perplexity
    assert "seq2seq has" not in said  # it has no training without the source
    table = [line.split("|") for line in said.splitlines() if line.startswith("|")]
    title, lstm = table[0], next(row for row in table if row[1].strip() == "lstm")
    assert [name.strip() for name in title[2:-1]] == [
        "0 source words", "4 source words", "16 source words", "all", "none, and none in training"
    ]  # fmt: skip
    values = [float(cell.split()[0]) for cell in lstm[2:-1]]
    losses = (3.0, 2.5, 2.25, 2.0, 2.0 + math.log(1.5))
    assert values == pytest.approx([math.exp(loss) for loss in losses], rel=1e-3)


def test_parts_of_a_translation_are_no_tasks_of_their_own() -> None:
    whole = trained(BIBLE, "lstm", 2.0)
    parts = [trained(f"{BIBLE},source={n}", "lstm", 3.0) for n in (0, 4)]
    assert [board.task_id for board in how_long([whole, *parts])] == [BIBLE]
    assert [board.task_id for board in cut([whole, *parts])] == [
        f"{BIBLE},source={n}" for n in (0, 4)
    ]
