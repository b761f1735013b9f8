"""Every kind of movie comes back as it was written, without all of it being read."""

import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import RawLayout, open_movie
from napari_smlm_diffusion.settings import Roi

from .kinds import KINDS, RAWS, ZARRS, dax, frames_of, npy, picasso, zarr_array


@pytest.mark.parametrize("kind", KINDS)
def test_frames_come_back_from_every_kind_of_movie(kind, tmp_path):
    frames = frames_of()
    path = KINDS[kind](tmp_path, frames)
    with open_movie(path) as stack:
        assert stack.shape == frames.shape
        assert stack.dtype == frames.dtype
        for start, stop in ((0, 7), (3, 6), (6, 7), (2, 2)):
            read = stack.read(start, stop)
            np.testing.assert_array_equal(read, frames[start:stop])
            assert read.dtype.isnative
        cut = stack.read(2, 6, Roi(3, 11, 1, 9))
        np.testing.assert_array_equal(cut, frames[2:6, 3:11, 1:9])
        cut[:] = 0  # owned by who asked
        np.testing.assert_array_equal(stack.read(0, 7), frames)
        before = stack.fingerprint()
    with open_movie(path) as again:
        assert again.fingerprint() == before


@pytest.mark.parametrize("kind", ["ome in two files", "ndtiff", "ome-zarr 0.4", "ome-zarr 0.5"])
def test_pixel_size_from_the_metadata(kind, tmp_path):
    with open_movie(KINDS[kind](tmp_path, frames_of())) as stack:
        assert stack.pixel_size_nm == 108
        assert stack.exposure_ms == (None if "zarr" in kind else 30)


def test_pixel_size_and_exposure_of_picasso(tmp_path):
    with open_movie(picasso(tmp_path, frames_of())) as stack:
        assert (stack.pixel_size_nm, stack.exposure_ms) == (108, 100)


@pytest.mark.parametrize("kind", ["czi", "nd2"])
def test_pixel_size_of_zeiss_and_nikon(kind, tmp_path):
    with open_movie(KINDS[kind](tmp_path, frames_of())) as stack:
        assert stack.pixel_size_nm == 108


@pytest.mark.parametrize("dtype", ["uint8", "<u2", ">u2", "<i4", ">f4", "<f8"])
@pytest.mark.parametrize("write", [picasso, npy, zarr_array(chunks=(2, 6, 6), zarr_format=2)])
def test_types_and_byte_orders(write, dtype, tmp_path):
    frames = frames_of(dtype)
    with open_movie(write(tmp_path, frames)) as stack:
        assert stack.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(stack.read(0, 7), frames)


@pytest.mark.parametrize("dtype", ["uint8", "<u2", ">u2"])
def test_byte_orders_of_dax(dtype, tmp_path):
    frames = frames_of(dtype)
    with open_movie(dax(tmp_path, frames)) as stack:
        np.testing.assert_array_equal(stack.read(0, 7), frames)


@pytest.mark.parametrize("dtype", ["uint16", "<u2", ">u2", "float32"])
def test_a_raw_movie_with_a_given_layout(dtype, tmp_path):
    frames = frames_of(np.dtype(dtype))
    path = tmp_path / "movie.bin"
    path.write_bytes(b"header" + frames.tobytes())
    with open_movie(path, RawLayout(frames.shape, dtype, 6)) as stack:
        np.testing.assert_array_equal(stack.read(0, 7), frames)


def test_a_given_layout_comes_before_the_sidecars(tmp_path):
    frames = frames_of(">u2")
    path = picasso(tmp_path, frames)
    sidecar = path.with_suffix(".yaml")
    sidecar.write_text(sidecar.read_text().replace(">", "<"))
    with open_movie(path, RawLayout(dtype=">u2")) as stack:
        np.testing.assert_array_equal(stack.read(0, 7), frames)
        assert stack.pixel_size_nm == 108


def test_what_a_raw_movie_lacks_is_said(tmp_path):
    path = tmp_path / "movie.raw"
    path.write_bytes(frames_of().tobytes())
    with pytest.raises(
        InputError, match=r"^raw_shape, .*no movie.yaml or movie_metadata.txt .* give its shape"
    ):
        open_movie(path)
    with pytest.raises(InputError, match="it holds 6 such frames and 96 bytes"):
        open_movie(path, RawLayout((7, 12, 11), "uint16"))
    with pytest.raises(InputError, match=r"^raw_dtype: .* give its type '<u2'"):
        open_movie(path, RawLayout((7, 12, 10)))
    with pytest.raises(InputError, match="no type of pixels"):
        RawLayout(dtype="u3")
    with pytest.raises(InputError, match="pixels of type object"):
        RawLayout(dtype="O")
    with pytest.raises(InputError, match="is empty"):
        RawLayout((0, 3, 4))
    with pytest.raises(InputError, match="is a TIFF file, which says its own layout"):
        open_movie(KINDS["tiff"](tmp_path, frames_of()), RawLayout((7, 12, 10), "u2"))


def test_several_files_of_any_kind_are_one_movie(tmp_path):
    frames = frames_of(shape=(9, 12, 10))
    paths = []
    for i in (10, 9, 11):
        folder = tmp_path / f"{i}"
        folder.mkdir()
        paths.append(npy(folder, frames[3 * (i - 9) : 3 * (i - 8)]))
    with open_movie(paths) as stack:
        np.testing.assert_array_equal(stack.read(0, 9), frames)


