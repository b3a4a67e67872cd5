"""`seqmem measure` and `seqmem compare`."""

import json
from pathlib import Path

import pytest

from seqmem.baselines.training.recipes import BUDGETS
from seqmem.leaderboard.comparison import LARGEST_FIRST
from seqmem.tests.command import Command, record_files

ADDING = ("--task", "adding-problem/T=5")
BUILD = """
import torch
from torch import nn

class Sums(nn.Module):
    def __init__(self, width, outputs):
        super().__init__()
        self.leave = nn.Linear(width, outputs)
    def forward(self, x):
        return self.leave(x).cumsum(1)

def build(inputs, outputs):
    return Sums(inputs.dimension, outputs)
"""


def test_a_trained_model_is_measured_without_a_name(seqmem_: Command, tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(BUILD)
    task = ["--task", "adding-problem/T=20"]
    ran = seqmem_("measure", "my.py:build", *task, "--k", "1,full")
    assert ran.status == 0, ran.err
    assert "my.py-build (own)" in ran.out
    rows = {line.split()[0] for line in ran.out.splitlines() if line}
    assert {"lstm", "tcn"} <= rows  # of other budgets: none is "elsewhere"
    assert not record_files(tmp_path)
    ran = seqmem_(
        "measure", "my.py:build", *task, "--k", "1,full", "--save", "kept", "--name", "my"
    )
    assert ran.status == 0, ran.err
    (path,) = record_files(tmp_path)
    record = json.loads(path.read_text())
    assert record["model"]["label"] == "my"
    assert record["validity"]["checks"]
    compared = seqmem_("compare", str(path), "lstm", "--k", "1,full")
    assert compared.status == 0, compared.err
    first, second = compared.out.splitlines()
    assert "on adding-problem/T=20 at k = 1: its loss is lower by" in first
    assert second.startswith("lstm is better than my on adding-problem/T=20 at k = full")


def test_two_models_of_the_board_are_compared_on_every_task(seqmem_: Command) -> None:
    ran = seqmem_("compare", "lstm", "marginal")
    assert ran.status == 0, ran.err
    lines = ran.out.splitlines()
    assert len(lines) > 5
    assert (
        "lstm is better than marginal on hidden-markov/dwell=20 at k = full: its loss is" in ran.out
    )
    assert all("95 % interval" in line for line in lines)


def test_models_are_compared_at_the_largest_budget_of_both(seqmem_: Command) -> None:
    assert tuple(reversed(BUDGETS)) == LARGEST_FIRST
    both = ["compare", "lstm", "transformer", "--task", "wikitext-2"]
    ran = seqmem_(*both)
    assert ran.out.startswith("lstm is better than transformer")
    assert ran.out.endswith("budget medium, steps 5968).\n")
    ran = seqmem_(*both, "--budget", "small")
    assert ran.out.startswith("transformer is better than lstm")
    assert ran.out.endswith("budget small).\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["compare", "lstm", "tnc"], "did you mean tcn"),
        (["compare", "lstm", "tcn", "--task", "wikitext-3"], "did you mean wikitext-2"),
        (["compare", "lstm", "nope.json"], "nope.json: there is no such file or folder"),
        (["compare", "lstm", "."], ".: there are no records in it"),
        (
            ["compare", "lstm", "tcn", "--budget", "tiny"],
            "unknown budget 'tiny': these records have",
        ),
        (["compare", "lstm", "tcn", "--k", "6"], "were not both measured on any task at k = 6"),
        (["measure", "lstm", "--task", "adding-problem/T=5"], "`seqmem eval lstm` trains it"),
        (["measure", "gpt2", *ADDING], "did you mean hf:gpt2"),
        (["measure", "net.py", *ADDING], "did you mean a function in it, net.py:build?"),
        (["measure", "gpt2", "--task", "text:missing.txt"], "did you mean hf:gpt2"),  # no data read
        (["submit", "a", "--name", "b", "--task", "text:missing.txt"], "did you mean hf:a"),
        (["measure", "a.pt", "--task", "adding-problem/T=5"], "is not accepted"),
        (["measure", "my.py:build", *ADDING, "--save", "my.py"], "--save my.py: cannot be written"),
        (
            ["submit", "my.py:build", "--name", "my", *ADDING, "--results", "my.py"],
            "--results my.py: cannot be written",
        ),
        (["measure", "a.pt", "--task", "adding-problem/T=5"], "(docs/submit.md shows how)"),
    ],
)
def test_mistakes_are_explained(
    seqmem_: Command, tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "my.py").write_text(BUILD)
    ran = seqmem_(*arguments)
    assert ran.status in (1, 2)
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1
