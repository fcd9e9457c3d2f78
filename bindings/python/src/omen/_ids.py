"""Ids as callers have them, as uint64. Every whole number from 0 on is read exactly: none goes through a float."""
from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any, SupportsIndex, Union

import numpy as np

from ._arrays import Array, Ids, gathered, is_array, short
from ._errors import InvalidArgument

# Not SupportsIndex: a type checker takes an array for one too.
WholeNumber = Union[int, "np.integer[Any]"]
ManyIds = Iterable[SupportsIndex]
AnyIds = Union[WholeNumber, ManyIds]

_LARGEST = 2**64 - 1


def ids(what: str, given: Any) -> Ids:
    """One id as uint64[], many as uint64[n] in C order; a copy unless `given` is uint64 or int64 in C order."""
    if hasattr(given, "__index__") and not is_array(given):
        return _checked(what, [given], is_one=True).reshape(())
    found = gathered(what, given, "a whole number, or an array or a list of them")
    if isinstance(found, list):
        return _checked(what, found)
    if found.ndim > 1:
        raise InvalidArgument(f"{what}: shape {found.shape}, expected (n,), or one whole number")
    return _of_array(what, found)


def id_set(what: str, given: Any) -> Ids:
    """The same where the order does not matter: sets too."""
    return ids(what, list(given) if isinstance(given, (set, frozenset)) else given)


def _of_array(what: str, array: Array) -> Ids:
    if array.dtype.kind == "O":
        return _checked(what, array.ravel().tolist(), is_one=array.ndim == 0).reshape(array.shape)
    if array.size == 0:
        return np.empty(0, np.uint64)
    if array.dtype.kind == "b":
        raise _mask(what)
    if array.dtype.kind not in "iu":
        raise InvalidArgument(f"{what}: dtype {array.dtype}, expected whole numbers{_missing(array)}")
    if array.dtype.kind == "i" and array.min() < 0:
        at = int(np.argmax(array < 0))
        raise InvalidArgument(f"{_name(what, at, array.ndim == 0)} is {array.flat[at]}, expected 0 or more")
    if array.dtype == np.int64:
        array = array.view(np.uint64)
    return np.require(array, np.uint64, ["C", "A"])


def _missing(array: Array) -> str:
    """Why a column of whole numbers came as floats, if a value is missing in it."""
    if array.dtype.kind != "f" or not np.isnan(array).any():
        return ""
    return f"; the value at {int(np.argmax(np.isnan(array)))} is missing or NaN"


def _checked(what: str, values: list[Any], is_one: bool = False) -> Ids:
    """Python objects as uint64[n]."""
    kinds = set(map(type, values))
    if kinds - {int}:
        if kinds <= {bool, np.bool_} and not is_one:
            raise _mask(what)
        values = [_whole(what, at, value, is_one) for at, value in enumerate(values)]
    if values and not (0 <= min(values) and max(values) <= _LARGEST):
        at = next(at for at, value in enumerate(values) if not 0 <= value <= _LARGEST)
        limit = "0 or more" if values[at] < 0 else f"at most {_LARGEST - 1}"
        raise InvalidArgument(f"{_name(what, at, is_one)} is {values[at]}, expected {limit}")
    return np.array(values, np.uint64)


def _whole(what: str, at: int, value: Any, is_one: bool) -> int:
    if not isinstance(value, (bool, np.bool_)):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise InvalidArgument(f"{_name(what, at, is_one)} is {short(value)}, expected a whole number")


def _mask(what: str) -> InvalidArgument:
    return InvalidArgument(f"{what}: found a mask of bools, expected ids: for a mask over an array of ids pass ids[mask]")


def _name(what: str, at: int, is_one: bool) -> str:
    return what if is_one else f"{what}[{at}]"
