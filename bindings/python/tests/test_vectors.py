"""Vectors as callers have them. All forms store the same values; a refused call names the value and changes nothing."""
import array
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import omen


@pytest.fixture
def small(tmp_path):
    """A store of 4 dims with one vector, whose id is 0."""
    with omen.open(tmp_path / "small", dim=4) as opened:
        opened.insert([0, 0, 0, 9])
        yield opened


def unaligned(array):
    """The same values, misaligned by one byte."""
    room = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    room[:] = array
    assert not room.flags.aligned
    return room


def mapped(rows, folder):
    np.save(folder / "rows.npy", rows)
    return np.load(folder / "rows.npy", mmap_mode="r")


class HasArray:
    """What columns of data frames and tensors of other libraries are to numpy."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return self.values[index]


def objects(rows):
    """object[n] of arrays, as pandas and pyarrow have a column of lists."""
    column = np.empty(len(rows), object)
    column[:] = list(rows)
    return column


FORMS = {
    "Fortran order": np.asfortranarray,
    "every second row": lambda rows: np.repeat(rows, 2, axis=0)[::2],
    "every second column": lambda rows: np.repeat(rows, 2, axis=1)[:, ::2],
    "backwards": lambda rows: rows[::-1].copy()[::-1],
    "unaligned": unaligned,
    "big-endian": lambda rows: rows.astype(">f4"),
    "big-endian float64": lambda rows: rows.astype(">f8"),
    "float16": lambda rows: rows.astype(np.float16),
    "float64": lambda rows: rows.astype(np.float64),
    "longdouble": lambda rows: rows.astype(np.longdouble),
    "int64": lambda rows: rows.astype(np.int64),
    "uint8": lambda rows: rows.astype(np.uint8),
    "a subclass": lambda rows: rows.view(type("Rows", (np.ndarray,), {})),
    "lists": lambda rows: rows.tolist(),
    "whole numbers": lambda rows: rows.astype(int).tolist(),
    "tuples": lambda rows: tuple(map(tuple, rows.tolist())),
    "a list of arrays": list,
    "arrays of several dtypes": lambda rows: [row.astype(kind) for row, kind in zip(rows, ["f2", "f8", "i4"] * 99)],
    "a generator of lists": lambda rows: (row.tolist() for row in rows),
    "a list of generators": lambda rows: [iter(row.tolist()) for row in rows],
    "dict values": lambda rows: dict(enumerate(rows)).values(),
    "a list of array.array": lambda rows: [array.array("d", row.tolist()) for row in rows],
    "memoryview": lambda rows: memoryview(rows),
    "__array__": lambda rows: HasArray(rows),
    "a list of __array__": lambda rows: [HasArray(row) for row in rows],
    "a column of arrays": objects,
    "a column of lists": lambda rows: objects(rows.tolist()),
    "__array__ of a column": lambda rows: HasArray(objects(rows)),
    "objects": lambda rows: rows.astype(object),
    "decimals": lambda rows: [[Decimal(value) for value in row] for row in rows.tolist()],
    "fractions": lambda rows: [[Fraction(value) for value in row] for row in rows.tolist()],
    "nothing is masked": lambda rows: np.ma.masked_array(rows, np.zeros(rows.shape, bool)),
    "a list of rows in which nothing is masked": lambda rows: [np.ma.masked_array(row) for row in rows],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_form_has_the_same_values(store, base, form):
    rows = base[:50]
    ids = store.insert(form(rows))
    assert (store.get(ids) == rows).all()
    near, distances = store.search(form(rows), 1)
    assert near.shape == (50, 1) and (distances == 0).all()
    store.upsert(form(rows[::-1]), ids)
    assert (store.get(ids) == rows[::-1]).all()


def test_a_mapped_file(store, base, tmp_path):
    rows = mapped(base[:50], tmp_path)
    assert not rows.flags.writeable
    assert (store.get(store.insert(rows)) == base[:50]).all()


def test_one_vector_has_one_id_and_one_answer(small):
    id = small.insert([1.5, 2, 3, 4])
    assert isinstance(id, np.uint64) and id == 1
    assert small.insert(np.ones(4, np.float32), 70) == 70
    small.upsert(range(4), 70)
    assert small.get(70).tolist() == [0, 1, 2, 3]
    near, distances = small.search((1.5, 2, 3, 4), 2)
    assert near.tolist() == [1, 70] and distances.tolist() == [0, 2.25 + 1 + 1 + 1]
    assert near.dtype == np.uint64 and distances.dtype == np.float32
    near, distances = small.search([[1.5, 2, 3, 4]], 2)
    assert near.tolist() == [[1, 70]] and distances.shape == (1, 2)
    assert small.insert([[1, 2, 3, 4]], 71).tolist() == [71]
    assert small.insert([1, 2, 3, 4], [72]) == 72
    with pytest.raises(omen.InvalidArgument, match="ids: 2, expected 1: one for each vector"):
        small.insert([1, 2, 3, 4], [80, 81])


@pytest.mark.parametrize("nothing", [[], (), np.empty(0), iter([]), objects([]), np.empty((0, 4)), array.array("f")])
def test_no_vectors(small, nothing):
    assert small.insert(nothing).shape == (0,)
    assert small.search([], 3)[0].shape == (0, 3)
    assert len(small) == 1


def test_floats_are_rounded_to_float32(small):
    rows = np.array([[0.1, 1 / 3, 1e-50, 3.4028235e38], [2**24 + 1, 2**63, -0.0, 3.4028235677e38]])
    assert (small.get(small.insert(rows)) == rows.astype(np.float32)).all()
    assert (small.get(small.insert(rows.tolist())) == rows.astype(np.float32)).all()
    assert (small.get(small.insert([1, 2**64, 10**30, -(2**70)])) == np.float32([1, 2**64, 1e30, -(2.0**70)])).all()


GOOD = [1.0, 2.0, 3.0, 4.0]
REFUSED = {
    "a float64 above float32": (np.array([GOOD, [1, 2, 1e39, 4]]), "vector 1, component 2 is 1e.39: .*at most 3.4028235e.38"),
    "one below": ([GOOD, [1, 2, 3, -3.41e38]], "vector 1, component 3 is -3.41e.38: a float32 holds"),
    "one of one vector": ([1, 1e300, 3, 4], "vector 0, component 1 is 1e.300: a float32 holds"),
    "a huge int": ([GOOD, [1, 2, 10**60, 4]], "vector 1, component 2 is 1e.60: a float32 holds"),
    "an int above float64": ([GOOD, [1, 2, 10**400, 4]], "vector 1, component 2 is 10000.*: a float32 holds"),
    "a short row": ([GOOD, GOOD, [1, 2, 3]], "vector 2 has 3 components, expected 4"),
    "a short array": ([np.ones(4), np.ones(5)], "vector 1 has 5 components, expected 4"),
    "a column with a short row": (objects([[1, 2], GOOD]), "vector 0 has 2 components, expected 4"),
    "a generator": (iter([GOOD, [1]]), "vector 1 has 1 components, expected 4"),
    "a row without numbers": ([GOOD, 5], "vector 1: found 5, expected 4 numbers"),
    "None for a row": ([GOOD, None], "vector 1: found None, expected 4 numbers"),
    "None in a row": ([GOOD, [1, None, 3, 4]], "vector 1, component 1 is None, expected a number"),
    "None in one vector": ([1, 2, None, 4], "vector 0, component 2 is None, expected a number"),
    "None in an array": (np.array([GOOD, [1, None, 3, 4]], object), "vector 1, component 1 is None, expected a number"),
    "text in a row": ([GOOD, [1, 2, 3, "4"]], r"vector 1, component 3 is '4' \(str\), expected a number"),
    "text for vectors": (["[1,2,3,4]", "[5,6,7,8]"], r"vector 0, component 0 is '\[1,2,3,4\]' \(str\), expected"),
    "a bool in a row": ([GOOD, [Decimal(1), True, 3, 4]], "vector 1, component 1 is True, expected a number"),
    "bools": ([[True] * 4], "dtype bool, expected floats or whole numbers"),
    "complex numbers": ([GOOD, [1j] * 4], r"vector 1, component 0 is 1j \(complex\), expected a number"),
    "dates": ([[np.datetime64("2020-01-01")] * 4], r"component 0 is .*\(datetime64\), expected a number"),
    "dicts": ([{"a": 1}], r"vector 0: found {'a': 1} \(dict\), expected 4 numbers"),
    "a masked value": (np.ma.masked_array(np.ones((2, 4)), [[0] * 4, [0, 0, 1, 0]]), r"the value at \[1, 2\] is masked"),
    "a masked row": ([np.ma.masked_array(GOOD, [0, 1, 0, 0])], r"vector 0: the value at \[1\] is masked"),
    "complex64": (np.zeros((3, 4), np.complex64), "dtype complex64, expected floats or whole numbers"),
    "U3": (np.zeros((3, 4), "U3"), "vectors: dtype <U3|queries: dtype <U3"),
    "void": (np.zeros((3, 4), "V2"), "dtype .V2, expected floats or whole numbers"),
    "dim": (np.zeros((3, 5)), r"shape \(3, 5\), expected \(n, 4\), or \(4,\) for one vector"),
    "transposed": (np.zeros((4, 3)), r"shape \(4, 3\), expected"),
    "one of another dim": (np.zeros(3), r"shape \(3,\), expected"),
    "no columns": ([[]], r"shape \(1, 0\), expected"),
    "no rows of another dim": (np.zeros((0, 3)), r"shape \(0, 3\), expected"),
    "three axes": (np.zeros((2, 1, 4)), r"shape \(2, 1, 4\), expected"),
    "a list of matrices": ([np.ones((1, 4)), np.ones(4)], r"vector 0 has shape \(1, 4\), expected \(4,\)"),
    "a scalar array": (np.array(5.0), r"shape \(\), expected"),
    "a number": (5, "found 5, expected vectors of 4 numbers"),
    "None": (None, "found None, expected vectors of 4 numbers"),
    "text": ("abcd", r"found 'abcd' \(str\), expected vectors of 4 numbers"),
    "bytes": (b"abcd", r"found b'abcd' \(bytes\), expected vectors of 4 numbers"),
    "a dict": ({0: GOOD}, r"found {0: .*\(dict\), expected vectors of 4 numbers"),
    "a set": ({1, 2, 3, 4}, "found a set, which has no order"),
    "an object": (object(), r"\(object\), expected vectors of 4 numbers"),
}


@pytest.mark.parametrize("given, words", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_is_named(small, given, words):
    for call in (lambda: small.search(given, 1), lambda: small.insert(given), lambda: small.upsert(given, 0)):
        with pytest.raises(omen.InvalidArgument, match=words):
            call() if not hasattr(given, "__next__") else small.insert(iter([GOOD, [1]]))
    assert len(small) == 1 and small.get(0).tolist() == [0, 0, 0, 9]


def test_dtypes_that_numpy_does_not_know(small):
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("Got unsupported ScalarType BFloat16")

        def __iter__(self):
            return iter(GOOD)

    for given, where in ((Tensor(), "vectors"), ([Tensor()], "vectors: vector 0")):
        with pytest.raises(omen.InvalidArgument, match=f"{where}: numpy cannot read a Tensor: Got unsupported Scalar"):
            small.insert(given)
    # ml_dtypes.bfloat16 is such a dtype: two bytes that numpy has no name for.
    rows = np.zeros((2, 4), np.dtype([("bfloat16", "V2")]))
    for given, where in ((rows, "vectors:"), (list(rows), "vectors: vector 0 has")):
        with pytest.raises(omen.InvalidArgument, match=f"{where} dtype .*bfloat16.*, expected floats or whole numbers"):
            small.insert(given)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", [np.float16, np.float32, np.float64, list])
def test_what_is_not_finite_is_refused_by_its_place(small, bad, form):
    rows = np.array([GOOD, [1, 2, 3, bad], [1, np.nan, 1, 1]])
    rows = rows.tolist() if form is list else rows.astype(form)
    for call in (lambda: small.search(rows, 1), lambda: small.insert(rows), lambda: small.upsert(rows, [0, 1, 2])):
        with pytest.raises(omen.NotFinite, match="vector 1, component 3 is"):
            call()
    assert len(small) == 1 and small.get(0).tolist() == [0, 0, 0, 9]


def test_an_iterable_that_fails_changes_nothing(small):
    def rows():
        yield GOOD
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        small.insert(rows())
    assert len(small) == 1
