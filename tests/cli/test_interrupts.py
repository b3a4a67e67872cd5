"""Signals that arrive before a command has begun."""

import signal
import subprocess
import sys

import pytest

# Sends the signal from within the first import of the command line.
CODE = """
import os, sys
from importlib.abc import MetaPathFinder

class Interrupting(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Interrupting())
from seqmem.__main__ import main
sys.argv = ["seqmem", "--version"]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_command_is_imported_ends_it_without_a_traceback(number: int) -> None:
    def usual() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    ran = subprocess.run(
        [sys.executable, "-c", CODE.format(number=int(number))],
        capture_output=True,
        text=True,
        preexec_fn=usual,
        timeout=60,
        check=False,
    )
    assert ran.returncode == -number
    assert ran.stderr == ""
    assert ran.stdout == ""
