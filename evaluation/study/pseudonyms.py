"""Names for people who shall stay unknown: keyed hashes of what a crowd platform calls them, and pseudonyms.

The key lies in the data root and never in the database: who gets the database alone cannot try out platform ids.
"""

import contextlib
import functools
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from db import store

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that could be taken for another


def keyed_hash(*parts: str) -> str:
    """A hash of `parts` that only this data root can compute: the same for the same parts, 64 characters."""
    message = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    return hmac.new(_key_in(store.data_root()), message, hashlib.sha256).hexdigest()


def new_pseudonym(prefix: str = "p") -> str:
    """A random name such as "p-7hk2m9qd"; says nothing about who or when."""
    return f"{prefix}-" + "".join(secrets.choice(_LETTERS) for _ in range(8))


@functools.lru_cache(maxsize=4)
def _key_in(root: Path) -> bytes:
    path = root / "pseudonyms.key"
    if not path.exists():
        # Written aside and linked: two servers that start at once agree on one key.
        partial = root / f".pseudonyms.key.{os.getpid()}.{secrets.token_hex(4)}"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
        partial.unlink()
    return path.read_bytes()
