"""Builds the wheel: the Rust library in release, stripped, beside declarations that cffi makes of include/omen.h.

cffi's ABI mode, so no C compiler and no CPython version is in it: one wheel serves every Python. OMEN_LIBRARY=FILE takes
a libomen.so that is built already instead of running cargo. (maturin has cffi bindings too, but looks for the header in
target/ or makes one by cbindgen, and always compiles: it takes neither the committed header nor a built library.)
"""
import os
import re
import shutil
import subprocess
from pathlib import Path

from cffi import FFI
from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parents[2]
# What is made on the way lies where cargo's does, not between the sources.
ROOM = ROOT / "target" / "python"


def version():
    return re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]


def declarations():
    """The header as cffi reads it: no conditionals, no includes, of the macros those that are numbers."""
    header = (ROOT / "include" / "omen.h").read_text().replace("UINT64_MAX", hex(2**64 - 1))
    header = re.sub(r"/\*.*?\*/|#ifdef __cplusplus.*?#endif[^\n]*", "", header, flags=re.S)
    is_read = re.compile(r"[^#]|#define \w+ (0x[0-9a-f]+|[0-9]+)$")
    return "\n".join(line for line in header.splitlines() if is_read.match(line))


def library():
    taken = os.environ.get("OMEN_LIBRARY")
    if taken:
        return Path(taken)
    command = ["cargo", "build", "--release", "--lib", "--target-dir", ROOT / "target"]
    subprocess.run(command, cwd=ROOT, check=True)
    return ROOT / "target" / "release" / "libomen.so"


class Build(build_py):
    def run(self):
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        package = Path(self.build_lib) / "omen"
        ffi = FFI()
        ffi.cdef(declarations())
        ffi.set_source("omen._native", None)
        ffi.emit_python_code(str(package / "_native.py"))
        subprocess.run(["strip", "-o", package / "libomen.so", library()], check=True)
        for licence in ROOT.glob("LICENSE-*"):
            shutil.copy(licence, package)


class Wheel(bdist_wheel):
    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class WithLibrary(Distribution):
    """Not pure Python: the wheel is of one platform."""

    def has_ext_modules(self):
        return True


ROOM.mkdir(parents=True, exist_ok=True)
setup(
    version=version(),
    cmdclass={"build_py": Build, "bdist_wheel": Wheel},
    distclass=WithLibrary,
    options={"build": {"build_base": str(ROOM)}, "egg_info": {"egg_base": str(ROOM)}},
)
