"""Plain technical English: private words do not come back (tests/words.toml)."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import seqmem

ROOT = Path(seqmem.__file__).parent
LISTS = tomllib.loads((ROOT / "tests" / "words.toml").read_text(encoding="utf-8"))
SEARCHED = (".py", ".md", ".js", ".css", ".yml", ".yaml", ".cff")
# Generated from records and published titles, or lists of the words themselves.
EXCEPT = ("leaderboard/records", "check/expectations", ".typing", "tests/words")


def searched() -> list[Path]:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    names = [name for name in listed if name.endswith(SEARCHED) and not name.startswith(EXCEPT)]
    paths = [ROOT / name for name in names]
    return [path for path in paths if path.is_file() and path != Path(__file__)]


@pytest.fixture(scope="module")
def files() -> list[Path]:
    found = searched()
    if not found:
        pytest.skip("not a git checkout")
    return found


@pytest.mark.parametrize("word", LISTS["words"])
def test_words_do_not_come_back(files: list[Path], word: str) -> None:
    pattern = re.compile(word, re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"write: {LISTS['words'][word]}"


def test_docstrings_begin_with_what_a_function_does(files: list[Path]) -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = []
    for path in files:
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, functions):
                continue
            text = ast.get_docstring(node) or ""
            if any(re.match(word, text) for word in LISTS["docstrings"]):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {text.splitlines()[0]}")
    assert not found
