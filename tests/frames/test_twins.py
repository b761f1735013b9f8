"""A file for each frame: opened by looking at what differs, as if each had been parsed."""

import numpy as np
import pytest
import tifffile

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import open_movie
from napari_smlm_diffusion.frames.twins import _only_page

FRAMES = np.random.default_rng(3).integers(0, 60000, (8, 6, 7)).astype(np.uint16)


def write(folder, frames=FRAMES, **options):
    for i, frame in enumerate(frames):
        tifffile.imwrite(folder / f"f{i}.tif", frame, **options)


@pytest.fixture
def parsed(monkeypatch):
    """Files that tifffile has parsed."""
    names = []
    init = tifffile.TiffFile.__init__

    def counting(self, file, *rest, **options):
        names.append(str(file))
        init(self, file, *rest, **options)

    monkeypatch.setattr(tifffile.TiffFile, "__init__", counting)
    return names


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<f4"])
@pytest.mark.parametrize("big", [False, True])
def test_only_the_first_is_parsed(dtype, big, tmp_path, parsed):
    frames = FRAMES.astype(dtype)
    order = ">" if dtype.startswith(">") else "<"
    write(tmp_path, frames, byteorder=order, bigtiff=big, metadata=None)
    with open_movie(tmp_path) as stack:
        np.testing.assert_array_equal(stack.read(0, 8), frames)
        np.testing.assert_array_equal(stack.read(7, 8), frames[7:])
    assert set(parsed) == {str(tmp_path / "f0.tif")}


@pytest.mark.parametrize(
    "options", [{"compression": "zlib"}, {"rowsperstrip": 2}, {"tile": (16, 16)}]
)
def test_others_are_parsed_each(options, tmp_path, parsed):
    write(tmp_path, **options)
    with open_movie(tmp_path) as stack:
        np.testing.assert_array_equal(stack.read(0, 8), FRAMES)
    assert len(set(parsed[-20:])) == 8


def test_one_that_differs_is_seen(tmp_path):
    write(tmp_path, metadata=None)
    tifffile.imwrite(tmp_path / "f5.tif", FRAMES[5].reshape(7, 6), metadata=None)
    assert len({f.stat().st_size for f in tmp_path.iterdir()}) == 1
    with pytest.raises(InputError, match=r"f5\.tif has frames of \(7, 6\)"):
        open_movie(tmp_path)


def test_one_that_is_damaged_is_seen(tmp_path):
    write(tmp_path, metadata=None)
    whole = (tmp_path / "f5.tif").read_bytes()
    (tmp_path / "f5.tif").write_bytes(whole[:-3] + b"abc")  # pixels alone
    with open_movie(tmp_path) as stack:
        assert (stack.read(5, 6) != FRAMES[5]).any()
    (tmp_path / "f5.tif").write_bytes(bytes(len(whole)))
    with pytest.raises(InputError, match=r"f5\.tif"):
        open_movie(tmp_path)


def test_a_file_of_two_pages_is_no_twin(tmp_path):
    tifffile.imwrite(tmp_path / "two.tif", FRAMES[:2], metadata=None)
    assert _only_page(tmp_path / "two.tif") is None
    assert _only_page(tmp_path / "none.tif") is None
