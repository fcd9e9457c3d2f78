"""Measures the private memory that a compress takes, with the program of docs/choosing.md: medians of 5 processes a size.

Needs the Python package omen: `pip install ./bindings/python`.
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "choosing.md"
SIZES, ROUNDS = [(20_000, 128), (100_000, 128), (400_000, 128), (50_000, 384)], 5
SIZE_OF_THE_PAGE = "N, DIM = 20_000, 128"


def program():
    blocks = [block.split("```")[0] for block in PAGE.read_text().split("```python\n")[1:]]
    (found,) = [block for block in blocks if SIZE_OF_THE_PAGE in block]
    return found


def mebibytes(source):
    with tempfile.TemporaryDirectory() as room:
        run = subprocess.run([sys.executable, "-c", source], cwd=room, check=True, capture_output=True, text=True)
    return int(run.stdout.split()[-2])


def main():
    for vectors, dim in SIZES:
        source = program().replace(SIZE_OF_THE_PAGE, f"N, DIM = {vectors}, {dim}")
        runs = [mebibytes(source) for _ in range(ROUNDS)]
        print(f"{vectors} vectors of {dim} dims: {statistics.median(runs)} MiB ({min(runs)} to {max(runs)})", flush=True)


if __name__ == "__main__":
    main()
