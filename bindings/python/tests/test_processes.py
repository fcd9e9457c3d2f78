"""The store under Python's threads, forks, pickles and signals."""
import copy
import os
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import omen


def test_writers_and_readers_in_threads(store, base):
    def write(part):
        return store.insert(base[part * 500 : (part + 1) * 500])

    def read(_):
        count = len(store)
        assert count % 500 == 0  # whole calls only
        ids = np.arange(count)
        assert len(store.get(ids)) == count

    with ThreadPoolExecutor(8) as pool:
        written = [pool.submit(write, part) for part in range(20)]
        for done in [pool.submit(read, turn) for turn in range(40)]:
            done.result()
        for part, done in enumerate(written):
            assert (store.get(done.result()) == base[part * 500 : (part + 1) * 500]).all()
    assert len(store) == 10000


def test_errors_of_threads_are_their_own(filled):
    def miss(id):
        for _ in range(200):
            with pytest.raises(omen.NotFound, match=f"id {id} "):
                filled.get([id])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(miss, range(10_000, 10_004)))


@pytest.fixture
def no_thread_switches():
    """Stops the interpreter from switching threads: another thread runs only when a call releases the GIL."""
    former = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(former)


def test_other_threads_run_during_a_call(filled, no_thread_switches):
    """A compact waits for a compress, which waits for this thread. If the compact kept the GIL, this would deadlock."""
    is_first, is_queued, may_end = threading.Event(), threading.Event(), threading.Event()

    def hold(done, total):
        is_first.set()
        may_end.wait()

    def compact():
        is_queued.set()
        filled.compact()

    first = threading.Thread(target=lambda: filled.compress(8, quality="fast", progress=hold))
    first.start()
    is_first.wait()
    queued = threading.Thread(target=compact)
    queued.start()
    # `compact` keeps the interpreter's lock from `set` on: when this thread has it, the call of the library gave it up.
    is_queued.wait()
    assert queued.is_alive() and not may_end.is_set()
    may_end.set()
    first.join()
    queued.join()
    assert filled.stats().compressed_vectors == 2000


def in_child(work):
    """Runs `work` in a forked child; returns its result as text."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = work()
        except BaseException as error:
            said = repr(error)
        os.write(writer, str(said).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return said


def test_a_fork_reads_but_does_not_write(filled, base):
    def work():
        assert (filled.get([5]) == base[5]).all()
        with pytest.raises(omen.Locked, match="fork"):
            filled.commit()
        with pytest.raises(omen.Poisoned, match="fork"):
            filled.insert(base[:1])
        with pytest.raises(omen.Poisoned, match="fork"):
            filled.close()
        return "as it should"

    assert in_child(work) == "as it should"
    filled.insert(base[2000:2001])
    filled.commit()
    assert len(filled) == 2001


def test_a_fork_may_open_for_itself(tmp_path, filled, base):
    filled.commit()

    def work():
        with omen.open(tmp_path / "store", mode="read_only") as own:
            return len(own)

    assert in_child(work) == "2000"


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_store_is_not_pickled(filled, take):
    with pytest.raises(TypeError, match="cannot be pickled or copied: open its path"):
        take(filled)


def test_errors_are_pickled(filled):
    with pytest.raises(omen.NotFound) as caught:
        filled.get([9999])
    back = pickle.loads(pickle.dumps(caught.value))
    assert (type(back), back.status, str(back)) == (omen.NotFound, 7, str(caught.value))
    assert "OMEN_NOT_FOUND: id 9999" in str(back)
