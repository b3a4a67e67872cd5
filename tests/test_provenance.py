"""What a record says of the code that made it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqmem import provenance
from seqmem.provenance import checkout_facts, source_sha256

MODEL = '''"""A model."""

from seqmem.parts import scale

__all__ = ["double"]


def double(x: int) -> int:
    """Return twice x."""
    return scale(x, 2)
'''
PARTS = "def scale(x: int, by: int) -> int:\n    return x * by\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of its own in the place of this one."""
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    forget()
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "parts.py").write_text(PARTS)
    yield tmp_path
    monkeypatch.undo()
    forget()


def forget() -> None:
    for cached in (provenance.source_sha256, provenance._code, provenance._path):
        cached.cache_clear()


def hashed(name: str = "seqmem.model") -> str:
    forget()
    return source_sha256(name)


def test_what_is_not_computed_does_not_count(package: Path) -> None:
    before = hashed()
    words = MODEL.replace("A model.", "A better model.").replace("Return twice x.", "Double x.")
    (package / "model.py").write_text(f"# A comment.\n{words}\n\n# Another.\n")
    assert hashed() == before
    text = MODEL.replace("    return", "\n    # why\n    return")
    (package / "model.py").write_text(text.replace('["double"]', '["double", "x"]'))
    assert hashed() == before
    types = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from seqmem.more import X\n"
    (package / "model.py").write_text(MODEL)
    (package / "parts.py").write_text(PARTS)
    with_types = hashed()
    (package / "more.py").write_text("X = 1\n")
    (package / "model.py").write_text(types + MODEL)
    assert hashed() != with_types  # the import of typing itself is code
    one = hashed()
    (package / "more.py").write_text("X = 2\n")
    assert hashed() == one


def test_a_file_may_be_moved(package: Path) -> None:
    before = hashed()
    (package / "room").mkdir()
    (package / "room" / "scaling.py").write_text(PARTS)
    (package / "parts.py").unlink()
    (package / "model.py").write_text(MODEL.replace("seqmem.parts", "seqmem.room.scaling"))
    assert hashed() == before
    (package / "room" / "network.py").write_text((package / "model.py").read_text())
    assert hashed("seqmem.room.network") == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("model.py", "2)", "3)"),
        ("parts.py", "x * by", "x + by"),
        ("parts.py", "x * by", "by * x"),
        ("model.py", "x: int", "x: float"),
        ("model.py", "import scale", "import other as scale"),
        ("model.py", "def double", "@staticmethod\ndef double"),
    ],
)
def test_what_is_computed_counts(package: Path, file: str, old: str, new: str) -> None:
    before = hashed()
    text = (package / file).read_text()
    (package / file).write_text(text.replace(old, new))
    assert hashed() != before


A = "def f(x: int) -> int:\n    return x\n"
B = "def f(x: int) -> int:\n    return -x\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "from seqmem import a, b\nfrom seqmem.a import f\n",
            "from seqmem import a, b\nfrom seqmem.b import f\n",
        ),
        (
            "from seqmem.a import f\nfrom seqmem.b import f\n",
            "from seqmem.b import f\nfrom seqmem.a import f\n",
        ),
        (
            "import seqmem.a as m\nimport seqmem.b as n\n",
            "import seqmem.b as m\nimport seqmem.a as n\n",
        ),
        ("X = {1: 'seqmem.a:f', 2: 'seqmem.b:f'}\n", "X = {1: 'seqmem.b:f', 2: 'seqmem.a:f'}\n"),
        (
            "if Q:\n    from seqmem.a import f\nelse:\n    from seqmem.b import f\n",
            "if Q:\n    from seqmem.b import f\nelse:\n    from seqmem.a import f\n",
        ),
        (
            "from seqmem import via_a\nfrom seqmem import via_b as u\n",
            "from seqmem import via_b as via_a\nfrom seqmem import via_a as u\n",
        ),
    ],
    ids=["source", "shadowing", "modules", "text", "branches", "re-exports"],
)
def test_which_module_a_name_comes_from_counts(package: Path, one: str, other: str) -> None:
    """The modules imported are the same; only what each name stands for changes."""
    for name, text in (("a", A), ("b", B)):
        (package / f"{name}.py").write_text(text)
        (package / f"via_{name}.py").write_text(f"from seqmem.{name} import f\n")
    (package / "model.py").write_text(one)
    before = hashed()
    (package / "model.py").write_text(other)
    assert hashed() != before


def test_what_a_module_imports_from_the_package_itself_counts(package: Path) -> None:
    (package / "a.py").write_text(A)
    (package / "model.py").write_text("from seqmem import a\n\nY = a.f(1)\n")
    before = hashed()
    (package / "a.py").write_text(B)
    assert hashed() != before


def test_the_order_of_imports_does_not_count(package: Path) -> None:
    """It follows the modules' names."""
    for name, text in (("a", A), ("b", B.replace("def f", "def g"))):
        (package / f"{name}.py").write_text(text)
    (package / "model.py").write_text("from seqmem.a import f\nfrom seqmem.b import g\n")
    before = hashed()
    (package / "z.py").write_text(A)
    (package / "a.py").unlink()
    (package / "model.py").write_text("from seqmem.b import g\nfrom seqmem.z import f\n")
    assert hashed() == before


@pytest.mark.parametrize("name", ["seqmem.nosuch", "json.decoder", "seqmem"])
def test_what_is_no_module_of_the_package_is_refused(package: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is not a module of seqmem"):
        hashed(name)


def test_modules_that_import_each_other(package: Path) -> None:
    (package / "parts.py").write_text("from seqmem.model import double\n" + PARTS)
    before = hashed()
    (package / "parts.py").write_text("from seqmem.model import double\n" + PARTS.replace("*", "-"))
    assert hashed() != before


def test_a_module_named_as_text_counts(package: Path) -> None:
    """As the factories of models and tasks are."""
    (package / "model.py").write_text('FACTORY = "seqmem.parts:scale"\n')
    before = hashed()
    (package / "parts.py").write_text(PARTS.replace("*", "-"))
    assert hashed() != before


def test_a_changed_tree_is_reported_and_new_results_are_no_change(tmp_path: Path) -> None:
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
    for folder in ("leaderboard/records", "check/expectations"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "lstm.json").write_text("{}")
    assert checkout_facts(tmp_path) == (commit, False)
    (tmp_path / "model.py").write_text("k = 2\n")
    assert checkout_facts(tmp_path) == (commit, True)
    git("checkout", ".")
    (tmp_path / "left_over.py").write_text("")
    assert checkout_facts(tmp_path) == (commit, True)
