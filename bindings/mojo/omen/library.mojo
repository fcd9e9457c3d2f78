"""How to reach the functions of libomen: linked into the program, or loaded from a file at run time."""
from std.ffi import CStringSpan, OwnedDLHandle, c_char, external_call
from std.memory import Pointer

from .header import FUNCTIONS, OMEN_ABI_VERSION, OMEN_OK


trait Library(Deinitable, Movable):
    """Calls functions of libomen by name.

    Numbers must have exactly the width that the header gives them. A pointer that may be NULL is an `Optional` of a
    `Pointer`: a bare `None` would be passed as a 32-bit zero. All calls of a function must pass the same types: the
    compiler refuses two signatures of one symbol.
    """

    def call[name: StaticString, Return: TrivialRegisterPassable, *Types: AnyType](self, *args: *Types) -> Return:
        ...


struct Linked(Library):
    """The libomen that the program was linked with (`-Xlinker -lomen`). A call costs as much as in C."""

    def __init__(out self):
        pass

    @always_inline
    def call[name: StaticString, Return: TrivialRegisterPassable, *Types: AnyType](self, *args: *Types) -> Return:
        return external_call[name, Return](*args)


struct Loaded(Library):
    """A libomen.so loaded by its path or name, without linking. Each call looks its symbol up."""

    var _handle: OwnedDLHandle

    def __init__(out self, path: String) raises:
        """Loads `path`, which must be a libomen with every function of the header."""
        self._handle = OwnedDLHandle(path)
        for name in materialize[FUNCTIONS]():
            if not self._handle.check_symbol(String(name)):
                raise Error(path, ": not libomen, or older than this package: it has no ", name)

    def call[name: StaticString, Return: TrivialRegisterPassable, *Types: AnyType](self, *args: *Types) -> Return:
        return self._handle.call[name, Return](*args)


def text[name: StaticString, L: Library, *Types: AnyType](library: L, *args: *Types) -> String:
    """The string that a function of the library returns."""
    var at = library.call[name, Pointer[c_char, ImmUntrackedOrigin]](*args)
    return String(CStringSpan(unsafe_from_ptr=at))


@always_inline
def check[L: Library](library: L, status: Int32) raises:
    """Raises an error with the name of the status and the last message, unless the status is OMEN_OK."""
    if status != OMEN_OK:
        raise Error(text["omen_status_name"](library, status), ": ", text["omen_last_message"](library))


def check_version[L: Library](library: L) raises:
    """Refuses a library whose ABI version is not that of the header."""
    var found = library.call["omen_abi_version", UInt32]()
    if found != OMEN_ABI_VERSION:
        raise Error(
            "libomen ", text["omen_version"](library), " is ", "older" if found < OMEN_ABI_VERSION else "newer",
            " than this package: its ABI version is ", found, ", expected ", OMEN_ABI_VERSION,
        )
