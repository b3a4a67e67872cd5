"""The source of Python's standard library: a real text that is on every machine.

``text:python-stdlib?unit=char`` is the next character, ``text:python-stdlib`` the next word, of
about 2 MB of source of the Python that runs seqmem, with the options and rules of your own text
(``text:FILE``) except the split: whole files train, validate and test, about 1.8, 0.1 and 0.1 MB,
and no file is in two of these parts. Which files, and in which order, is in
``tasks/data/python_files.py``. A file of your own that is named so is ``text:./python-stdlib``.

Every version of Python has another text. A record's data hash names the text, and scores of
different hashes are on different boards and never compared.
"""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from seqmem.errors import InputError
from seqmem.tasks.data.python_files import PYTHON_STDLIB
from seqmem.tasks.text import Text

__all__ = ["PythonStdlib"]


class PythonStdlib(Text):
    """``text:python-stdlib[?unit=word|char][&min-count=N]``."""

    version: ClassVar[int] = 1

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "PythonStdlib":
        """Return the task of an id, whose text is under the key "text".

        Raises:
            InputError: an option is unknown or out of range.
        """
        if "text" not in parameters:
            raise InputError(f"its id is text:{PYTHON_STDLIB.name}?unit=char")
        task = super().parse(parameters)
        assert isinstance(task, PythonStdlib)
        return task

    @property
    def user_file(self) -> None:
        """None: it is no file that the user names."""
        return

    @property
    def note(self) -> str:
        """Which text it is."""
        return (
            f"is the source of Python {platform.python_version()}; scores on that of another "
            "version are not comparable"
        )

    def parts(self) -> tuple[tuple[Path, ...], ...]:
        """Return the files that train, validate and test.

        Raises:
            InputError: this Python is installed without them.
        """
        return PYTHON_STDLIB.parts()
