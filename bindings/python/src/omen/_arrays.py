"""What callers pass, as numpy arrays or lists of Python objects; and the arrays that the library fills."""
from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any, Optional, Union

import numpy as np
import numpy.typing as npt

from ._errors import InvalidArgument

Array = npt.NDArray[Any]
Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]


def gathered(what: str, given: Any, expected: str) -> Union[Array, list[Any]]:
    """`given` as an array without a copy, if it is one or has the protocol of one, as columns of pandas, polars and
    pyarrow have; any other iterable as a list. Raises InvalidArgument with `expected` for what is neither, and for text,
    dicts, sets and masked values.
    """
    if type(given) is np.ndarray:
        return given
    if isinstance(given, (list, tuple)):
        return list(given)
    if isinstance(given, (set, frozenset)):
        raise InvalidArgument(f"{what}: found a {type(given).__name__}, which has no order: pass a sorted list of it")
    if not isinstance(given, (str, bytes, bytearray, dict)):
        if is_array(given):
            return _plain(what, given)
        if isinstance(given, Iterable):
            return list(given)
    raise InvalidArgument(f"{what}: found {short(given)}, expected {expected}")


def is_array(given: Any) -> bool:
    """Whether numpy reads `given` as an array: by its `__array__`, or as a buffer such as a memoryview."""
    if hasattr(given, "__array__") or hasattr(given, "__array_interface__"):
        return True
    try:
        memoryview(given).release()
    except TypeError:
        return False
    return True


def _plain(what: str, given: Any) -> Array:
    # Only a subclass can be a masked array: numpy.ma is not imported for plain ones.
    if isinstance(given, np.ndarray) and isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        first = tuple(np.argwhere(np.ma.getmaskarray(given))[0].tolist())
        raise InvalidArgument(f"{what}: the value at {list(first)} is masked, expected no masked values")
    try:
        return np.asarray(given)
    except Exception as error:  # whatever a foreign `__array__` raises
        raise InvalidArgument(f"{what}: numpy cannot read a {type(given).__name__}: {error}") from error


def short(value: Any) -> str:
    """A value for a message, in at most about 60 characters, with its type where that says more."""
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return text if value is None or isinstance(value, (bool, int, float)) else f"{text} ({type(value).__name__})"


def whole(what: str, given: Any) -> int:
    """A whole number of at least 0. Raises InvalidArgument for anything else."""
    try:
        number = operator.index(given)
    except TypeError:
        raise InvalidArgument(f"{what}: found {short(given)}, expected a whole number") from None
    if number < 0:
        raise InvalidArgument(f"{what}: found {number}, expected 0 or more")
    return number


def output(what: str, given: Optional[Array], shape: tuple[int, ...], dtype: type) -> Array:
    """`given`, if the library can write `dtype[shape]` into it without a copy; a new array if it is None."""
    if given is None:
        return np.empty(shape, dtype)
    if not isinstance(given, np.ndarray) or given.dtype != dtype or given.shape != shape:
        found = f"{given.dtype} of shape {given.shape}" if isinstance(given, np.ndarray) else type(given).__name__
        raise InvalidArgument(f"{what}: {found}, expected an array of {np.dtype(dtype)} of shape {shape}")
    if not given.flags.carray:
        raise InvalidArgument(f"{what}: expected an array that is writable, aligned and in C order")
    return given
