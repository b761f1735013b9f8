"""TIFF files of many writers, whole and broken."""

import logging
import os
import tracemalloc
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
import tifffile

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import open_stack
from napari_smlm_diffusion.settings import Roi

FRAMES = np.random.default_rng(0).integers(0, 1000, (12, 20, 24)).astype(np.uint16)


def write_pages(path, **options):
    with tifffile.TiffWriter(path, bigtiff=options.pop("bigtiff", False)) as writer:
        for frame in FRAMES:
            writer.write(frame, contiguous=False, metadata=None, **options)


WRITERS = {
    "contiguous": lambda path: tifffile.imwrite(path, FRAMES),
    "imagej": lambda path: tifffile.imwrite(path, FRAMES, imagej=True),
    "imagej big-endian": lambda path: tifffile.imwrite(path, FRAMES, imagej=True, byteorder=">"),
    "ome": lambda path: tifffile.imwrite(path, FRAMES, ome=True, metadata={"axes": "TYX"}),
    "bigtiff": lambda path: tifffile.imwrite(path, FRAMES, bigtiff=True),
    "big-endian": lambda path: tifffile.imwrite(path, FRAMES, byteorder=">"),
    "tiles": lambda path: tifffile.imwrite(path, FRAMES, tile=(16, 16)),
    "strips": lambda path: tifffile.imwrite(path, FRAMES, rowsperstrip=7, metadata=None),
    "deflate": lambda path: tifffile.imwrite(path, FRAMES, compression="zlib"),
    "pages": write_pages,
    "pages deflate": lambda path: write_pages(path, compression="zlib"),
    "pages bigtiff": lambda path: write_pages(path, bigtiff=True),
}


@pytest.fixture(params=WRITERS, ids=lambda name: name.replace(" ", "-"))
def movie(request, tmp_path):
    path = tmp_path / "movie.tif"
    WRITERS[request.param](path)
    return path


def test_frames_come_back_from_every_kind_of_file(movie):
    with open_stack(movie) as stack:
        assert stack.shape == (12, 20, 24)
        assert stack.dtype == np.uint16
        assert stack.dtype.isnative
        assert stack.source == str(movie)
        np.testing.assert_array_equal(stack.read(0, 12), FRAMES)
        np.testing.assert_array_equal(stack.read(3, 7), FRAMES[3:7])
        assert stack.read(3, 7).dtype.isnative
        assert stack.read(4, 4).shape == (0, 20, 24)
        for roi in (Roi(2, 9, 4, 11), Roi(0, 20, 4, 11), Roi(5, 6, 0, 24)):
            cut = stack.read(3, 7, roi)
            np.testing.assert_array_equal(cut, FRAMES[3:7, roi.y0 : roi.y1, roi.x0 : roi.x1])
            assert cut.base is None or cut.base.nbytes == cut.nbytes  # holds no larger block


def test_a_file_cut_anywhere_is_refused_or_whole(movie, tmp_path, caplog):
    # A cut that only takes what follows the frames (descriptions, padding) may still open.
    whole = movie.read_bytes()
    cut = tmp_path / "cut.tif"
    refused = 0
    for length in np.linspace(0, len(whole) - 1, 25).astype(int):
        cut.write_bytes(whole[:length])
        try:
            stack = open_stack(cut)
        except InputError as error:
            refused += 1
            assert str(cut) in str(error)
            assert "\n" not in str(error)
        else:
            # Refused when it is opened, before any work, or not at all.
            with stack:
                np.testing.assert_array_equal(stack.read(0, len(stack)), FRAMES)
    assert refused >= 20
    assert not caplog.records  # tifffile's own complaints do not reach the user


def test_a_writer_stopped_between_two_frames_is_noticed(tmp_path):
    # Such a file is a sound TIFF: only its header knows how many frames there were to be.
    path = tmp_path / "movie.tif"
    header = "ImageJ=1.54f\nimages=12\nframes=12\n"
    with tifffile.TiffWriter(path) as writer:
        for i, frame in enumerate(FRAMES[:7]):
            text = header if i == 0 else None
            writer.write(frame, contiguous=False, metadata=None, description=text)
    with pytest.raises(InputError, match="truncated"):
        open_stack(path)


