"""What the records cannot show is found, and only that."""

from dataclasses import replace
from typing import Any

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
    assert limitations(boards(complete())) == [
        "Of 4 pairs of a model and a task, none is without a record."
    ]
    assert limitations([]) == []


def test_missing_tasks_models_and_pairs() -> None:
    records = [r for r in complete() if (r.task.id, r.model["label"]) != ("b", "tcn")]
    text = said(records, tasks=["a", "b", "c"], models=["lstm", "tcn", "gru", "lru"])
    assert "Of 3 tasks, 1 without any record: c." in text
    assert "Of 4 models, 2 without any record: gru and lru." in text
    assert "Of 4 pairs of a model and a task, 1 have no record" in text
    assert "run: tcn on b." in text


def test_diverged_trainings_are_named() -> None:
    cell = {"task": "a", "model": "lru", "k_train": 8, "budget": "small"}
    failures = [
        Failure("2026", "nan", 1200, (0.1,), {**cell, "seed": seed}, {}, {}, {}) for seed in (0, 2)
    ]
    text = said(complete(), failures=failures)
    assert (
        "Training diverged: lru (k_train 8), seed 0 at step 1,200 and 2 at step 1,200, on a."
        in text
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"measurement": {"targets": 9, "failed": {"64": "out of memory"}}},
            "Could not be scored: lstm at k = 64 on a.",
        ),
        (
            {"training": {"result": {"stopped": "budget", "best_step": 9, "steps": 9}}},
            "Of 4 trained models, 1 had in at least one seed their lowest validation loss at the "
            "end of the budget, so that more steps might change their scores: lstm on a.",
        ),
        (
            {"training": {"result": {"stopped": "budget", "best_step": 8, "steps": 9}}},
            "",
        ),
    ],
)
def test_how_training_and_scoring_ended(change: dict[str, dict[str, Any]], says: str) -> None:
    first, *rest = complete()
    ((field, value),) = change.items()
    fields: dict[str, Any] = {field: {**getattr(first, field), **value}}
    changed = replace(first, **fields)
    text = said([changed, *rest])
    assert says in text
    assert ("end of the budget" in text) == ("end of the budget" in says)


def test_one_seed() -> None:
    records = [r for r in complete() if r.task.id == "a" or r.training["seed"] == 0]
    assert (
        "Of 4 trained models, 2 have one seed only, so that the variation between trainings is "
        "unknown: lstm and tcn on b."
    ) in said(records)
    computed = [make_record(GOOD, label="kneser-ney", task=task) for task in ("a", "b")]
    assert "one seed" not in said([*complete(), *computed])  # another seed would change nothing


def test_seeds_apart_and_tied_models() -> None:
    records = complete()
    wild = make_trained({1: 0.9, 4: 0.5, "full": 0.5}, task="a", seed=3)
    text = said([*records, wild])
    assert (
        "Of 4 models with several seeds, 1 have seeds more than 1 % apart at full: lstm on a"
        in (text)
    )
    assert "differ between seeds" not in text
    other = make_trained({1: 0.9, 4: 0.2, "full": 0.2}, label="tcn", task="a", seed=3)
    assert "Pairs of models that are tied at full: 1 of 1 on a." in said([*records, wild, other])


def test_context_needs_that_differ_between_seeds() -> None:
    early = make_trained({1: 0.1, 4: 0.1, "full": 0.1}, task="a", seed=3)
    assert "several seeds, 1 have context needs that differ between seeds: lstm on a." in said(
        [*complete(), early]
    )


def test_uncertain_context_needs_and_models_that_learned_nothing() -> None:
    more = [
        make_trained({1: 0.9, 4: 0.5, "full": 0.3}, label="rnn", task="a", excess_half=0.0),
        make_trained({1: 0.9, 4: 0.405, "full": 0.4}, label="gru", task="a", excess_half=0.009),
        make_trained({1: 1.0, 4: 1.0, "full": 1.0}, label="lru", task="a"),
        make_record({1: 1.0, 4: 1.0, "full": 1.0}, label="marginal", task="a"),
    ]
    text = said([*complete(), *more])
    assert "Context needs beyond the largest measured k: rnn on a." in text
    assert "Of 5 context needs found, 1 have an interval over more than one measured k: gru" in text
    assert "after more training is unknown: lru on a." in text  # others are not trained
