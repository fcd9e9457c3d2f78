"""The machine a benchmark runs on: what it is, how a process is started on it, and where the data lie."""
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
THREADS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'RAYON_NUM_THREADS')
LIBRARY = ROOT / 'target/release/libomen.so'


def machine():
    """The model of the processor, the number of cores, the release of the kernel."""
    with open('/proc/cpuinfo') as file:
        models = [line.split(':', 1)[1].strip() for line in file if line.startswith('model name')]
    return models[0] if models else os.uname().machine, len(models), os.uname().release


def vector_unit():
    """The widest SIMD instruction set that peers use: machines of one model may differ in it."""
    with open('/proc/cpuinfo') as file:
        flags = {flag for line in file if line.startswith('flags') for flag in line.split()}
    return next((name for flag, name in (('avx512f', 'AVX-512'), ('avx2', 'AVX2')) if flag in flags), 'neither AVX')


def shared(*names):
    """The folders of these large data sets that there are."""
    return [folder for folder in (ROOT.parent / 'shared/data' / name for name in names) if folder.exists()]


def data_folders(given):
    """The given folders, else those of OMEN_BENCH_DATA (separated by colons), else the large ones, else that of the tests."""
    if given:
        return given
    if 'OMEN_BENCH_DATA' in os.environ:
        return [pathlib.Path(folder) for folder in os.environ['OMEN_BENCH_DATA'].split(':')]
    return shared('sift100k', 'minilm50k') or [ROOT / 'tests/data/sift10k']


def started(script, *words, core=None, threads=1, **pipes):
    """Starts a Python script, pinned to `core` if one is given. Libraries read the number of threads when they are loaded."""
    pin = ['taskset', '-c', str(core)] if core is not None and shutil.which('taskset') else []
    # PASSIVE: threads that spin while they wait are thirty times as slow on a busy machine.
    environment = {**os.environ, **{name: str(threads) for name in THREADS}, 'OMP_WAIT_POLICY': 'PASSIVE'}
    call = [*pin, sys.executable, *map(str, (script, *words))]
    return subprocess.Popen(call, env=environment, text=True, **pipes)
