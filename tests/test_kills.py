"""Commands that are ended at a random moment, by the script that does so many times."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "kills.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found on Linux alone")
@pytest.mark.parametrize("mode", ["eval --jobs 2", "eval --devices 2", "submit model.onnx"])
def test_a_kill_leaves_nothing_and_loses_nothing(mode: str) -> None:
    command = [sys.executable, str(SCRIPT), "--mode", mode, "--kills", "4"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
