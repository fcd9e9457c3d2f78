"""The package and its library: the package has everything of the header, and refuses a foreign library by name."""
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import omen
from omen import _library, _store

HEADER = (Path(__file__).resolve().parents[3] / "include" / "omen.h").read_text()
# Always OMEN_UNSUPPORTED in this version of the library.
LATER = {"omen_store_backup", "omen_store_refresh"}


def test_every_function_of_the_header_is_called():
    functions = set(re.findall(r"^(?:int32_t|uint32_t|void|const char \*) ?\*?(omen_\w+)\(", HEADER, re.M))
    assert len(functions) >= 25
    source = "".join(file.read_text() for file in Path(omen.__file__).parent.glob("_[!n]*.py"))
    assert {name for name in functions if f"{name}(" not in source and f"{name}," not in source} == LATER


def test_every_status_of_the_header_has_a_class():
    statuses = re.search(r"#define OMEN_OK 0\n(.*)#define OMEN_L2 ", HEADER, re.S)[1]
    wanted = {name: int(number) for name, number in re.findall(r"#define (OMEN_\w+) (\d+)", statuses)}
    classes = {kind.name: kind.status for kind in omen.Error.__subclasses__()}
    assert classes == wanted
    assert all(getattr(omen, kind.__name__) is kind for kind in omen.Error.__subclasses__())


def test_every_method_is_documented_and_typed():
    for name, method in inspect.getmembers(_store.Store, inspect.isfunction):
        if not name.startswith("_"):
            assert method.__doc__ and "return" in method.__annotations__, name
    assert Path(omen.__file__).with_name("py.typed").exists()


def test_the_library_is_small_and_of_this_version():
    assert _library.PATH.stat().st_size <= 2 << 20
    assert re.fullmatch(r"\d+\.\d+\.\d+", omen.__version__)


FOREIGN = """
unsigned omen_abi_version(void) { return %d; }
const char *omen_version(void) { return "7.8.9"; }
"""


@pytest.mark.parametrize("source, words", [
    (FOREIGN % 0, "libomen 7.8.9 is older than this package: its ABI version is 0, expected 1"),
    (FOREIGN % 2, "libomen 7.8.9 is newer than this package: its ABI version is 2, expected 1"),
    (FOREIGN % 1, "libomen 7.8.9 is older than this package: "),
    ("int other;", "is not libomen: "),
    (None, "is not libomen: "),
])
def test_a_foreign_library_is_refused_by_name(tmp_path, source, words):
    package = tmp_path / "omen"
    shutil.copytree(Path(omen.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    library = package / "libomen.so"
    if source is None:
        library.write_bytes(b"not a library")
    else:
        library.unlink()
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=source.encode(), check=True)
    answer = subprocess.run(
        [sys.executable, "-c", "import omen"],
        capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert answer.returncode == 1
    assert f"ImportError: {library}" in answer.stderr and words in answer.stderr
