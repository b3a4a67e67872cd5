"""Which records `seqmem verify` has measured again for this user.

Anyone can write "rescored" into a file. What `seqmem verify` writes is therefore signed with a key
of the user (HMAC, RFC 2104), a file in the folder of caches. Records that say so without the
signature of this key, or a place among the committed ones, are shown as self-reported.
"""

import hashlib
import hmac
import os
import secrets
from dataclasses import replace
from pathlib import Path

from seqmem.files import read_file
from seqmem.leaderboard.record import Record, to_json
from seqmem.tasks.data.sources import cache_directory

__all__ = ["is_signed", "signed"]

SIGNATURE = "signature"  # of a record, among the facts of its measurement


def signed(record: Record) -> Record:
    """Return a record with the user's signature; the user gets a key if there is none.

    Raises:
        OSError: the key can neither be read nor written.
    """
    path = _path()
    try:
        key = read_file(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        key = secrets.token_bytes(32)
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(key)
    return replace(record, measurement={**record.measurement, SIGNATURE: _signature(record, key)})


def is_signed(record: Record) -> bool:
    """Return whether a record has the user's signature, and is as it was when it was signed."""
    found = record.measurement.get(SIGNATURE)
    try:
        key = read_file(_path())
    except OSError:
        return False
    return isinstance(found, str) and hmac.compare_digest(found, _signature(record, key))


def _path() -> Path:
    return cache_directory() / "verify.key"


def _signature(record: Record, key: bytes) -> str:
    facts = {name: fact for name, fact in record.measurement.items() if name != SIGNATURE}
    text = to_json(replace(record, measurement=facts)).encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()
