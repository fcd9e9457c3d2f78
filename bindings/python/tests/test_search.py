"""Options of search: which ids may be found, and how far away."""
import numpy as np
import pytest

import omen


@pytest.fixture(params=["raw", "compressed"])
def either(request, filled):
    """2,000 vectors with the ids 0 to 1,999, as floats and as codes."""
    if request.param == "compressed":
        filled.compress(4, quality="fast")
    return filled


def test_only_allowed_ids_are_found(either, queries):
    allowed = np.arange(0, 2000, 7)
    near, _ = either.search(queries, 5, allow_ids=allowed)
    assert np.isin(near, allowed).all()
    for exact in (False, True):
        near, distances = either.search(queries, 5, allow_ids=[], exact=exact)
        assert (near == omen.NO_ID).all() and np.isnan(distances).all()
    near, _ = either.search(queries, 5, allow_ids=[3, 4])
    assert {3, 4, omen.NO_ID} == set(near.ravel().tolist())


def test_denied_ids_are_not_found(either, queries):
    everything, distances = either.search(queries, 20, exact=True)
    for denied in (everything[:, :10].ravel(), set(everything[:, :10].ravel().tolist())):
        near, far = either.search(queries, 10, deny_ids=denied, exact=True)
        for row in range(len(queries)):
            is_left = ~np.isin(everything[row], list(denied))
            wanted = everything[row][is_left][:10]
            assert (near[row, : len(wanted)] == wanted).all()
            assert (far[row, : len(wanted)] == distances[row][is_left][:10]).all()
    for exact in (False, True):
        near, _ = either.search(queries, 5, deny_ids=range(3, 2000), exact=exact)
        assert (np.sort(near) == [0, 1, 2, omen.NO_ID, omen.NO_ID]).all()
        near, _ = either.search(queries, 5, deny_ids=range(2000), exact=exact)
        assert (near == omen.NO_ID).all()


def test_nobody_and_the_unknown_denied_change_nothing(either, queries):
    wanted = either.search(queries, 5)
    for denied in (None, [], set(), np.array([]), [5000, 2**63, 2**64 - 2], 5000):
        near, distances = either.search(queries, 5, deny_ids=denied)
        assert (near == wanted[0]).all() and (distances == wanted[1]).all()


def test_allowed_and_denied(either, queries):
    near, _ = either.search(queries, 3, allow_ids=[3, 4, 5, 5000], deny_ids=[4, 6])
    assert (np.sort(near) == [3, 5, omen.NO_ID]).all()
    near, _ = either.search(queries, 3, allow_ids=[3, 4], deny_ids=[3, 4])
    assert (near == omen.NO_ID).all()
    near, _ = either.search(queries, 3, allow_ids=[], deny_ids=[3])
    assert (near == omen.NO_ID).all()


def test_max_distance(either, queries):
    near, distances = either.search(queries, 10, exact=True)
    limit = float(np.median(distances))
    found, within = either.search(queries, 10, max_distance=limit, exact=True)
    is_within = distances <= limit
    assert 0.2 < is_within.mean() < 0.8
    assert (found == np.where(is_within, near, omen.NO_ID)).all()
    assert (within[is_within] == distances[is_within]).all() and np.isnan(within[~is_within]).all()
    _, within = either.search(queries, 10, max_distance=limit)
    assert np.nanmax(within) <= limit
    near, _ = either.search(queries[0], 10, max_distance=limit, deny_ids=near[0, :1])
    assert near.shape == (10,)
    for unlimited in (None, float("inf"), 1e300):
        assert (either.search(queries, 10, max_distance=unlimited)[0] == either.search(queries, 10)[0]).all()


def test_max_distance_of_stored_vectors(filled, base):
    near, distances = filled.search(base[5], 2, max_distance=0)
    assert near.tolist() == [5, omen.NO_ID] and distances[0] == 0 and np.isnan(distances[1])


def test_max_distance_of_inner_product(tmp_path):
    with omen.open(tmp_path / "store", 2, metric="ip") as store:
        store.insert([[1, 0], [2, 0], [-1, 0]])
        near, distances = store.search([1, 0], 3, max_distance=-1)
        assert near.tolist() == [1, 0, omen.NO_ID] and distances.tolist()[:2] == [-2, -1]


@pytest.mark.parametrize("bad", [float("nan"), -1, float("-inf")])
def test_a_max_distance_that_nothing_is_within(filled, queries, bad):
    with pytest.raises(omen.InvalidArgument, match="max_distance is .*; expected 0 or more"):
        filled.search(queries, 1, max_distance=bad)


@pytest.mark.parametrize("k", [np.int64(3), np.uint8(3), True + 2])
def test_k_is_a_whole_number(filled, queries, k):
    assert filled.search(queries[0], k)[0].shape == (3,)


def test_a_mask_is_no_list_of_ids(filled, queries):
    for name in ("allow_ids", "deny_ids"):
        with pytest.raises(omen.InvalidArgument, match=f"{name}: found a mask of bools"):
            filled.search(queries, 1, **{name: np.zeros(2000, bool)})
        with pytest.raises(omen.InvalidArgument, match=rf"{name}\[1\] is -1, expected 0 or more"):
            filled.search(queries, 1, **{name: [0, -1]})
