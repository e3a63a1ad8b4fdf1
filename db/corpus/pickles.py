"""Pickled templates and index lists, read without running what a pickle may carry.

A pickle is a program; loading a stranger's with `pickle.load` runs it. This reader admits numpy arrays of numbers
and plain containers, in protocols 0 to 5 and as Python 2 wrote them, and refuses everything else by name.
"""

import collections
import io
import pickle
from pathlib import Path

import numpy as np

from db.corpus.errors import BadFile, shown

MAX_BYTES = 1 << 30  # BIWI's templates.pkl has 8 MB


def read_pickle(path: Path) -> object:
    """What `path` holds: dicts, lists, tuples, sets, text, bytes, numbers and numeric numpy arrays.

    Raises BadFile if it asks for anything else, is larger than MAX_BYTES, or is damaged.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise BadFile(
                f"{shown(path)}: {size} bytes; a pickle beyond {MAX_BYTES} bytes is not read. Is this the right file?"
            )
        data = path.read_bytes()
    except OSError as error:
        raise BadFile(f"{shown(path)}: cannot be opened ({error.strerror or error}); check the file") from error
    try:
        return _NumbersOnly(io.BytesIO(data), encoding="latin1").load()
    except _Forbidden as error:
        raise BadFile(
            f"{shown(path)}: asks for {error}, which could run code of whoever wrote it; only numpy arrays of "
            "numbers and plain containers are read. Get the file from a source that you trust, or write it "
            "again with nothing else in it",
            kind="forbidden_pickle",
        ) from error
    # A damaged program can fail in any of its instructions.
    except Exception as error:
        raise BadFile(
            f"{shown(path)}: damaged or no pickle ({type(error).__name__}: {error}); copy it again"
        ) from error


class _Forbidden(pickle.UnpicklingError):
    """The pickle names something that is not admitted."""


class _Ndarray:
    """Stands for `numpy.ndarray` while loading; the class itself could be called to fill the memory."""


def _dtype(name, *_align_and_copy):
    kind = np.dtype(name if isinstance(name, (str, bytes)) else "O")
    if kind.kind not in "fiub" or kind.fields is not None:
        raise _Forbidden(f"an array of {kind} instead of numbers")
    # A copy, because the instructions that follow change its byte order.
    return np.dtype(kind, copy=True)


def _reconstruct(kind, shape, _type_code):
    if kind is not _Ndarray or tuple(shape) != (0,):
        raise _Forbidden("an array that is built in an unusual way")
    return np.ndarray((0,), dtype="b")


def _scalar(kind, data):
    return np.frombuffer(_as_bytes(data), dtype=kind, count=1)[0]


def _frombuffer(buffer, kind, shape, order):
    return np.frombuffer(_as_bytes(buffer), dtype=kind).reshape(shape, order=order)


def _encode(text="", encoding="latin1"):
    """Python 3 writes bytes this way in protocols 0 to 2."""
    if encoding not in ("latin1", "latin-1"):
        raise _Forbidden(f"_codecs.encode with {encoding!r}")
    return text.encode("latin1")


def _as_bytes(data) -> bytes:
    if isinstance(data, str):
        return data.encode("latin1")
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise _Forbidden(f"bytes made from {type(data).__name__}")


_BUILTINS = {
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
    "list": list,
    "bytes": _encode,
    "bytearray": _as_bytes,
}
_ADMITTED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): _Ndarray,
    ("numpy", "dtype"): _dtype,
    **{(module, name): value for module in ("builtins", "__builtin__") for name, value in _BUILTINS.items()},
    **{(f"numpy.{core}.multiarray", name): value for core in ("core", "_core")
       for name, value in (("_reconstruct", _reconstruct), ("scalar", _scalar))},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
}  # fmt: skip


# The reader written in Python: the one in C can be made to reserve any amount of memory by one instruction.
class _NumbersOnly(pickle._Unpickler):
    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module, name):
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise _Forbidden(f"'{module}.{name}'") from None

    def load_build(self):
        """Setting an object's state is how an array gets its numbers; nothing else needs it."""
        target = self.stack[-2]
        if isinstance(target, np.dtype):
            self._set_byte_order()
        elif isinstance(target, np.ndarray):
            if not isinstance(self.stack[-1][2], np.dtype) or self.stack[-1][2].kind not in "fiub":
                raise _Forbidden("an array of something else than numbers")
            super().load_build()
        else:
            raise _Forbidden(f"setting the state of {type(target).__name__}")

    def _set_byte_order(self):
        """The state of a dtype is (version, byte order, ...); of the rest a plain number needs nothing."""
        order = self.stack.pop()[1]
        kind = self.stack[-1]
        changed = kind.newbyteorder(order if order in ("<", ">") else "=")
        self.stack[-1] = changed
        for key, value in self.memo.items():
            if value is kind:
                self.memo[key] = changed

    dispatch[pickle.BUILD[0]] = load_build
