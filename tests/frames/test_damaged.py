"""Hostile movies: what they promise is refused before it costs memory, time or more."""

import json
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import RawLayout, open_movie
from napari_smlm_diffusion.guards.zarr_arrays import CODECS

from .kinds import KINDS, dax, frames_of, picasso, tiff_pages, zarr_array

DAMAGE = Path(__file__).with_name("damage.py")
MEGABYTE = 2**20


@pytest.fixture(autouse=True)
def little_memory():
    """No refusal takes more than a few megabytes."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * MEGABYTE


def damaged(*options):
    # Beyond the limit of each case, for a loop that no signal gets into.
    done = subprocess.run(
        [sys.executable, DAMAGE, *options], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_random_damage_is_refused_in_a_sentence_or_does_no_harm():
    found = damaged("--cases", "150")
    assert not found["faults"]
    assert found["refused"] > 60 and found["opened"] > 5


@pytest.mark.slow
def test_much_random_damage():
    assert not damaged("--cases", "4000", "--seed", "7")["faults"]


def test_the_watch_sees_what_it_watches_for(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(DAMAGE.parent)
    import damage

    for error, said in ((ValueError("x"), "ValueError: x"), (MemoryError(), "MemoryError")):

        def look(path, error=error):
            raise error

        monkeypatch.setattr(damage, "look", look)
        assert said in damage.fault(tmp_path)

    def hidden(path):
        try:
            raise MemoryError
        except MemoryError as cause:
            raise InputError("damaged") from cause

    monkeypatch.setattr(damage, "look", hidden)
    assert "out of memory" in damage.fault(tmp_path)

    def endless(path):
        while True:
            pass

    monkeypatch.setattr(damage, "SECONDS", 1)
    monkeypatch.setattr(damage, "look", endless)
    assert "took more than" in damage.fault(tmp_path)


# TIFF


def overwritten(path, tag, value, page=0):
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages[page].tags[tag].overwrite(value)
    return path


@pytest.mark.parametrize("kind", ["tiff", "pages", "deflate", "tiles"])
@pytest.mark.parametrize("tag", ["ImageWidth", "ImageLength"])
def test_absurd_sizes_of_a_tiff(kind, tag, tmp_path):
    path = overwritten(KINDS[kind](tmp_path, frames_of()), tag, 2**31 - 1)
    with pytest.raises(InputError):
        open_movie(path)


def test_pages_in_a_circle(tmp_path):
    # tifffile looks for circles among the first hundred pages only.
    path = tiff_pages(tmp_path, frames_of(shape=(150, 4, 4)))
    with tifffile.TiffFile(path) as tif:
        second, last = tif.pages[1].offset, tif.pages[-1]
        pointer = last.offset + 2 + 12 * len(last.tags)
    raw = bytearray(path.read_bytes())
    raw[pointer : pointer + 4] = struct.pack("<I", second)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="runs in a circle after 150"):
        open_movie(path)


@pytest.mark.parametrize(
    "header",
    [
        "ImageJ=1.54f\nimages=1000000000000\nslices=1000000000000\n",
        '{"shape": [10000000000, 12, 10]}',
    ],
)
def test_a_header_that_promises_a_billion_frames(header, tmp_path):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, frames_of()[0], description=header, metadata=None)
    with pytest.raises(InputError, match="truncated"):
        open_movie(path)


def ome(path, inside, before="", sizes='SizeX="10" SizeY="12" SizeC="1" SizeZ="1" SizeT="7"'):
    text = (
        f'<?xml version="1.0"?>{before}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" Type="uint16" DimensionOrder="XYCZT" {sizes}>'
        f"{inside}</Pixels></Image></OME>"
    )
    with tifffile.TiffWriter(path) as writer:
        for i, frame in enumerate(frames_of()):
            said = text if i == 0 else None
            writer.write(frame, contiguous=False, metadata=None, description=said)
    return path


LAUGHS = "".join(
    f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(9)
)  # a billion of them, if they were expanded


@pytest.mark.parametrize(
    "dtd",
    [
        f'<!DOCTYPE x [<!ENTITY a0 "ha">{LAUGHS}]>',
        '<!DOCTYPE x [<!ENTITY a9 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/evil.dtd">',
    ],
)
def test_entities_in_the_xml_of_a_tiff(dtd, tmp_path):
    path = ome(tmp_path / "movie.ome.tif", '<Channel Name="&a9;"/><TiffData/>', dtd)
    with pytest.raises(InputError, match="XML entities"):
        open_movie(path)


@pytest.mark.parametrize("name", ["/dev/zero", "../secret.tif", "..\\secret.tif", "a/b.tif"])
def test_files_that_an_ome_tiff_names_lie_beside_it(name, tmp_path):
    inside = (
        f'<TiffData IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:1</UUID></TiffData>'
    )
    with pytest.raises(InputError, match="does not lie beside it"):
        open_movie(ome(tmp_path / "movie.ome.tif", inside))


def test_planes_that_an_ome_tiff_promises(tmp_path):
    path = ome(tmp_path / "movie.ome.tif", '<TiffData IFD="0" PlaneCount="99999999999"/>')
    with pytest.raises(InputError, match="promises 99999999999 planes"):
        open_movie(path)
    sizes = 'SizeX="10" SizeY="12" SizeC="1" SizeZ="1000000" SizeT="1000000"'
    with pytest.raises(InputError, match="promises 1000000"):
        open_movie(ome(tmp_path / "movie.ome.tif", "<TiffData/>", sizes=sizes))


def test_a_strip_that_unpacks_to_half_a_gigabyte(tmp_path):
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    piece = packer.compress(bytes(2**22)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = b"\x78\xda" + 128 * piece
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, frames_of()[0], compression="zlib", metadata=None)
    raw = path.read_bytes()
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages[0].tags["StripOffsets"].overwrite(len(raw))
        tif.pages[0].tags["StripByteCounts"].overwrite(len(packed))
    with path.open("ab") as file:
        file.write(packed)
    with pytest.raises(InputError, match=r"unpacks to more than its 240 bytes|cannot be decoded"):
        open_movie(path)


# Raw binaries and their sidecars


@pytest.mark.parametrize("write", [picasso, dax])
@pytest.mark.parametrize("frames", ["8", "1000000000000", "-1", "0", "1e9", "many"])
def test_a_sidecar_that_promises_other_frames(write, frames, tmp_path):
    path = write(tmp_path, frames_of())
    (sidecar,) = (file for file in tmp_path.iterdir() if file != path)
    text = sidecar.read_text().replace("Frames: 7", f"Frames: {frames}")
    sidecar.write_text(text.replace("of frames = 7", f"of frames = {frames}"))
    with pytest.raises(InputError):
        open_movie(path)


MERGES = "a0: &a0 {k: v}\n" + "".join(
    f"a{i + 1}: &a{i + 1} {{<<: [{', '.join([f'*a{i}'] * 20)}]}}\n" for i in range(9)
)


@pytest.mark.parametrize(
    "text",
    [
        MERGES,
        "!!python/object/apply:os.system ['touch executed']",
        "Frames: [[[[" * 100_000,
        "Frames: " + "9" * 5000,
        "- 1\n- 2\n",
        "Byte Order: '<'\nData Type: object\nFrames: 7\nHeight: 12\nWidth: 10\n",
        "Byte Order: '<'\nData Type: (7,12)u2\nFrames: 7\nHeight: 12\nWidth: 10\n",
        "\x00\x01",
    ],
)
def test_a_hostile_yaml(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = picasso(tmp_path, frames_of())
    path.with_suffix(".yaml").write_text(text)
    with pytest.raises(InputError):
        open_movie(path)
    assert not (tmp_path / "executed").exists()


def test_a_layout_beyond_every_movie():
    with pytest.raises(InputError, match="promises 1000000000000 frames"):
        RawLayout((10**12, 12, 10), "u2")


def test_numpys_files_run_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    np.save(tmp_path / "evil.npy", np.array([[Evil()]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="pixels of type object"):
        open_movie(tmp_path / "evil.npy")
    np.save(tmp_path / "columns.npy", np.asfortranarray(frames_of()))
    with pytest.raises(InputError, match="Fortran order"):
        open_movie(tmp_path / "columns.npy")
    header = b"{'descr': '<u2', 'fortran_order': False, 'shape': (1000000000000, 12, 10)}\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    (tmp_path / "long.npy").write_bytes(start + bytes(240))
    with pytest.raises(InputError, match="promises 1000000000000 frames"):
        open_movie(tmp_path / "long.npy")
    assert not (tmp_path / "executed").exists()


# zarr


def metadata(folder):
    """Path of what describes the array, and its content."""
    path = next(p for p in (folder / "zarr.json", folder / ".zarray") if p.exists())
    return path, json.loads(path.read_text())


def codec_of(name, version):
    from zarr import codecs

    if version == 2:
        import numcodecs

        return {"blosc": numcodecs.Blosc, "gzip": numcodecs.GZip, "zlib": numcodecs.Zlib,
                "zstd": numcodecs.Zstd, "lz4": numcodecs.LZ4}[name]()  # fmt: skip
    return {"blosc": codecs.BloscCodec, "gzip": codecs.GzipCodec, "zstd": codecs.ZstdCodec}[name]()


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize(
    ("name", "version"),
    [*((name, 2) for name in CODECS), ("blosc", 3), ("gzip", 3), ("zstd", 3)],
)
def test_a_zarr_bomb(name, version, sharded, tmp_path):
    """Chunks of 98 megabytes, which the metadata say to be of some hundred bytes."""
    zarr = pytest.importorskip("zarr")
    if sharded and version == 2:
        pytest.skip("version 2 has no shards")
    tracemalloc.stop()  # the writer may use memory
    codec = codec_of(name, version)
    large, small = (4, 3000, 4096), (4, 12, 10)
    layout = {"zarr_format": version, "compressors": [codec], "dtype": "uint16"}
    shards = {"shards": large} if sharded else {}
    array = zarr.create_array(
        tmp_path / "m.zarr", shape=large, chunks=(4, 3000, 4096), **layout, **shards,
        config={"write_empty_chunks": True},
    )  # fmt: skip
    array[:] = 0
    path, about = metadata(tmp_path / "m.zarr")
    text = json.dumps(about).replace(json.dumps([4, 3000, 4096]), json.dumps(list(small)))
    path.write_text(text)
    tracemalloc.start()
    with open_movie(tmp_path / "m.zarr") as stack:
        assert stack.shape == small
        with pytest.raises(InputError, match=r"unpacks to .* or more, but"):
            stack.read(0, 1)
        with pytest.raises(InputError, match=r"unpacks to .* or more, but"):
            stack.read(0, 4)  # a whole file of several chunks is read in another way


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("shape", "chunks", "message"),
    [
        ([10**12, 12, 10], [1, 12, 10], "promises 1000000000000 frames"),
        ([4, 10**6, 10**6], [1, 10, 10], "promises 4 frames of 1000000 x 1000000"),
        ([4, 12, 10], [10**12, 12, 10], "is 240000000000000 bytes when it is decoded"),
        ([4, 12, 10], [0, 12, 10], "are damaged"),
        ([4, 12, 10], [1, 12], "are damaged"),
        ([4, 12.5, 10], [1, 12, 10], "are damaged"),
        ([4000000, 12, 10], [1, 12, 10], "is truncated: no chunk of frame 3999999"),
    ],
)
def test_sizes_that_a_zarr_promises(version, shape, chunks, message, tmp_path):
    folder = zarr_array(chunks=(1, 12, 10), zarr_format=version)(tmp_path, frames_of())
    path, about = metadata(folder)
    about["shape"] = shape
    if version == 2:
        about["chunks"] = chunks
    else:
        about["chunk_grid"]["configuration"]["chunk_shape"] = chunks
    path.write_text(json.dumps(about))
    with pytest.raises(InputError, match=message):
        open_movie(folder)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("codec", ["pickle", "vlen-utf8", "evil.module:Codec"])
def test_codecs_that_could_run_code_are_not_even_looked_up(version, codec, tmp_path):
    folder = zarr_array(chunks=(1, 12, 10), zarr_format=version)(tmp_path, frames_of())
    path, about = metadata(folder)
    if version == 2:
        about["filters"] = [{"id": codec}]
    else:
        about["codecs"].append({"name": codec})
    path.write_text(json.dumps(about))
    with pytest.raises(InputError, match="cannot be read; allowed is one of blosc"):
        open_movie(folder)


@pytest.mark.parametrize("name", ["..", "../../etc", "/etc", "full/../..", "", 7])
def test_an_ome_zarr_stays_in_its_folder(name, tmp_path):
    folder = KINDS["ome-zarr 0.5"](tmp_path, frames_of())
    path = folder / "zarr.json"
    about = json.loads(path.read_text())
    about["attributes"]["ome"]["multiscales"][0]["datasets"][0]["path"] = name
    path.write_text(json.dumps(about))
    with pytest.raises(InputError, match="names the array"):
        open_movie(folder)


def test_an_index_of_ndtiff_stays_in_its_folder(tmp_path):
    folder = KINDS["ndtiff"](tmp_path, frames_of())
    index = folder / "NDTiff.index"
    index.write_bytes(index.read_bytes().replace(b"a_NDTiffStack.tif", b"../secrets/12.tif"))
    with pytest.raises(InputError, match="does not lie beside it"):
        open_movie(folder)


@pytest.mark.parametrize("name", [b"ImageAttributesLV!", b"ND2 FILEMAP SIGNATURE NAME 0001!"])
def test_a_chunk_of_nikon_that_promises_an_exabyte(name, tmp_path):
    path = KINDS["nd2"](tmp_path, frames_of())
    raw = bytearray(path.read_bytes())
    at = raw.index(name) - 8
    raw[at : at + 8] = struct.pack("<Q", 2**60)
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"is damaged: its (chunk ImageAtt|map of frames)"):
        open_movie(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "movie.tif")
    with pytest.raises(InputError, match="no regular file"):
        open_movie(tmp_path / "movie.tif")
