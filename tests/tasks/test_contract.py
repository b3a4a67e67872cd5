"""The contract of every task: `seqmem.testing`, chance, independent random streams."""

import pytest

from seqmem.baselines.marginal import Marginal
from seqmem.measuring.curve import measure
from seqmem.tasks import load_task
from seqmem.tasks.task import Context
from seqmem.testing import check_chance, check_task

SYNTHETIC = [
    "copy-memory/T=1",
    "copy-memory/T=30",
    "copy-memory/T=3-9",
    "adding-problem/T=2",
    "adding-problem/T=20",
    "hidden-markov/dwell=2",
    "hidden-markov/dwell=10",
    "state-tracking/group=parity,reset=0.05",
    "state-tracking/group=Z12,reset=0",
    "state-tracking/group=A5,reset=0.1",
    "associative-recall/keys=8,values=8,zipf=1",
    "associative-recall/keys=16,values=64,zipf=0",
    "selective-copy/T=40,data=16",
    "induction/V=8,T=40",
    "long-memory/d=0.05",
    "long-memory/d=0.49",
    "associative-recall/keys=8,values=8,zipf=0,longer=2",
    "state-tracking/group=S3,reset=0.05,longer=4",
    "selective-copy/T=24,data=16,longer=4",
    "induction/V=8,T=20,longer=16",
    "long-memory/d=0.4,longer=2",
]


REAL = [
    "wikitext-2",
    "billion-word/heldout-10-13",
    "music/jsb",
    "music/nottingham",
    "music/muse",
    "music/piano",
    pytest.param("sequential-image/fashion-mnist", marks=pytest.mark.slow),
    "translation/bible-es-en",
    "speech/ljspeech",
]


@pytest.mark.parametrize("task_id", SYNTHETIC)
def test_contract(task_id: str) -> None:
    task = load_task(task_id)
    assert task.id == task_id
    assert load_task(task.id).data_hash == task.data_hash
    check_task(task)


@pytest.mark.parametrize("task_id", REAL)
@pytest.mark.usefixtures("data")
def test_contract_on_real_data(task_id: str) -> None:
    task = load_task(task_id)
    assert load_task(task.id).data_hash == task.data_hash
    check_task(task)


@pytest.mark.parametrize("task_id", REAL)
@pytest.mark.usefixtures("data")
def test_blind_model_scores_chance_on_real_data(task_id: str) -> None:
    task = load_task(task_id)
    blind = Marginal(task.inputs, task.outputs)
    blind.fit(task, 0)
    losses = measure(blind, task, task.split("test"), ["full"]).at("full").losses
    assert losses.mean() == pytest.approx(task.chance(), rel=1e-5)


@pytest.mark.parametrize("task_id", SYNTHETIC)
def test_blind_model_scores_chance(task_id: str) -> None:
    task = load_task(task_id)
    check_chance(task, (1, task.longest_context, "full"))


@pytest.mark.parametrize("task_id", SYNTHETIC)
def test_the_optimum_is_known_at_every_k(task_id: str) -> None:
    """And falls from chance, as `check_task` tests."""
    task = load_task(task_id)
    contexts: list[Context] = [*task.contexts, "full"]
    assert all(task.optimum(k) is not None for k in contexts)


@pytest.mark.parametrize("task_id", SYNTHETIC)
def test_streams_are_apart(task_id: str) -> None:
    task = load_task(task_id)
    parts = [task.train(0, 0), task.train(0, 1), task.train(1, 0)]
    parts += [task.split("valid"), task.split("test")]
    seen: set[bytes] = set()
    for part in parts:
        bounds = zip(part.starts[:-1].tolist(), part.starts[1:].tolist(), strict=True)
        sequences = {part.inputs[a:b].numpy().tobytes() for a, b in bounds}
        # Of the 8^10 symbol sequences of copy memory, two streams may draw one alike by chance.
        assert len(sequences & seen) <= (3 if task.family == "copy-memory" else 0)
        seen |= sequences
    assert task.train(0, 1).fingerprint() == parts[1].fingerprint()
