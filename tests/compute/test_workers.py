"""Work of other processes comes back in order, and ends when nobody wants it."""

import math
from itertools import count
from multiprocessing import active_children
from operator import neg

import pytest

from napari_smlm_diffusion.compute.workers import in_order


def test_results_come_in_order():
    assert list(in_order(neg, range(7), workers=2, ahead=3)) == [-n for n in range(7)]


def test_fewer_than_are_made_ahead():
    assert list(in_order(neg, [4], workers=2, ahead=3)) == [-4]
    assert list(in_order(neg, [], workers=2, ahead=3)) == []


def test_closed_amid_work_without_end_it_leaves_no_process():
    before = set(active_children())
    results = in_order(neg, count(1), workers=2, ahead=4)
    assert [next(results) for _ in range(3)] == [-1, -2, -3]
    results.close()
    assert set(active_children()) <= before


def test_what_fails_there_fails_here():
    results = in_order(math.log, [1, 0], workers=1, ahead=2)
    assert next(results) == 0.0
    with pytest.raises(ValueError, match=r"domain|positive"):
        next(results)
