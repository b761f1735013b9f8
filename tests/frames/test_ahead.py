"""Frames that another thread reads ahead."""

import threading
import time

import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.frames.ahead import read_ahead
from napari_smlm_diffusion.settings import Roi

FRAMES = np.random.default_rng(0).integers(0, 1000, (40, 6, 8)).astype(np.uint16)
RANGES = [(i, min(i + 3, 40)) for i in range(0, 40, 3)]


class Watched:
    """A stack that keeps count of what is read, and where."""

    def __init__(self, bad=None):
        self.bad, self.read_of, self.threads = bad, [], set()
        self.stack = FrameStack("watched", (40, 6, 8), "u2", self.load, fingerprint=str)

    def load(self, start, stop, roi):
        self.read_of.append(start)
        self.threads.add(threading.current_thread())
        if start == self.bad:
            raise InputError(f"frame {start} is bad")
        return FRAMES[start:stop, roi.y0 : roi.y1, roi.x0 : roi.x1].copy()


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("smlm-read")]


@pytest.mark.parametrize("ahead", [0, 1, 2, 100])
@pytest.mark.parametrize("roi", [None, Roi(1, 5, 2, 8)])
def test_the_same_frames_as_read_in_turn(ahead, roi):
    stack = Watched().stack
    blocks = list(read_ahead(stack, RANGES, roi, ahead))
    assert len(blocks) == len(RANGES)
    for block, (start, stop) in zip(blocks, RANGES, strict=True):
        np.testing.assert_array_equal(block, stack.read(start, stop, roi))
    assert not threads()


def test_reading_goes_on_while_the_work_does():
    watched = Watched()
    blocks = read_ahead(watched.stack, RANGES, None, 2)
    next(blocks)
    deadline = time.monotonic() + 5
    while len(watched.read_of) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert watched.read_of == [0, 3, 6]  # two beside the one that is worked on, and no more
    assert threading.current_thread() not in watched.threads
    next(blocks)
    blocks.close()
    assert len(watched.read_of) <= 4


@pytest.mark.parametrize("ahead", [0, 2])
def test_an_error_comes_where_its_frames_would_have(ahead):
    watched = Watched(bad=9)
    blocks = read_ahead(watched.stack, RANGES, None, ahead)
    for start in (0, 3, 6):
        np.testing.assert_array_equal(next(blocks), FRAMES[start : start + 3])
    with pytest.raises(InputError, match="frame 9 is bad"):
        next(blocks)
    assert not threads()


def test_the_thread_ends_with_the_generator():
    blocks = read_ahead(Watched().stack, RANGES, None)
    next(blocks)
    assert threads()
    blocks.close()
    assert not threads()
    blocks = read_ahead(Watched().stack, RANGES, None)
    next(blocks)
    del blocks  # as a job does that is dropped
    assert not threads()


def test_ranges_are_asked_for_as_they_are_needed():
    asked = []

    def ranges():
        for one in RANGES:
            asked.append(one)
            yield one

    blocks = read_ahead(Watched().stack, ranges(), None, 2)
    assert not asked
    next(blocks)
    assert len(asked) == 3
    blocks.close()
