"""Vectors as callers have them, as float32: arrays, columns of data frames, lists of rows of any of them."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from ._arrays import Array, Vectors, gathered, short
from ._errors import InvalidArgument

AnyVectors = Union[npt.ArrayLike, Iterable[npt.ArrayLike]]

_TEXT = (str, bytes, bytearray)
# float() accepts them, but a caller who passes them means something else.
_NO_NUMBERS = (*_TEXT, bool, np.bool_, np.complexfloating, np.datetime64, np.timedelta64)


def vectors(what: str, given: Any, dim: int) -> Vectors:
    """One vector as float32[dim], many as float32[n, dim] in C order; a copy unless `given` has this form already."""
    found = gathered(what, given, f"vectors of {dim} numbers")
    if isinstance(found, np.ndarray) and found.dtype.kind == "O" and found.ndim > 0:
        found = found.tolist()
    array = _of_list(what, found, dim) if isinstance(found, list) else found
    if array.shape == (0,):
        return np.empty((0, dim), np.float32)
    if array.dtype.kind not in "fiu":
        raise InvalidArgument(f"{what}: dtype {array.dtype}, expected floats or whole numbers")
    if array.ndim not in (1, 2) or array.shape[-1] != dim:
        raise InvalidArgument(f"{what}: shape {array.shape}, expected (n, {dim}), or ({dim},) for one vector")
    if array.dtype.kind == "f" and array.dtype.itemsize > 4:
        return _rounded(what, array)
    return np.require(array, np.float32, ["C", "A"])


def _rounded(what: str, array: Array) -> Vectors:
    """float64 or wider as float32. Raises InvalidArgument for a finite value whose float32 is infinite."""
    with np.errstate(all="ignore"):
        floats = array.astype(np.float32, order="C")
    if not np.isfinite(floats).all():
        # NaN and infinities of the caller are left to the library, which names them.
        is_lost = np.atleast_2d(np.isinf(floats) & np.isfinite(array))
        if is_lost.any():
            row, column = np.argwhere(is_lost)[0]
            raise _too_large(what, row, column, np.atleast_2d(array)[row, column])
    return floats


def _too_large(what: str, row: int, column: int, value: object) -> InvalidArgument:
    limit = str(np.finfo(np.float32).max)
    return InvalidArgument(f"{what}: vector {row}, component {column} is {value}: a float32 holds at most {limit}")


def _of_list(what: str, rows: list[Any], dim: int) -> Array:
    """A list of rows as one array; a list of numbers as one vector."""
    # An array of a subclass may be masked, which numpy would ignore.
    if not any(issubclass(kind, np.ndarray) and kind is not np.ndarray for kind in set(map(type, rows))):
        try:
            array = np.asarray(rows)
        except Exception:  # rows of unlike lengths, or whatever a foreign `__array__` raises; found below, row by row
            array = np.empty((), object)
        if array.dtype.kind in "fiub":
            return array
    if any(isinstance(row, Iterable) and not isinstance(row, _TEXT) for row in rows):
        return np.stack([_row(what, index, row, dim) for index, row in enumerate(rows)])
    return _row(what, 0, rows, dim)


def _row(what: str, index: int, given: Any, dim: int) -> Array:
    """One row of a list as float[dim]. Raises InvalidArgument with the row, and the component that is no number."""
    row = gathered(f"{what}: vector {index}", given, f"{dim} numbers")
    if isinstance(row, np.ndarray) and row.ndim != 1:
        raise InvalidArgument(f"{what}: vector {index} has shape {row.shape}, expected ({dim},)")
    if isinstance(row, np.ndarray) and row.dtype.kind not in "fiuO":
        raise InvalidArgument(f"{what}: vector {index} has dtype {row.dtype}, expected floats or whole numbers")
    if isinstance(row, list) or row.dtype.kind == "O":
        row = np.array([_number(what, index, column, value) for column, value in enumerate(row)], np.float64)
    if len(row) != dim:
        raise InvalidArgument(f"{what}: vector {index} has {len(row)} components, expected {dim}")
    return row


def _number(what: str, row: int, column: int, value: Any) -> float:
    if not isinstance(value, _NO_NUMBERS):
        try:
            return float(value)
        except OverflowError:
            raise _too_large(what, row, column, short(value)) from None
        except (TypeError, ValueError):
            pass
    raise InvalidArgument(f"{what}: vector {row}, component {column} is {short(value)}, expected a number")