def test_a_folder_of_two_positions_is_refused(tmp_path):
    for name in ("a_MMStack_Pos0.ome.tif", "a_MMStack_Pos1.ome.tif"):
        KINDS["tiff"](tmp_path, frames_of()).rename(tmp_path / name)
    with pytest.raises(InputError, match=r"2 movies of Micro-Manager .*Pos0, a_MMStack_Pos1"):
        open_movie(tmp_path)


def test_what_is_no_movie_is_said(tmp_path):
    with pytest.raises(InputError, match="holds no movie: neither TIFF"):
        open_movie(tmp_path)
    (tmp_path / "text.doc").write_text("text")
    with pytest.raises(InputError, match="no movie of a known kind; these are TIFF"):
        open_movie(tmp_path / "text.doc")
    with pytest.raises(InputError, match="does not exist"):
        open_movie(tmp_path / "missing.tif")
    (tmp_path / "empty.nd2").touch()
    with pytest.raises(InputError, match="is empty"):
        open_movie(tmp_path / "empty.nd2")
    with pytest.raises(InputError, match="at least one"):
        open_movie([])


def test_a_missing_reader_is_named(tmp_path, monkeypatch):
    def absent(name, *rest, **options):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("napari_smlm_diffusion.guards.packages.import_module", absent)
    (tmp_path / "movie.czi").write_bytes(b"ZISRAWFILE" + bytes(100))
    (tmp_path / "movie.nd2").write_bytes(b"\xda\xce\xbe\x0a" + bytes(100))
    for name in ("czi", "nd2"):
        with pytest.raises(InputError, match=rf"pip install 'napari-smlm-diffusion\[{name}\]'"):
            open_movie(tmp_path / f"movie.{name}")


@pytest.mark.parametrize("kind", [*RAWS, "tiff", "pages", "ndtiff"])
def test_a_frame_of_a_long_movie_is_read_alone(kind, tmp_path, monkeypatch):
    frames = frames_of(shape=(400, 24, 20))
    path = KINDS[kind](tmp_path, frames)
    with open_movie(path) as stack:
        asked = []
        fromfile = np.fromfile

        def counting(file, dtype, count, offset):
            asked.append(count * np.dtype(dtype).itemsize)
            return fromfile(file, dtype, count=count, offset=offset)

        monkeypatch.setattr(np, "fromfile", counting)
        stack.read(399, 400)
        stack.read(0, 1)
    assert asked == [2 * 24 * 20] * 2


@pytest.mark.parametrize("kind", ZARRS)
def test_only_the_chunks_of_a_frame_are_read(kind, tmp_path, monkeypatch):
    from zarr.storage import LocalStore

    read = []
    get = LocalStore.get

    async def counting(self, key, *rest, **options):
        value = await get(self, key, *rest, **options)
        read.append(0 if value is None else len(value))
        return value

    path = KINDS[kind](tmp_path, frames_of(shape=(100, 12, 10)))
    monkeypatch.setattr(LocalStore, "get", counting)
    with open_movie(path) as stack:
        opening = sum(read)
        stack.read(0, 1)
    total = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    assert opening < 4000
    assert 0 < sum(read) - opening < total / 20


@pytest.mark.parametrize(
    ("name", "shape", "layout"),
    [
        ("picasso/testdata.raw", (100, 32, 32), None),
        ("picasso/testdata_1000frames.raw", (1000, 32, 32), None),
        ("storm-analysis/test.dax", (10, 256, 256), None),
        ("storm-analysis/test_300x200.dax", (10, 200, 300), None),
        ("storm-analysis/test_low_snr.dax", (2, 300, 400), None),
        ("storm-analysis/calib.npy", (3, 256, 256), None),
        ("dna-paint-crop/3C_30px_MMStack_Pos0.ome.raw", (100, 30, 30), RawLayout(dtype=">u2")),
    ],
)
def test_movies_of_other_people(name, shape, layout, data_dir):
    with open_movie(data_dir / name, layout) as stack:
        assert stack.shape == shape
        frames = stack.read(0, min(len(stack), 20)).astype(np.float64)
    # The right width and byte order: neighbours are alike, along rows as along columns.
    along = [np.corrcoef(frames[:, 1:].ravel(), frames[:, :-1].ravel())[0, 1]]
    along += [np.corrcoef(frames[..., 1:].ravel(), frames[..., :-1].ravel())[0, 1]]
    assert min(along) > 0.1 and abs(along[0] - along[1]) < 0.05


def test_the_byte_order_that_micro_manager_does_not_say(data_dir):
    raw = data_dir / "dna-paint-crop" / "3C_30px_MMStack_Pos0.ome.raw"
    with pytest.raises(InputError, match=r"_metadata.txt, which lies beside it, does not say it"):
        open_movie(raw)
    with (
        open_movie(raw, RawLayout(dtype=">u2")) as stack,
        open_movie(data_dir / "dna-paint-crop" / "3C_30px_100frames.tif") as same,
    ):
        np.testing.assert_array_equal(stack.read(0, 100), same.read(0, 100))
        assert stack.exposure_ms == 1000
        assert stack.pixel_size_nm is None
