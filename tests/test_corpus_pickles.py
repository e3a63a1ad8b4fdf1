"""Templates come as pickles, which are programs: numbers are read, programs are not run."""

import collections
import contextlib
import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.corpus import pickles
from db.corpus.errors import BadFile
from db.corpus.indices import read_indices
from db.corpus.pickles import read_pickle

TEMPLATES = {
    "F1": np.arange(12, dtype=np.float64).reshape(4, 3),
    "M2": np.arange(12, dtype=">f4"),
    "F3": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(4, 3)),
    "F4": np.zeros(0, dtype=np.float32),
    "flags": np.array([True, False]),
    "index": np.arange(3, dtype=np.uint16),
}


def written(tmp_path, data: bytes):
    path = tmp_path / "templates.pkl"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_numpy_arrays_of_numbers_are_read_in_every_protocol(tmp_path, protocol):
    read = read_pickle(written(tmp_path, pickle.dumps(TEMPLATES, protocol=protocol)))
    assert list(read) == list(TEMPLATES)
    for name, expected in TEMPLATES.items():
        # In most protocols numpy itself turns another byte order into the machine's own.
        assert read[name].dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(read[name], expected)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_containers_are_read_in_every_protocol(tmp_path, protocol):
    plain = {
        "list": [1, 2.5, None, True], "tuple": ("a", b"\xff", b""), "set": {1, 2}, "frozen": frozenset({3}),
        "ordered": collections.OrderedDict(a=1), "scalar": np.float32(1.5), "bytes": bytearray(b"xy"),
    }  # fmt: skip
    assert read_pickle(written(tmp_path, pickle.dumps(plain, protocol=protocol))) == plain


def test_what_python_2_wrote_is_read_as_latin1(tmp_path):
    # cPickle.dumps({'F1': numpy.array([1.0, 2.0])}, 2) of Python 2.7: names and numbers are both its plain strings.
    numbers = struct.pack("<2d", 1.0, 2.0)
    data = (
        b"\x80\x02}q\x01U\x02F1q\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05"
        b"(K\x01K\x02\x85cnumpy\ndtype\nq\x06U\x02f8K\x00K\x01\x87Rq\x07(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U" + bytes([len(numbers)]) + numbers + b"tbs."
    )
    read = read_pickle(written(tmp_path, data))
    assert list(read) == ["F1"]
    assert read["F1"].tolist() == [1.0, 2.0]


def test_two_arrays_of_one_type_written_once_are_both_read(tmp_path):
    swapped = np.arange(3, dtype=">f8")
    read = read_pickle(written(tmp_path, pickle.dumps([swapped, swapped + 1, swapped.astype("<f8")], protocol=2)))
    assert [array.tolist() for array in read] == [[0, 1, 2], [1, 2, 3], [0, 1, 2]]


class Calls:
    """Pickles as a call of any function with any arguments."""

    def __init__(self, function, *arguments):
        self.how = function, arguments

    def __reduce__(self):
        return self.how


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_carries_code_is_refused_by_name_and_not_run(tmp_path, protocol):
    target = tmp_path / "was here"
    data = pickle.dumps({"F1": Calls(os.mkdir, str(target))}, protocol=protocol)
    with pytest.raises(BadFile, match=r"asks for '(posix|os|nt).mkdir', which could run code") as caught:
        read_pickle(written(tmp_path, data))
    assert caught.value.kind == "forbidden_pickle"
    assert not target.exists()


@pytest.mark.parametrize(
    "harmful",
    [
        Calls(eval, "1 + 1"),
        Calls(getattr, {}, "keys"),
        Calls(np.load, "x.npy"),
        Calls(np.ndarray, (10**12,)),
        Calls(bytearray, 10**12),
        Calls(np.dtype, "O"),
        Calls(np.dtype, [("a", "f8")]),
        Calls(np.dtype, "f8,O"),
        np.array([object], dtype=object),
        np.array(["text"]),
        Calls(np.ndarray.__reduce__, np.zeros(1)),
    ],
    ids=range(11),
)
def test_what_is_no_number_or_could_fill_the_memory_is_refused(tmp_path, harmful):
    with pytest.raises(BadFile):
        read_pickle(written(tmp_path, pickle.dumps(harmful, protocol=2)))


def test_setting_the_state_of_a_function_is_refused(tmp_path):
    # Puts {'__defaults__': ...} on one of the admitted functions, as a hostile pickle may try.
    data = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n}U\x0c__defaults__)sb."
    with pytest.raises(BadFile, match="setting the state of function"):
        read_pickle(written(tmp_path, data))


def test_an_instruction_that_reserves_memory_does_not(tmp_path):
    # LONG_BINPUT with the highest index makes the reader written in C reserve 64 GB.
    with pytest.raises(BadFile):
        read_pickle(written(tmp_path, b"\x80\x02]r\xff\xff\xff\xff"))


@settings(max_examples=80, deadline=None)
@given(share=st.floats(0, 0.999), protocol=st.integers(0, 5))
def test_a_truncated_pickle_is_refused_wherever_it_ends(share, protocol, tmp_path_factory):
    data = pickle.dumps(TEMPLATES, protocol=protocol)
    with pytest.raises(BadFile, match="damaged or no pickle|asks for"):
        read_pickle(written(tmp_path_factory.mktemp("pkl"), data[: int(share * len(data))]))


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_end_in_plain_values_or_a_clear_error(data, tmp_path_factory):
    with contextlib.suppress(BadFile):
        read_pickle(written(tmp_path_factory.mktemp("pkl"), data))


def test_a_pickle_beyond_the_size_limit_is_not_even_read(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MAX_BYTES", 10)
    with pytest.raises(BadFile, match="a pickle beyond 10 bytes is not read"):
        read_pickle(written(tmp_path, pickle.dumps(TEMPLATES)))


@pytest.mark.parametrize("indices", [[3, 1, 2], np.array([3, 1, 2]), [np.int64(3), np.int64(1), np.int64(2)]])
def test_selftalks_pickled_list_of_lip_vertices_is_a_region(tmp_path, indices):
    (tmp_path / "BIWI_lip.pkl").write_bytes(pickle.dumps(indices))
    assert read_indices(tmp_path / "BIWI_lip.pkl", 10).tolist() == [3, 1, 2]
