"""Compares `omen import` of a large .fvecs file with `cp` and a sync of the same file: medians, their ratio, peak memory.

The two take turns in one run. The file is in the page cache. The first argument is the directory to work in, by default
that of temporary files. Exits with 1 if the import reaches less than 0.6 of the rate of the copy, or if the process takes
more than 128 MB of memory.
"""

import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

OMEN = os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "release", "omen")
VECTORS, DIM, ROUNDS = 1_000_000, 128, 5
BAR_RATIO, BAR_MB = 0.6, 128


def write_vectors(path):
    """Writes rows of random floats from 0 to 2 as .fvecs, from a pool that repeats."""
    draw = random.Random(0)
    pool = [struct.pack("<i128f", DIM, *(draw.random() * 2 for _ in range(DIM))) for _ in range(10_000)]
    block = b"".join(pool)
    with open(path, "wb") as file:
        for _ in range(VECTORS // len(pool)):
            file.write(block)
        os.fsync(file.fileno())


def copy(source, target):
    begin = time.perf_counter()
    subprocess.run(["cp", source, target], check=True)
    with open(target, "rb") as file:
        os.fsync(file.fileno())
    seconds = time.perf_counter() - begin
    os.remove(target)
    return seconds


def import_(source, target):
    """Seconds, and the peak of resident memory in MB as the kernel counts it."""
    begin = time.perf_counter()
    process = subprocess.Popen([OMEN, "import", target, source], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    if status != 0:
        sys.exit(f"omen import ended with status {status}")
    shutil.rmtree(target)
    return seconds, usage.ru_maxrss / 1000


def main():
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=parent) as home:
        source = os.path.join(home, "vectors.fvecs")
        write_vectors(source)
        megabytes = os.path.getsize(source) / 1e6
        copies, imports, peaks = [], [], []
        for _ in range(ROUNDS):
            copies.append(copy(source, os.path.join(home, "copy")))
            seconds, peak = import_(source, os.path.join(home, "store"))
            imports.append(seconds)
            peaks.append(peak)
    copied, imported = statistics.median(copies), statistics.median(imports)
    ratio, peak = copied / imported, max(peaks)
    print(f"cp + fsync    {megabytes / copied:8.0f} MB/s  {[round(s, 2) for s in copies]} s")
    print(f"omen import   {megabytes / imported:8.0f} MB/s  {[round(s, 2) for s in imports]} s")
    print(f"ratio         {ratio:8.2f}       at least {BAR_RATIO}")
    print(f"peak memory   {peak:8.0f} MB    at most {BAR_MB}")
    sys.exit(0 if ratio >= BAR_RATIO and peak <= BAR_MB else 1)


if __name__ == "__main__":
    main()
