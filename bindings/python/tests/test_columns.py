"""Columns of pandas, polars and pyarrow as vectors and as ids. The package depends on none of the three."""
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import omen

ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.5]]
FLOATS = np.array(ROWS, np.float32)
CHUNKED = [pa.array(ROWS[:1], pa.list_(pa.float32())), pa.array(ROWS[1:], pa.list_(pa.float32()))]
VECTORS = {
    "pandas, lists": pd.Series(ROWS),
    "pandas, arrays": pd.Series(list(FLOATS)),
    "pandas, with an index": pd.Series(ROWS, index=["x", "y", "z"]),
    "pandas, arrow": pd.Series(ROWS, dtype=pd.ArrowDtype(pa.list_(pa.float32()))),
    "pandas, frame": pd.DataFrame(ROWS),
    "pandas, frame of several dtypes": pd.DataFrame({"a": np.int8([1, 4, 7]), "b": [2, 5, 8], "c": FLOATS[:, 2]}),
    "pandas, object frame": pd.DataFrame(ROWS, dtype=object),
    "pandas, a list of Series": [pd.Series(row) for row in ROWS],
    "polars, lists": pl.Series(ROWS),
    "polars, lists of float32": pl.Series(ROWS, dtype=pl.List(pl.Float32)),
    "polars, arrays": pl.Series(ROWS, dtype=pl.Array(pl.Float32, 3)),
    "polars, frame": pl.DataFrame(ROWS, orient="row"),
    "polars, a list of Series": [pl.Series(row) for row in ROWS],
    "pyarrow, lists": pa.array(ROWS),
    "pyarrow, lists of float16": pa.array(ROWS, pa.list_(pa.float32())).cast(pa.list_(pa.float16())),
    "pyarrow, large lists": pa.array(ROWS, pa.large_list(pa.float32())),
    "pyarrow, lists of one size": pa.array(ROWS, pa.list_(pa.float32(), 3)),
    "pyarrow, sliced": pa.array([[0.0] * 3, *ROWS, [0.0] * 3], pa.list_(pa.float32(), 3)).slice(1, 3),
    "pyarrow, chunked": pa.chunked_array(CHUNKED),
    "pyarrow, tensors": pa.FixedShapeTensorArray.from_numpy_ndarray(FLOATS),
    "pyarrow, table": pa.table({name: column for name, column in zip("abc", FLOATS.T)}),
    "pyarrow, scalars": list(pa.array(ROWS)),
}


@pytest.fixture
def store(tmp_path):
    with omen.open(tmp_path / "columns", dim=3) as opened:
        yield opened


@pytest.mark.parametrize("column", VECTORS.values(), ids=VECTORS.keys())
def test_columns_of_vectors(store, column):
    ids = store.insert(column)
    assert (store.get(ids) == FLOATS).all()
    store.upsert(column, ids[::-1])
    assert (store.get(ids) == FLOATS[::-1]).all()
    near, distances = store.search(column, 1)
    assert near.tolist() == [[2], [1], [0]] and (distances == 0).all()


@pytest.mark.parametrize("row", [
    pd.Series(ROWS).iloc[1], pd.Series(ROWS[1]), pd.DataFrame(ROWS).loc[1], pl.Series(ROWS)[1], pl.Series(ROWS[1]),
    pa.array(ROWS)[1], pa.array(ROWS[1]), pa.array(np.int16([4, 5, 6])),
])
def test_one_row_is_one_query(store, row):
    store.insert(ROWS)
    near, distances = store.search(row, 2)
    assert near.tolist()[0] == 1 and near.shape == (2,) and distances[0] == 0


LARGE = 2**64 - 2
IDS = {
    "pandas": pd.Series([7, 3, LARGE]),
    "pandas, UInt64": pd.Series([7, 3, LARGE], dtype="UInt64"),
    "pandas, arrow": pd.Series([7, 3, LARGE], dtype="uint64[pyarrow]"),
    "pandas, objects": pd.Series([7, 3, LARGE], dtype=object),
    "pandas, index": pd.Index([7, 3, LARGE]),
    "polars": pl.Series([7, 3, LARGE], dtype=pl.UInt64),
    "pyarrow": pa.array([7, 3, LARGE], pa.uint64()),
    "pyarrow, chunked": pa.chunked_array([pa.array([7], pa.uint64()), pa.array([3, LARGE], pa.uint64())]),
    "pyarrow, scalars": list(pa.array([7, 3, LARGE], pa.uint64())),
}


