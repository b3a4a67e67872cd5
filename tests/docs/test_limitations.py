"""What the records cannot show is found, and only that."""

from dataclasses import replace

import pytest

from seqmem.docs.limitations import limitations
from seqmem.leaderboard.failure import Failure
from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.tests.records import make_record, make_trained

GOOD: dict[Context, float] = {1: 0.9, 4: 0.1, "full": 0.1}


def complete() -> list[Record]:
    """Return records of two models on two tasks, three seeds each, far apart and converged."""
    return [
        make_trained(
            {k: loss + shift + seed / 1e4 for k, loss in GOOD.items()},
            label=label,
            task=task,
            seed=seed,
        )
        for task in ("a", "b")
        for label, shift in (("lstm", 0.0), ("tcn", 0.2))
        for seed in range(3)
    ]


def said(records: list[Record], **more: object) -> str:
    return " ".join(limitations(boards(records), **more))  # type: ignore[arg-type]


def test_records_without_limitations_have_none() -> None:
    assert limitations(boards(complete())) == []
    assert limitations([]) == []


def test_missing_tasks_models_and_pairs() -> None:
    records = [r for r in complete() if (r.task.id, r.model["label"]) != ("b", "tcn")]
    text = said(records, tasks=["a", "b", "c"], models=["lstm", "tcn", "gru", "lru"])
    assert "1 of 3 tasks without any record: c." in text
    assert "2 of 4 models without any record: gru and lru." in text
    assert "1 of 4 pairs of a model and a task have no record" in text


def test_diverged_trainings_are_counted() -> None:
    cell = {"task": "a", "model": "lru", "k_train": 8, "budget": "small"}
    failures = [
        Failure("2026", "nan", 1200, (0.1,), {**cell, "seed": seed}, {}, {}, {}) for seed in (0, 2)
    ]
    assert "2 trainings diverged (2 on a)." in said(complete(), failures=failures)


@pytest.mark.parametrize(("best_step", "says"), [(9, True), (8, False)])
def test_trainings_that_still_improved_are_counted(best_step: int, says: bool) -> None:
    first, *rest = complete()
    result = {"stopped": "budget", "best_step": best_step, "steps": 9}
    text = said([replace(first, training={**first.training, "result": result}), *rest])
    assert ("1 of 4 trained models had their lowest validation loss at the end" in text) == says


def test_one_seed() -> None:
    records = [r for r in complete() if r.task.id == "a" or r.training["seed"] == 0]
    assert "2 of 4 trained models have one seed" in said(records)
    assert "unknown (2 on b)." in said(records)
    computed = [make_record(GOOD, label="kneser-ney", task=task) for task in ("a", "b")]
    assert "one seed" not in said([*complete(), *computed])  # another seed would change nothing


def test_tied_models_are_counted() -> None:
    lstm = make_trained({1: 0.9, 4: 0.5, "full": 0.5}, task="a", seed=3)
    tcn = make_trained({1: 0.9, 4: 0.2, "full": 0.2}, label="tcn", task="a", seed=3)
    assert "1 of 2 pairs of models are tied at full (1 on a)." in said([*complete(), lstm, tcn])


def test_context_needs_that_differ_between_seeds() -> None:
    early = make_trained({1: 0.1, 4: 0.1, "full": 0.1}, task="a", seed=3)
    text = said([*complete(), early])
    assert "1 of 4 models of several seeds have context needs that differ" in text


def test_uncertain_context_needs_and_models_that_learned_nothing() -> None:
    more = [
        make_trained({1: 0.9, 4: 0.5, "full": 0.3}, label="rnn", task="a", excess_half=0.0),
        make_trained({1: 0.9, 4: 0.405, "full": 0.4}, label="gru", task="a", excess_half=0.009),
        make_trained({1: 1.0, 4: 1.0, "full": 1.0}, label="lru", task="a"),
        make_record({1: 1.0, 4: 1.0, "full": 1.0}, label="marginal", task="a"),
    ]
    text = said([*complete(), *more])
    assert "2 of 6 context needs are not known to one measured k (2 on a)." in text
    # The marginal distribution is not trained: more steps would change nothing.
    assert "1 of 7 trained models gain less than 1 % over chance" in text


def test_there_are_at_most_ten_lines_and_many_tasks_are_not_listed() -> None:
    records = [make_trained(GOOD, task=task) for task in "abcd"]
    lines = limitations(boards(records), tasks=["e"], models=["gru"])
    assert "4 of 4 trained models have one seed: how much trainings vary is unknown." in lines
    assert len(lines) <= 10


@pytest.mark.parametrize(
    ("name", "dropout", "created", "says"),
    [
        ("lstm", 0.3, "2026-11-29T10:00:00", True),
        ("lstm", 0.3, "2026-12-01T10:00:00", False),
        ("lstm", 0.0, "2026-11-29T10:00:00", False),
        ("lru", 0.3, "2026-11-29T10:00:00", False),
    ],
)
def test_music_models_that_dropped_keys_are_counted(
    name: str, dropout: float, created: str, says: bool
) -> None:
    record = make_trained(GOOD, task="music/jsb")
    model = {**record.model, "name": name, "options": {"dropout": dropout}}
    text = said([replace(record, model=model, created=created)])
    assert ("1 of 1 trained models of music were trained with dropout on the keys" in text) == says
