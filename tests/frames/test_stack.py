"""Arrays as stacks."""

import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.settings import Roi

FRAMES = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)


@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 5, 6, 7), (5, 1, 6, 7), (1, 5, 1, 6, 7)])
def test_the_one_long_axis_is_time(shape):
    stack = FrameStack.from_array(FRAMES.reshape(shape), pixel_size_nm=100)
    assert stack.shape == (5, 6, 7)
    assert len(stack) == 5
    np.testing.assert_array_equal(stack.read(1, 4), FRAMES[1:4])
    np.testing.assert_array_equal(stack.read(1, 4, Roi(1, 3, 2, 7)), FRAMES[1:4, 1:3, 2:7])


@pytest.mark.parametrize("shape", [(30, 7), (1, 30, 7), (1, 1, 30, 7)])
def test_a_single_image_is_one_frame(shape):
    stack = FrameStack.from_array(FRAMES.reshape(shape))
    assert stack.shape == (1, 30, 7)
    np.testing.assert_array_equal(stack.read(0, 1), FRAMES.reshape(1, 30, 7))
    assert stack.read(0, 0).shape == (0, 30, 7)


def test_what_is_read_is_the_callers_own():
    array = FRAMES.copy()
    stack = FrameStack.from_array(array)
    stack.read(0, 5)[:] = 0
    np.testing.assert_array_equal(array, FRAMES)


def test_big_endian_and_unsigned_arrays_come_out_native():
    stack = FrameStack.from_array(FRAMES.astype(">u2"))
    assert stack.dtype.isnative
    assert stack.read(0, 2).dtype.isnative
    np.testing.assert_array_equal(stack.read(0, 5), FRAMES)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 4, 5)), r"2 stack axes \(axis 0 of 2 and axis 1 of 3\)"),
        (np.zeros(5), "at least rows and columns"),
        (np.zeros((0, 4, 5)), "is empty"),
        (np.zeros((3, 0, 5)), "is empty"),
        (np.zeros((3, 4, 5), complex), "complex128"),
        (np.zeros((3, 4, 5), bool), "bool"),
        (np.full((3, 4, 5), "a"), "allowed are uint8"),
    ],
)
def test_arrays_that_are_no_movie(array, message):
    with pytest.raises(InputError, match=message):
        FrameStack.from_array(array)


def test_nan_is_found_in_arrays_too():
    frames = FRAMES.astype(float)
    frames[3, 0, 0] = np.nan
    with pytest.raises(InputError, match="frame 3"):
        FrameStack.from_array(frames, source="layer").read(0, 5)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (0, 6), (3, 2)])
def test_ranges_outside_are_a_mistake_of_the_caller(start, stop):
    with pytest.raises(IndexError):
        FrameStack.from_array(FRAMES).read(start, stop)


def test_fingerprint_of_an_array():
    other = FRAMES.copy()
    other[-1, -1, -1] += 1
    prints = [FrameStack.from_array(a).fingerprint() for a in (FRAMES, FRAMES.copy(), other)]
    assert prints[0] == prints[1] != prints[2]
