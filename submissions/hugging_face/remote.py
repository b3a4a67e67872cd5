"""A model with a tokenizer in a process of its own: it sees the model's files and no network.

Texts and tokens go there, tokens and outputs come back. Nothing that comes back is trusted: its
form is checked here, and targets stay in this process.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from seqmem.errors import CellError, SubmissionError
from seqmem.leaderboard.validation import Count, Positive, Printable, validated
from seqmem.submissions.hugging_face.files import ModelFolder
from seqmem.submissions.hugging_face.token_model import MOST_BOS, TokenModel
from seqmem.submissions.process.launch import package_folders, worker_command
from seqmem.submissions.process.limits import Limits
from seqmem.submissions.process.process_model import ProcessModel, private_folders
from seqmem.submissions.process.sandbox import sandboxed

__all__ = ["RemoteTokenModel"]

# Tokens of a text at most, for each of its bytes and in addition: normalisation writes some
# characters of three bytes as eighteen (Unicode's NFKC of U+FDFA).
TOKENS_PER_BYTE = 16
MORE_TOKENS = 64

Vocabulary = Annotated[int, Field(strict=True, ge=2, lt=1 << 31)]


@dataclass(frozen=True)
class _Report:
    """What the process reports about the model; see TokenModel."""

    architecture: Printable
    tokenizer: Printable
    vocabulary: Vocabulary
    longest_input: Positive | None
    regimes: tuple[Positive, ...]
    bos_tokens: Annotated[tuple[Count, ...], Field(max_length=MOST_BOS)]
    bos_rule: Printable
    has_bos: bool
    reads_out_last: bool
    parameters: Count


class RemoteTokenModel(ProcessModel, TokenModel):
    """A TokenModel that runs in a process; a context manager, and usable inside only."""

    def __init__(
        self,
        folder: ModelFolder,
        *,
        threads: int = 1,
        limits: Limits | None = None,
        sandbox: bool | None = None,
    ) -> None:
        """Configure the model; `__enter__` starts its process.

        Args:
            folder: the model's files.
            threads: number of threads for its arithmetic.
            limits: limits of its process; None: the default ones.
            sandbox: whether it runs in a sandbox; None: if there is one.
        """
        super().__init__("hugging face", threads=threads, limits=limits, sandbox=sandbox)
        self.given, self._folder = folder.given, folder
        self._report: _Report | None = None

    def __enter__(self) -> "RemoteTokenModel":
        """Start the process and load the model.

        Raises:
            SubmissionError: the model does not load.
        """
        request = {"folder": str(self._folder.path), "given": self.given}
        with ExitStack() as stack:  # ends the process if what it reports is wrong
            answer = self._start(self._command(), request)
            stack.push(self)
            try:
                report = validated(_Report, answer.get("model"))
            except ValueError as error:
                raise SubmissionError(f"{self.given}: its process reports {error}") from None
            stack.pop_all()
        self._report = report
        self.vocabulary = self.floats_per_step = self._outputs = report.vocabulary
        self.longest, self.regimes = report.longest_input, report.regimes
        self.bos_tokens, self.bos_rule = report.bos_tokens, report.bos_rule
        self.reads_out_last = report.reads_out_last
        return self

    def _command(self) -> list[str]:
        """Return the command that runs the worker, in the sandbox if it is used."""
        if not self._sandbox:
            return worker_command(self._limits)
        command = worker_command(self._limits, package_folders())
        return sandboxed(command, self._folder.files, private_folders())

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of texts; see TokenModel.

        Raises:
            SubmissionError: the tokenizer fails.
            CellError: the process died, did not answer in time, or sent an invalid answer.
        """
        payload = json.dumps(list(texts)).encode()
        size = sum(len(text.encode(errors="surrogatepass")) for text in texts)
        most = TOKENS_PER_BYTE * size + MORE_TOKENS * len(texts)
        data = self._running().fetch({"ask": "tokens"}, [payload], 8 * (len(texts) + most))
        numbers = np.frombuffer(data, np.int64) if len(data) % 8 == 0 else np.zeros(0, np.int64)
        counts, tokens = numbers[: len(texts)], numbers[len(texts) :]
        small = (numbers >= 0).all() and (counts <= len(tokens)).all()  # so that sums are exact
        if len(counts) != len(texts) or not small or counts.sum() != len(tokens):
            raise CellError(f"{self.given}: its process sent other tokens than it announced")
        whole, bounds = tokens.tolist(), [0, *counts.cumsum().tolist()]
        return [whole[bounds[i] : bounds[i + 1]] for i in range(len(texts))]

    def facts(self) -> dict[str, Any]:
        """Return the facts for a record; see TokenModel."""
        assert self._report is not None
        facts = asdict(self._report)
        for name in ("regimes", "bos_tokens", "reads_out_last"):
            del facts[name]
        return facts
