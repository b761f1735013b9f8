"""Frames that are indexed like an array, and movies in several files."""

import numpy as np
import pytest
import tifffile

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack, LazyFrames, open_series

FRAMES = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)


class Watched:
    """An array that counts how many frames were read from it."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.frames = array, array.shape, array.dtype, 0

    def __getitem__(self, key):
        block = self.array[key]
        self.frames += len(block)
        return block


@pytest.mark.parametrize(
    "key",
    [
        2,
        -1,
        np.int64(3),
        slice(None),
        slice(1, 4),
        slice(None, None, -2),
        slice(4, 0, -3),
        slice(3, 3),
        slice(9, 20),
        Ellipsis,
        (0,),
        (..., 3),
        (1, ...),
        (1, slice(2, 5), slice(None, None, 3)),
        (slice(None), 2, slice(1, 6, 2)),
        (slice(1, 3), slice(None), -7),
        (1, 2, 3),
        [0, 4, 4, -2],
        np.array([True, False, True, False, False]),
        ([0, 2], slice(None), [1, 3]),
        [],
    ],
)
def test_indexing_is_numpys(key):
    lazy = LazyFrames(FrameStack.from_array(FRAMES))
    got = lazy[key]
    np.testing.assert_array_equal(got, FRAMES[key])
    assert got.dtype == FRAMES.dtype


@pytest.mark.parametrize("key", [5, -6, (0, 6), [0, 7], (0, 0, 0, 0), (..., ...), None, [0.5], "a"])
def test_what_numpy_refuses_is_refused(key):
    with pytest.raises(IndexError):
        LazyFrames(FrameStack.from_array(FRAMES))[key]


def test_only_what_is_looked_at_is_read():
    watched = Watched(FRAMES)
    lazy = LazyFrames(FrameStack.from_array(watched))
    assert (lazy.shape, lazy.ndim, lazy.size, lazy.nbytes) == ((5, 6, 7), 3, 210, 420)
    assert watched.frames == 0
    lazy[3]
    assert watched.frames == 1
    np.testing.assert_array_equal(np.asarray(lazy), FRAMES)
    assert np.asarray(lazy, dtype=np.float32).dtype == np.float32


def write_series(folder, lengths, **options):
    """Files of so many frames, named so that text order is not number order."""
    start = 0
    for i, n in enumerate(lengths, 8):
        tifffile.imwrite(folder / f"img_{i}.tif", FRAMES[start : start + n], **options)
        start += n
    return sorted(folder.iterdir())  # img_10 before img_8


@pytest.mark.parametrize("lengths", [(1, 1, 1, 1, 1), (2, 1, 2), (5,)])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_files_become_one_movie_in_the_order_of_their_numbers(lengths, options, tmp_path):
    files = write_series(tmp_path, lengths, photometric="minisblack", **options)
    with open_series(files) as stack:
        assert stack.shape == FRAMES.shape
        np.testing.assert_array_equal(stack.read(0, 5), FRAMES)
        np.testing.assert_array_equal(LazyFrames(stack)[1:4, 2:4], FRAMES[1:4, 2:4])
        assert stack.read(3, 3).shape == (0, 6, 7)
        assert len(stack.fingerprint()) == 64


def test_more_files_than_may_be_open(tmp_path):
    for i in range(30):
        tifffile.imwrite(tmp_path / f"{i}.tif", FRAMES[i % 5], compression="zlib")
    with open_series(list(tmp_path.iterdir())) as stack:
        np.testing.assert_array_equal(stack.read(0, 30), FRAMES[np.arange(30) % 5])


def test_files_that_do_not_belong_together(tmp_path):
    tifffile.imwrite(tmp_path / "a1.tif", FRAMES)
    tifffile.imwrite(tmp_path / "a2.tif", FRAMES[:, :3])
    with pytest.raises(InputError, match=r"a2\.tif has frames of \(3, 7\).*one movie has one size"):
        open_series([tmp_path / "a1.tif", tmp_path / "a2.tif"])
    with pytest.raises(InputError, match="at least one"):
        open_series([])
    (tmp_path / "a3.tif").write_bytes(b"II*\0")
    with pytest.raises(InputError, match=r"a3\.tif"):
        open_series([tmp_path / "a1.tif", tmp_path / "a3.tif"])
