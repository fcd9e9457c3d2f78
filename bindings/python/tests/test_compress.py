"""compress, compact and verify: progress, and the ways to stop them. A stopped call leaves the store as it was."""
import contextlib
import signal
import threading
import time

import pytest
from tqdm import tqdm

import omen


@contextlib.contextmanager
def unchanged(store, base):
    """Checks that the block leaves the store as it was."""
    yield
    stats = store.stats()
    assert (stats.vectors, stats.raw_vectors, stats.compressed_vectors) == (2000, 2000, 0)
    assert (store.get(range(2000)) == base[:2000]).all()
    assert store.verify().vectors == 2000


def test_progress_tells_how_far_it_is(filled):
    seen = []
    filled.compress(8, quality="fast", progress=lambda done, total: seen.append((done, total)))
    dones = [done for done, _ in seen]
    assert len(seen) > 3 and dones == sorted(dones)
    assert seen[-1][0] == seen[-1][1] and all(done <= total for done, total in seen)


def test_progress_drives_tqdm(filled, tmp_path):
    with open(tmp_path / "bar", "w") as drawn, tqdm(file=drawn) as bar:
        def show(done, total):
            bar.total = total
            return bar.update(done - bar.n)

        filled.compress(8, quality="fast", progress=show)
        assert bar.n == bar.total > 0
    assert "100%" in (tmp_path / "bar").read_text()


@pytest.mark.parametrize("is_due", [
    lambda done, total: True, lambda done, total: 2 * done > total, lambda done, total: done == total,
], ids=["first", "middle", "last"])
def test_what_progress_raises_comes_out(filled, base, is_due):
    def stop(done, total):
        if is_due(done, total):
            raise LookupError(f"at {done} of {total}")

    with unchanged(filled, base):
        with pytest.raises(LookupError, match="at .* of ") as caught:
            filled.compress(8, quality="fast", progress=stop)
        assert caught.traceback[-1].name == "stop"


def test_a_stopped_compress_can_be_repeated(filled):
    with pytest.raises(ZeroDivisionError):
        filled.compress(8, quality="fast", progress=lambda done, total: 1 / 0)
    assert filled.compress(8, quality="fast").vectors == 2000


@pytest.fixture(params=["compress", "compact", "verify"])
def long_call(request, filled):
    """The three calls that take a progress function, on a store in which each has work to do."""
    filled.delete([0])
    return {
        "compress": lambda **options: filled.compress(8, quality="fast", **options),
        "compact": filled.compact,
        "verify": filled.verify,
    }[request.param]


def test_every_long_call_tells_how_far_it_is(long_call):
    seen = []
    long_call(progress=lambda done, total: seen.append((done, total)), threads=1)
    assert seen == sorted(seen) and seen[-1][0] == seen[-1][1] > 0


def test_every_long_call_raises_what_progress_raises(long_call, filled):
    with pytest.raises(ZeroDivisionError):
        long_call(progress=lambda done, total: 1 / 0)
    assert filled.stats().deleted == 1 and filled.stats().compressed_vectors == 0
    long_call()


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt, also where the tests were started with SIGINT ignored, as shells start what runs in
    the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c(done, total):
    """Raises the signal, and waits until Python has handled it, which may be some instructions later."""
    signal.raise_signal(signal.SIGINT)
    while True:
        time.sleep(0)


def test_ctrl_c_in_progress(long_call, filled, interruptible):
    with pytest.raises(KeyboardInterrupt):
        long_call(progress=press_ctrl_c)
    assert filled.stats().deleted == 1 and filled.stats().compressed_vectors == 0


@pytest.mark.parametrize("name", ["compress", "compact"])
def test_ctrl_c_without_progress(filled, name, interruptible):
    """The call waits for a compress that sends the signal before it ends, so the signal is pending at the first step."""
    main = threading.get_ident()
    is_first, is_called = threading.Event(), threading.Event()

    def interrupt_main(done, total):
        is_first.set()
        is_called.wait()
        signal.pthread_kill(main, signal.SIGINT)
        raise ZeroDivisionError

    def compress():
        with pytest.raises(ZeroDivisionError):
            filled.compress(8, quality="fast", progress=interrupt_main)

    filled.delete([0])
    first = threading.Thread(target=compress)
    first.start()
    is_first.wait()
    with pytest.raises(KeyboardInterrupt):
        is_called.set()
        getattr(filled, name)()
    first.join()
    assert filled.stats().deleted == 1 and filled.stats().compressed_vectors == 0


def test_the_store_can_be_read_from_progress(filled, base):
    same = []

    def read(done, total):
        same.append((filled.get([done % 2000]) == base[done % 2000]).all())

    filled.compress(8, quality="fast", progress=read)
    assert all(same[:-1])


def test_close_from_progress_is_refused_and_the_store_stays_open(tmp_path, base):
    store = omen.open(tmp_path / "store", dim=128)
    store.insert(base[:2000])
    with unchanged(store, base), pytest.raises(omen.InvalidArgument):
        store.compress(8, quality="fast", progress=lambda done, total: store.close())
    store.close()
    with pytest.raises(omen.InvalidHandle):
        len(store)
    # No lock is left.
    with omen.open(tmp_path / "store") as again:
        assert len(again) == 2000


def test_too_few(store, base):
    store.insert(base[:3])
    with pytest.raises(omen.TooFewVectors):
        store.compress(16)
    assert (store.get([0, 1, 2]) == base[:3]).all()


def test_the_default_is_bound_by_its_error(filled, base):
    report = filled.compress(quality="fast", max_relative_mse=0.02)
    assert report.limit == "error" and 1 < report.ratio < 16
    assert 0 < report.held_out_relative_mse <= 0.02
    decoded = filled.get(range(2000))
    assert ((decoded - base[:2000]) ** 2).sum() / (base[:2000] ** 2).sum() == pytest.approx(report.relative_mse, rel=1e-3)


@pytest.mark.parametrize("default", [{}, {"ratio": None, "max_relative_mse": None}, {"ratio": 0}, {"ratio": 0.0, "max_relative_mse": 0.1}])
def test_no_ratio_is_the_default(tmp_path, base, default):
    with omen.open(tmp_path / "store", dim=128) as store:
        store.insert(base[:4000])
        report = store.compress(quality="fast", **default)
        # Files take whole blocks.
        assert report.held_out_relative_mse <= 0.1 and report.ratio <= 17


def test_a_ratio_is_honoured_whatever_the_error(filled):
    report = filled.compress(8, quality="fast")
    assert report.limit == "ratio" and 8 <= report.ratio < 8.5


@pytest.mark.parametrize("bad", [float("nan"), -0.1, 1, float("inf")])
def test_an_error_out_of_range(filled, base, bad):
    with unchanged(filled, base), pytest.raises(omen.InvalidArgument, match="max_relative_mse"):
        filled.compress(max_relative_mse=bad)


def test_seed_and_threads_make_the_same_bytes(tmp_path, base):
    made = []
    for name, threads in (("a", 1), ("b", 2)):
        with omen.open(tmp_path / name, dim=128) as store:
            store.insert(base[:2000])
            report = store.compress(8, quality="fast", seed=3, threads=threads)
            made.append((report.relative_mse, store.get(range(2000)).tobytes()))
    assert made[0] == made[1]