@pytest.mark.parametrize("column", IDS.values(), ids=IDS.keys())
def test_columns_of_ids(store, column):
    assert store.insert(ROWS, column).tolist() == [7, 3, LARGE]
    assert (store.get(column) == FLOATS).all() and store.contains(column).all()
    near, _ = store.search(ROWS[0], 4, allow_ids=column)
    assert near.tolist() == [7, 3, LARGE, omen.NO_ID]
    assert store.delete(column) == 3


@pytest.mark.parametrize("one", [pa.scalar(3), pd.Series([7, 3])[1], pl.Series([7, 3])[1]])
def test_one_id(store, one):
    store.insert(ROWS, [7, 3, 5])
    assert store.get(one).tolist() == ROWS[1] and store.contains(one) is True and store.delete(one) == 1


@pytest.mark.parametrize("column", [
    pd.Series([ROWS[0], None]), pl.Series([ROWS[0], None]), pa.array([ROWS[0], None]),
    pa.array([ROWS[0], None], pa.list_(pa.float32(), 3)),
])
def test_a_row_that_is_missing(store, column):
    with pytest.raises(omen.InvalidArgument, match="vectors: vector 1: found None, expected 3 numbers"):
        store.insert(column)
    assert len(store) == 0


@pytest.mark.parametrize("column", [
    pl.Series([ROWS[0], [1.0, 2.0, None]]), pa.array([ROWS[0], [1.0, 2.0, None]]),
    pl.Series([ROWS[0], [1.0, 2.0, None]], dtype=pl.Array(pl.Float32, 3)), pd.DataFrame([ROWS[0], [1.0, 2.0, None]]),
])
def test_a_component_that_is_missing(store, column):
    with pytest.raises(omen.NotFinite, match="vector 1, component 2 is NaN"):
        store.insert(column)
    assert len(store) == 0


@pytest.mark.parametrize("column, words", [
    (pd.Series([ROWS[0], ROWS[1][:2]]), "vector 1 has 2 components, expected 3"),
    (pl.Series([ROWS[0], ROWS[1][:2]]), "vector 1 has 2 components, expected 3"),
    (pa.array([ROWS[0], []], pa.list_(pa.float64())), "vector 1 has 0 components, expected 3"),
    (pa.array([ROWS[0], [1, 1e39, 2]]), "vector 1, component 1 is 1e.39: a float32 holds at most"),
    (pd.Series(["[1, 2, 3]"]), r"vector 0, component 0 is '\[1, 2, 3\]' \(str\), expected a number"),
    (pl.Series(["[1, 2, 3]"]), "dtype <U9, expected floats or whole numbers"),
    (pd.DataFrame({"a": [1.0], "b": ["x"], "c": [pd.NA]}), r"vector 0, component 1 is 'x' \(str\), expected a number"),
    (pd.Series([[1.0, 2.0, pd.NA]]), r"vector 0, component 2 is <NA> \(NAType\), expected a number"),
])
def test_other_rows_that_are_refused(store, column, words):
    with pytest.raises(omen.InvalidArgument, match=words):
        store.insert(column)
    assert len(store) == 0


@pytest.mark.parametrize("column", [
    pd.Series([7, None, 3]), pd.Series([7, None, 3], dtype="UInt64"), pl.Series([7, None, 3]), pa.array([7, None, 3]),
    pd.Series([7, None, 3], dtype="int64[pyarrow]"),
])
def test_an_id_that_is_missing(store, column):
    with pytest.raises(omen.InvalidArgument, match="ids: dtype float64, .*; the value at 1 is missing or NaN"):
        store.insert(ROWS, column)
    assert len(store) == 0


@pytest.mark.parametrize("mask", [
    pd.Series([True, False]), pd.Series([True, False], dtype="boolean"), pl.Series([True, False]), pa.array([True, False]),
])
def test_a_mask_is_named(store, mask):
    with pytest.raises(omen.InvalidArgument, match="allow_ids: found a mask of bools"):
        store.search(ROWS[0], 1, allow_ids=mask)


def test_import_takes_numpy_and_cffi_only():
    program = "import sys, omen; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    names = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    program = "import sys, numpy, cffi, _cffi_backend; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    allowed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    added = set(names) - set(allowed) - set(sys.stdlib_module_names)
    assert added == {"omen"} and not {"pandas", "polars", "pyarrow"} & set(names)
