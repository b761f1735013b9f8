"""Work of other processes comes back in order, and ends when nobody wants it."""

import math
from itertools import count
from multiprocessing import active_children
from operator import neg

import pytest

from napari_smlm_diffusion.compute.workers import in_order


# Every process that is started loads torch: no more of them than a claim needs.
def test_fewer_than_are_made_ahead():
    assert list(in_order(neg, [4], workers=1, ahead=3)) == [-4]
    assert list(in_order(neg, [], workers=1, ahead=3)) == []


def test_in_order_and_closed_amid_work_without_end_it_leaves_no_process():
    before = set(active_children())
    results = in_order(neg, count(1), workers=2, ahead=4)
    assert [next(results) for _ in range(9)] == [-n for n in range(1, 10)]
    results.close()
    assert set(active_children()) <= before


def test_what_fails_there_fails_here():
    results = in_order(math.log, [1, 0], workers=1, ahead=2)
    assert next(results) == 0.0
    with pytest.raises(ValueError, match=r"domain|positive"):
        next(results)
