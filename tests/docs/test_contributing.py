"""The recipes of CONTRIBUTING.md work as printed."""

import importlib.util
import re
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import seqmem.baselines
import seqmem.tasks
from seqmem.baselines import Baseline, spec
from seqmem.baselines.training import recipes
from seqmem.runs.cell import plan_cell
from seqmem.runs.run_cell import run_cell
from seqmem.tasks import Family, load_task

TEXT = (Path(__file__).parent.parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")


def block(label: str) -> str:
    """Return the code block after a comment such as ``<!-- file: tasks/delay_line.py -->``."""
    pattern = rf"<!-- {re.escape(label)} -->\n```python\n(.*?)```"
    (code,) = re.findall(pattern, TEXT, flags=re.DOTALL)
    return str(code)


@pytest.fixture
def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Follow both recipes: write the files, add the lines."""
    for path in ("tasks/delay_line.py", "baselines/feed_forward.py"):
        file = tmp_path / path
        file.parent.mkdir()
        file.write_text(block(f"file: {path}"), encoding="utf-8")
        name = "seqmem." + path.removesuffix(".py").replace("/", ".")
        found = importlib.util.spec_from_file_location(name, file)
        assert found is not None
        assert found.loader is not None
        module = importlib.util.module_from_spec(found)
        monkeypatch.setitem(sys.modules, name, module)
        found.loader.exec_module(module)
    entries: dict[str, Any] = {}
    for table in ("FAMILIES", "BASELINES", "RECIPES"):
        names = {"Family": Family, "Baseline": Baseline, "Recipe": recipes.Recipe}
        entries[table] = eval("{" + block(f"entry: {table}") + "}", names)
    families = MappingProxyType({**seqmem.tasks.FAMILIES, **entries["FAMILIES"]})
    baselines = MappingProxyType({**seqmem.baselines.BASELINES, **entries["BASELINES"]})
    monkeypatch.setattr(seqmem.tasks, "FAMILIES", families)
    monkeypatch.setattr(spec, "BASELINES", baselines)
    monkeypatch.setattr(recipes, "_RECIPES", {**recipes._RECIPES, **entries["RECIPES"]})


@pytest.mark.usefixtures("followed")
def test_a_new_task_and_a_new_baseline(tmp_path: Path) -> None:
    task = load_task("delay-line/lag=3")
    model = spec.parse_model("feed-forward:order=4")
    record = run_cell(plan_cell(model, task, tmp_path, budget="smoke"), task, print)
    losses = {point.k: point.loss.mean for point in record.curve}
    # The model sees four inputs, one more than the lag: it learns the task at k = 4, and fewer
    # inputs do not suffice.
    assert losses["full"] < 0.1
    assert losses[4] == pytest.approx(losses["full"], abs=1e-5)
    assert all(losses[k] > 0.9 * task.chance() for k in (1, 2))
    assert record.model["receptive_field"]["declared"] == 4
