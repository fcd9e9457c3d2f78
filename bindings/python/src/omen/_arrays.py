"""Checks arrays: which are passed to the library without a copy, which are copied, and which are refused."""
from __future__ import annotations

from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from ._errors import InvalidArgument

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]


def vectors(what: str, given: Any, dim: int) -> Vectors:
    """`given` as float32[n][dim] in C order; a copy unless it has this form already. float64 is refused."""
    array = np.asarray(given, dtype=np.float32 if isinstance(given, (list, tuple)) else None)
    if array.dtype.kind != "f" or array.dtype.itemsize > 4:
        raise InvalidArgument(
            f"{what}: dtype {array.dtype}, expected float32 or float16: convert with .astype(numpy.float32)"
        )
    if array.ndim != 2 or array.shape[1] != dim:
        raise InvalidArgument(f"{what}: shape {array.shape}, expected (n, {dim})")
    return np.require(array, np.float32, ["C", "A"])


def ids(what: str, given: Any) -> Ids:
    """`given` as uint64[n] in C order; a copy unless it is uint64 or int64 in C order. Negative ids are refused."""
    array = np.asarray(given)
    if array.ndim != 1:
        raise InvalidArgument(f"{what}: shape {array.shape}, expected (n,)")
    if array.size == 0:
        return np.empty(0, np.uint64)
    if array.dtype.kind not in "iu":
        raise InvalidArgument(f"{what}: dtype {array.dtype}, expected whole numbers, preferably uint64")
    if array.dtype.kind == "i" and array.min() < 0:
        raise InvalidArgument(f"{what}: found {array.min()}, expected 0 or more")
    if array.dtype == np.int64:
        array = array.view(np.uint64)
    return np.require(array, np.uint64, ["C", "A"])


def output(what: str, given: Optional[npt.NDArray[Any]], shape: tuple[int, ...], dtype: type) -> npt.NDArray[Any]:
    """`given`, if the library can write `dtype[shape]` into it without a copy; a new array if it is None."""
    if given is None:
        return np.empty(shape, dtype)
    if not isinstance(given, np.ndarray) or given.dtype != dtype or given.shape != shape:
        found = f"{given.dtype} of shape {given.shape}" if isinstance(given, np.ndarray) else type(given).__name__
        raise InvalidArgument(f"{what}: {found}, expected an array of {np.dtype(dtype)} of shape {shape}")
    if not given.flags.carray:
        raise InvalidArgument(f"{what}: expected an array that is writable, aligned and in C order")
    return given

