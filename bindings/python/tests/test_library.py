"""The package and its library: the package has everything of the header, and refuses a foreign library by name."""
import dataclasses
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
from omen._native import ffi

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


def members(struct):
    return {name for name, _ in ffi.typeof(f"struct {struct}").fields} - {"struct_size", "reserved"}


@pytest.mark.parametrize("report, struct", [
    (omen.Stats, "omen_store_stats"), (omen.CompressReport, "omen_compress_report"),
    (omen.VerifyReport, "omen_verify_report"),
])
def test_every_member_of_a_report_is_read(report, struct):
    assert {field.name for field in dataclasses.fields(report)} == members(struct)


@pytest.mark.parametrize("call, struct, counts", [
    (omen.open, "omen_store_options", set()), (omen.Store.search, "omen_search_options", {"allow_n", "deny_n"}),
    (omen.Store.compress, "omen_compress_options", {"user"}), (omen.Store.compact, "omen_work_options", {"user"}),
    (omen.Store.verify, "omen_work_options", {"user"}),
])
def test_every_member_of_options_can_be_passed(call, struct, counts):
    assert members(struct) - counts <= set(inspect.signature(call).parameters)


def test_every_method_is_documented_and_typed():
    for name, method in inspect.getmembers(_store.Store, inspect.isfunction):
        if not name.startswith("_"):
            assert method.__doc__ and "return" in method.__annotations__, name
    assert Path(omen.__file__).with_name("py.typed").exists()


def test_the_library_is_small_and_of_this_version():
    assert _library.PATH.stat().st_size <= 2_250_000
    assert re.fullmatch(r"\d+\.\d+\.\d+", omen.__version__)


CALLS = """
from pathlib import Path
from typing import Literal, assert_type

import numpy as np
import numpy.typing as npt

import omen

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

def right(store: omen.Store, rows: npt.NDArray[np.float64], ids: npt.NDArray[np.int64], listed: list[int]) -> None:
    assert_type(store.contains(7), bool)
    assert_type(store.contains(np.uint64(7)), bool)
    assert_type(store.contains(ids), Flags)
    assert_type(store.contains(id for id in listed), Flags)
    assert_type(store.get(7), Floats)
    assert_type(store.get({7: 1}.keys()), Floats)
    assert_type(store.insert(rows), Ids)
    assert_type(store.insert(rows.tolist(), listed), Ids)
    store.insert([rows[0], rows[1]], range(2))
    store.insert([[1, 2.5] for _ in listed], ids)
    store.insert((row for row in rows), np.uint8(7))
    store.upsert([1, 2.5], 7)
    assert_type(store.delete(7) + store.delete({7, 8}), int)
    assert_type(store.search(rows[0], np.int8(3), allow_ids=None, deny_ids={7}, max_distance=2), tuple[Ids, Floats])
    assert_type(store.path, Path)
    assert_type(store.metric, Literal["l2", "inner_product", "cosine"])
    store.compress(None), store.compress(0)
    assert_type(store.compress(max_relative_mse=0.2).limit, Literal["ratio", "error"])

def wrong(store: omen.Store) -> None:
    store.get("7")  # type: ignore[arg-type]
    store.get(7.5)  # type: ignore[arg-type]
    store.get(None)  # type: ignore[arg-type]
    store.contains(["7"])  # type: ignore[list-item]
    store.insert({1: 2}, [2.5])  # type: ignore[list-item]
    store.search([1, 2], 2.5)  # type: ignore[arg-type]
    store.path = Path()  # type: ignore[misc]
    "7" in store  # type: ignore[operator]
"""


def test_a_type_checker_knows_what_is_passed_and_returned(tmp_path):
    (tmp_path / "calls.py").write_text(CALLS)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", tmp_path / "calls.py"]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout


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
