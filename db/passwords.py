"""The researchers' password: how it is stored, and what slows down who guesses it."""

import hashlib
import hmac
import secrets
import threading
import time

# OWASP's parameters for scrypt: about 0.1 s and 32 MB for each guess.
_SCRYPT = {"n": 2**15, "r": 8, "p": 1}


class SignInRefused(ValueError):
    """Somebody could not sign in; the message tells them why."""


class SignInBrake:
    """Slows down who guesses passwords: a few wrong ones are free, then each costs twice the wait.

    It counts for this process and all visitors together, and in memory: a refused sign-in undoes what it wrote.
    Whoever is kept waiting by a stranger's guesses can still come in by the printed link.
    """

    FREE, LONGEST_S = 5, 300

    def __init__(self, clock=time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._failures, self._open_at = 0, 0.0

    def check(self) -> None:
        """Count this attempt as failed until `succeeded` says otherwise. Raises SignInRefused if it is too early."""
        with self._lock:
            wait = self._open_at - self._clock()
            if wait > 0:
                raise SignInRefused(f"Too many wrong passwords. Please wait {int(wait) + 1} seconds and try again.")
            self._failures += 1
            if self._failures >= self.FREE:
                self._open_at = self._clock() + min(2 ** (self._failures - self.FREE + 1), self.LONGEST_S)

    def succeeded(self) -> None:
        """The password was right: start again from nothing."""
        with self._lock:
            self._failures, self._open_at = 0, 0.0


def hash_password(password: str) -> str:
    """The password as it is stored: method, parameters, a salt of its own, and the hash."""
    salt = secrets.token_bytes(16)
    n, r, p = _SCRYPT["n"], _SCRYPT["r"], _SCRYPT["p"]
    return f"scrypt${n}${r}${p}${salt.hex()}${_scrypt(password, salt, n, r, p).hex()}"


def password_matches(password: str, stored: str) -> bool:
    """Whether `password` is the one that `hash_password` made `stored` from, in constant time."""
    _, n, r, p, salt, digest = stored.split("$")
    found = _scrypt(password, bytes.fromhex(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, bytes.fromhex(digest))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    memory = 256 * n * r  # bytes it may use; it needs half of that
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=32)
