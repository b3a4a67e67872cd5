"""What a record says of the code that made it."""

import subprocess
from pathlib import Path

from seqmem.provenance import checkout_facts


def test_a_changed_tree_is_told_and_new_results_are_no_change(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert checkout_facts(tmp_path) == (None, None)
    git("init")
    (tmp_path / "model.py").write_text("k = 1\n")
    git("add", ".")
    git("commit", "-m", "A model")
    commit = git("rev-parse", "HEAD")
    assert checkout_facts(tmp_path) == (commit, False)
    for name in ("records", "expectations"):
        folder = tmp_path / "leaderboard" / name
        folder.mkdir(parents=True)
        (folder / "lstm.json").write_text("{}")
    assert checkout_facts(tmp_path) == (commit, False)
    (tmp_path / "model.py").write_text("k = 2\n")
    assert checkout_facts(tmp_path) == (commit, True)
    git("checkout", ".")
    (tmp_path / "left_over.py").write_text("")
    assert checkout_facts(tmp_path) == (commit, True)
