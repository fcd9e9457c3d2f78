"""The shared library, loaded once and checked against the header that this package was built from."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from ._native import ffi

PATH = Path(__file__).with_name("libomen.so")


def _load() -> Any:
    """Loads the library. Raises an ImportError unless it has the ABI version and every function of the header."""
    try:
        library = ffi.dlopen(str(PATH))
        found = library.omen_abi_version()
        version = text(library.omen_version())
    except (OSError, ffi.error) as error:
        raise ImportError(f"{PATH} is not libomen: {error}", path=str(PATH)) from error
    expected = library.OMEN_ABI_VERSION
    if found != expected:
        age = "older" if found < expected else "newer"
        raise ImportError(
            f"{PATH}: libomen {version} is {age} than this package: its ABI version is {found}, expected {expected}",
            path=str(PATH),
        )
    try:
        for name in dir(library):
            getattr(library, name)
    except ffi.error as error:
        raise ImportError(f"{PATH}: libomen {version} is older than this package: {error}", path=str(PATH)) from error
    return library


def text(pointer: Any) -> str:
    """A string of the library."""
    return str(ffi.string(pointer).decode())


lib = _load()