def test_frames_spread_over_two_ome_files(tmp_path):
    planes = "".join(
        f'<TiffData FirstT="{t}" IFD="{t % 6}" PlaneCount="1">'
        f'<UUID FileName="part{t // 6}.ome.tif">urn:uuid:{t // 6}</UUID></TiffData>'
        for t in range(12)
    )
    for part in range(2):
        xml = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{part}"><Image ID="Image:0"><Pixels ID="Pixels:0" Type="uint16" '
            'DimensionOrder="XYCZT" SizeX="24" SizeY="20" SizeC="1" SizeZ="1" SizeT="12" '
            f'PhysicalSizeX="0.108"><Channel ID="Channel:0:0"/>{planes}</Pixels></Image></OME>'
        )
        with tifffile.TiffWriter(tmp_path / f"part{part}.ome.tif") as writer:
            for i, frame in enumerate(FRAMES[6 * part : 6 * part + 6]):
                writer.write(
                    frame, contiguous=False, metadata=None, description=xml if i == 0 else None
                )
    with open_stack(tmp_path / "part0.ome.tif") as stack:
        np.testing.assert_array_equal(stack.read(4, 9), FRAMES[4:9])
        assert stack.pixel_size_nm == 108
        both = stack.fingerprint()
    (tmp_path / "part1.ome.tif").unlink()
    with pytest.raises(InputError, match="truncated"):
        open_stack(tmp_path / "part0.ome.tif")
    assert len(both) == 64


@pytest.mark.parametrize("axes", ["TYX", "ZYX", "CYX"])
@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_one_stack_axis_of_any_letter(axes, kind, tmp_path):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, FRAMES, metadata={"axes": axes}, **{kind: True})
    with open_stack(path) as stack:
        np.testing.assert_array_equal(stack.read(0, 12), FRAMES)


@pytest.mark.parametrize(
    ("shape", "axes"), [((1, 12, 1, 20, 24), "TZCYX"), ((12, 1, 1, 20, 24), "TZCYX")]
)
def test_axes_of_length_one_are_dropped(shape, axes, tmp_path):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, FRAMES.reshape(shape), imagej=True, metadata={"axes": axes})
    with open_stack(path) as stack:
        np.testing.assert_array_equal(stack.read(0, 12), FRAMES)


def test_a_single_image_is_one_frame(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", FRAMES[0])
    with open_stack(tmp_path / "image.tif") as stack:
        np.testing.assert_array_equal(stack.read(0, 1), FRAMES[:1])


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "uint32", "int16", "int32", "float32", "float64"]
)
def test_pixel_types_of_cameras(dtype, tmp_path):
    tifffile.imwrite(tmp_path / "movie.tif", FRAMES.astype(dtype), byteorder=">")
    with open_stack(tmp_path / "movie.tif") as stack:
        assert stack.dtype == dtype
        np.testing.assert_array_equal(stack.read(0, 12), FRAMES.astype(dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_frame_with_nan_or_infinity_is_named(value, compression, tmp_path):
    frames = FRAMES.astype(np.float32)
    frames[7, 3, 4] = value
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, frames, compression=compression)
    with open_stack(path) as stack:
        np.testing.assert_array_equal(stack.read(0, 7), frames[:7])
        stack.read(0, 12, Roi(0, 3, 0, 24))  # outside the region it does no harm
        with pytest.raises(InputError, match=r"frame 7 .* holds NaN"):
            stack.read(5, 12)


def bad_files(folder):
    rgb = np.zeros((20, 24, 3), np.uint8)
    tifffile.imwrite(folder / "rgb.tif", rgb, photometric="rgb")
    tifffile.imwrite(folder / "rgb stack.tif", np.stack([rgb] * 3), photometric="rgb")
    tifffile.imwrite(
        folder / "planar.tif", rgb.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"
    )
    two = FRAMES.reshape(3, 4, 20, 24)
    tifffile.imwrite(folder / "two axes.tif", two, imagej=True, metadata={"axes": "TZYX"})
    tifffile.imwrite(folder / "complex.tif", FRAMES.astype(np.complex64))
    tifffile.imwrite(folder / "bool.tif", FRAMES > 500)
    (folder / "empty.tif").write_bytes(b"")
    (folder / "text.tif").write_text("id,frame\n1,1\n")
    (folder / "no pages.tif").write_bytes(b"II*\0\0\0\0\0")
    (folder / "zeros.tif").write_bytes(bytes(1000))
    with tifffile.TiffWriter(folder / "two images.tif") as writer:
        writer.write(FRAMES)
        writer.write(FRAMES[:, :5])
    return {
        "rgb.tif": "colour image",
        "rgb stack.tif": "colour image",
        "planar.tif": "colour image",
        "two axes.tif": r"2 stack axes \(T of 3 and Z of 4\)",
        "complex.tif": "pixels of type complex64",
        "bool.tif": "pixels of type bool",
        "empty.tif": r"is empty \(0 bytes\)",
        "text.tif": "is not a TIFF",
        "no pages.tif": "holds no image",
        "zeros.tif": "is not a TIFF",
        "two images.tif": r"2 separate images .*\(12, 20, 24\), \(12, 5, 24\)",
        "missing.tif": "does not exist",
        ".": "is a folder",
    }


def test_bad_input_gets_one_sentence_that_names_the_file(tmp_path, caplog, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = bad_files(tmp_path)
    for name, message in cases.items():
        with pytest.raises(InputError, match=message) as caught:
            open_stack(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_a_damaged_frame_is_named_when_it_is_read(tmp_path):
    path = tmp_path / "movie.tif"
    write_pages(path, compression="zlib")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[5].dataoffsets[0]
    raw = bytearray(path.read_bytes())
    raw[offset : offset + 40] = bytes(40)
    path.write_bytes(raw)
    with open_stack(path) as stack:
        np.testing.assert_array_equal(stack.read(0, 5), FRAMES[:5])
        with pytest.raises(InputError, match=r"page 5 .* cannot be decoded"):
            stack.read(5, 6)


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="has the codec")
def test_a_missing_codec_is_found_before_work_starts(tmp_path):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, FRAMES[0])
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages[0].tags["Compression"].overwrite(tifffile.COMPRESSION.LZW)
    with pytest.raises(InputError, match="install the package imagecodecs"):
        open_stack(path)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_memory_does_not_grow_with_the_length_of_the_movie(compression, tmp_path):
    peaks = []
    for n_frames in (40, 400):
        path = tmp_path / f"{n_frames}.tif"
        with tifffile.TiffWriter(path) as writer:
            for _ in range(n_frames):
                frame = np.zeros((64, 64), np.uint16)
                writer.write(frame, contiguous=False, metadata=None, compression=compression)
        with open_stack(path) as stack:
            stack.read(0, 20)
            tracemalloc.start()
            for start in range(0, n_frames, 20):
                # Mapped memory would not be seen by tracemalloc.
                assert not isinstance(stack.read(start, start + 20), np.memmap)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, FRAMES)
    with open_stack(path) as stack:
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(InputError, match="became shorter"):
            stack.read(0, 12)


