"""Longer test sequences: other data, the optimum of that length, and the training of the usual."""

import pytest
import torch

from seqmem.tasks import load_task
from seqmem.tasks.model import FullOutputs
from seqmem.tasks.state_tracking import StateTracking
from seqmem.tasks.task import Context
from seqmem.testing import check_scores
from seqmem.tests.memory_oracles import AutomatonOracle

USUAL = (
    "associative-recall/keys=4,values=8,zipf=0",
    "state-tracking/group=Z5,reset=0.02",
    "selective-copy/T=16,data=4",
    "induction/V=8,T=16",
    "long-memory/d=0.3",
)


@pytest.mark.parametrize("usual_id", USUAL)
def test_only_the_test_sequences_are_longer(usual_id: str) -> None:
    usual, longer = load_task(usual_id), load_task(f"{usual_id},longer=4")
    assert longer.id == f"{usual_id},longer=4"
    assert longer.trained_on.id == usual.id == usual.trained_on.id
    assert longer.training_hash(3) == usual.training_hash(3)
    assert longer.split("valid").fingerprint() == usual.split("valid").fingerprint()
    assert longer.data_hash != usual.data_hash
    short, long = (task.split("test").starts.diff().unique() for task in (usual, longer))
    assert len(short) == len(long) == 1
    assert 3 * int(short) < int(long) <= 4 * int(short) + 3
    assert (longer.inputs, longer.outputs, longer.held_symbols) == (
        usual.inputs,
        usual.outputs,
        usual.held_symbols,
    )
    # The optimum is that of the longer sequences.
    contexts: list[Context] = [1, 3, 9, 17]
    assert [longer.optimum(k) for k in contexts] != [usual.optimum(k) for k in contexts]


def test_the_optimum_of_longer_sequences_is_reached() -> None:
    task = StateTracking("Z5", 0.02, longer=4)
    contexts: list[Context] = [1, 64, 200, 256, "full"]
    check_scores(AutomatonOracle(task), task, {k: task.optimum(k) for k in contexts})
    assert isinstance(AutomatonOracle(task), FullOutputs)
    assert torch.equal(task.split("test").inputs[::256] >= 5, torch.ones(256).bool())
