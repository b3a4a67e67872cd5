"""Find a Hugging Face model's folder: the user's, one of the hub's cache, or a download.

Only the files of `files.DOWNLOADED` are downloaded: no code and no pickles.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqmem.errors import InputError, without_secrets
from seqmem.files import expand_user
from seqmem.submissions.extras import imported
from seqmem.submissions.hugging_face.files import DOWNLOADED, ModelFolder, find_files
from seqmem.submissions.process.limits import one_line

__all__ = ["find_model"]


def find_model(place: str) -> ModelFolder:
    """Return a model's folder, which is downloaded if it is neither a folder nor in the cache.

    Args:
        place: a folder, or the name of a model in the local cache or on the hub, perhaps followed
            by "@" and a revision: a commit, a branch or a tag.

    Raises:
        InputError: there is no such model, the hub refuses it or cannot be reached, or its files
            are not those of a model.
    """
    given = f"hf:{place}"
    path = expand_user(place)
    if path.is_dir():
        return find_files(path, given)
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?(@\w[\w.-]*)?", place) or path.exists():
        raise InputError(f"{given}: there is no such folder; name one that save_pretrained wrote")
    try:
        imported("huggingface_hub", "hf")
    except InputError as error:
        raise InputError(f"{given}: {error}") from None
    from huggingface_hub import snapshot_download

    try:
        with _without_telemetry():
            name, _, revision = place.partition("@")
            folder = Path(
                snapshot_download(name, revision=revision or None, allow_patterns=list(DOWNLOADED))
            )
    except Exception as error:  # of the hub, the network or the disk
        raise InputError(f"{given}: there is no such folder, and {_reason(error)}") from None
    return find_files(folder, given, folder.name)


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Let the hub's library report nothing, and show progress on terminals only."""
    from huggingface_hub import constants, utils

    telemetry, bars = constants.HF_HUB_DISABLE_TELEMETRY, utils.are_progress_bars_disabled()
    constants.HF_HUB_DISABLE_TELEMETRY = True
    if not sys.stderr.isatty():
        utils.disable_progress_bars()
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_TELEMETRY = telemetry
        if not bars:
            utils.enable_progress_bars()


def _reason(error: BaseException) -> str:
    """Return why a model could not be downloaded and what to do, as the end of a sentence.

    The library raises some errors in place of others: the first one that tells more is taken.
    """
    from huggingface_hub import errors

    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) and cause not in causes:
        causes.append(cause)
    for cause in causes:
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if isinstance(status, int):
            return _answer(cause, status)
        if isinstance(cause, errors.OfflineModeIsEnabled):
            return (
                "the model is not in the cache, and HF_HUB_OFFLINE forbids downloads; unset it, or "
                "name a folder"
            )
        if isinstance(cause, errors.HFValidationError):
            return f"this is no name of a model: {_clean(str(cause))}"
    last = causes[-1]
    if isinstance(error, OSError) and error.errno is not None:
        return f"the model cannot be stored in the cache: {error.strerror}"
    return (
        "the model is not in the cache, and the hub cannot be reached "
        f"({type(last).__name__}: {_clean(str(last))}); check the network, or name a folder"
    )


def _answer(error: BaseException, status: int) -> str:
    """Return what an answer of the hub means, with the hub's own sentence."""
    from huggingface_hub import errors

    headers = getattr(error, "response").headers  # noqa: B009 - of whichever library
    said = getattr(error, "server_message", None) or headers.get("x-error-message") or ""
    sentence = f" ({_clean(said)})" if said else ""
    if isinstance(error, errors.GatedRepoError) or status == 403:
        return (
            f"the hub refuses access to the model{sentence}; ask for access on the model's page, "
            "then log in: hf auth login"
        )
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
        return (
            f"the hub has no such model, or it is private{sentence}; check the name, or log in: hf "
            "auth login"
        )
    if status == 401:
        return f"the hub does not accept your login{sentence}; log in again: hf auth login"
    if status == 429:
        wait = headers.get("retry-after", "")
        when = f"in {wait} s" if wait.isdecimal() else "later"
        return f"the hub limits the rate of requests{sentence}; try again {when}, or log in"
    if status >= 500:
        return f"the hub has a fault, status {status}{sentence}; try again later"
    return f"the hub answers with status {status}{sentence}"


def _clean(text: str) -> str:
    """Return a foreign sentence on one line, without the user's token and passwords."""
    from huggingface_hub import constants, get_token

    if token := get_token():
        text = text.replace(token, "…")
    return one_line(without_secrets(text, constants.ENDPOINT)).rstrip(".")