def test_the_logger_of_tifffile_is_left_as_it_was(tmp_path):
    before = list(logging.getLogger("tifffile").filters)
    with pytest.raises(InputError):
        open_stack(tmp_path / "missing.tif")
    (tmp_path / "text.tif").write_text("text")
    with pytest.raises(InputError):
        open_stack(tmp_path / "text.tif")
    assert logging.getLogger("tifffile").filters == before


def test_fingerprint_follows_the_content_and_not_the_name(tmp_path):
    first, copy, other = (tmp_path / f"{name}.tif" for name in ("first", "copy", "other"))
    tifffile.imwrite(first, FRAMES, metadata=None)
    copy.write_bytes(first.read_bytes())
    os.utime(copy, (0, 0))
    changed = FRAMES.copy()
    changed[11, 19, 23] += 1
    tifffile.imwrite(other, changed, metadata=None)
    prints = [open_stack(path).fingerprint() for path in (first, copy, other)]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    ("name", "shape", "pixel_size"),
    [
        ("deep-storm-demo1/ArtificialDataset_demo1.tif", (20, 64, 64), 100),
        ("deep-storm-demo1/testStack_SimulatedMicrotubules.tif", (361, 64, 64), 100),
        ("dna-paint-crop/3C_30px_100frames.tif", (100, 30, 30), None),
        ("locan-tables/images.tif", (5, 128, 128), None),
        ("sdt-python/daostorm_beads_121x421.tif", (1, 121, 421), None),
        ("sdt-python/ij.tif", (2, 8, 8), None),
        ("sdt-python/pMHC_AF647_10frames.tif", (10, 128, 128), None),
        ("vectorial-psf-beads/Example SMLM/example_spots.tiff", (2000, 16, 16), None),
    ],
)
def test_files_of_other_people(name, shape, pixel_size, data_dir):
    with open_stack(data_dir / name) as stack:
        assert stack.shape == shape
        assert stack.pixel_size_nm == pixel_size
        np.testing.assert_array_equal(
            stack.read(0, len(stack)), tifffile.imread(data_dir / name).reshape(shape)
        )


def test_a_stack_of_bead_stacks_is_refused(data_dir):
    with pytest.raises(InputError, match="Q of 3 and Q of 120"):
        open_stack(data_dir / "vectorial-psf-beads/Example abberation fit/psf_zstack.tiff")
