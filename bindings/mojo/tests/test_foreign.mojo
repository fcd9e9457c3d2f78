"""A library of another ABI version is refused by name. argv has the paths of an older one and a newer one."""
from std.sys import argv
from std.testing import assert_raises

from omen import Loaded, Store


def main() raises:
    with assert_raises(contains="libomen 7.8.9 is older than this package: its ABI version is 0, expected 1"):
        _ = Store(Loaded(String(argv()[1])), "never", 8)
    with assert_raises(contains="libomen 7.8.9 is newer than this package: its ABI version is 2, expected 1"):
        _ = Store(Loaded(String(argv()[2])), "never", 8)
    print("foreign libraries are refused")
