"""Builds the wheel: the Rust library in release, stripped, and the declarations that cffi makes from include/omen.h.

cffi's ABI mode needs no C compiler and no particular CPython, so one wheel serves every Python. OMEN_LIBRARY=FILE uses a
libomen.so that was built earlier instead of running cargo. (maturin supports cffi too, but accepts neither the committed
header nor a built library.)
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
# Intermediate files go to cargo's directory, not between the sources.
BUILD = ROOT / "target" / "python"


def version():
    return re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]


def declarations():
    """The header as cffi reads it: without conditionals and includes, and only with macros that are numbers."""
    header = (ROOT / "include" / "omen.h").read_text().replace("UINT64_MAX", hex(2**64 - 1))
    header = re.sub(r"/\*.*?\*/|#ifdef __cplusplus.*?#endif[^\n]*", "", header, flags=re.S)
    is_read = re.compile(r"[^#]|#define \w+ (0x[0-9a-f]+|[0-9]+)$")
    return "\n".join(line for line in header.splitlines() if is_read.match(line))


def library():
    built = os.environ.get("OMEN_LIBRARY")
    if built:
        return Path(built)
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
    """Marks the wheel as not pure Python, so that it is for one platform."""

    def has_ext_modules(self):
        return True


BUILD.mkdir(parents=True, exist_ok=True)
setup(
    version=version(),
    cmdclass={"build_py": Build, "bdist_wheel": Wheel},
    distclass=WithLibrary,
    options={"build": {"build_base": str(BUILD)}, "egg_info": {"egg_base": str(BUILD)}},
)
