"""The leaderboard works without torch, which takes seconds to import."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_module_of_the_leaderboard_imports_torch() -> None:
    files = sorted((ROOT / "leaderboard").rglob("*.py"))
    names = [".".join(("seqmem", *file.relative_to(ROOT).with_suffix("").parts)) for file in files]
    modules = [name.removesuffix(".__init__") for name in names]
    assert len(modules) > 25
    code = (
        "import importlib, sys\n"
        f"for name in {modules}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name\n"
        "from seqmem.leaderboard.published import read_published\n"
        "assert read_published()\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
