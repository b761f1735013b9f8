"""OME-TIFF without looking up every plane: the same frames, whatever order its XML has."""

import numpy as np
import pytest
import tifffile

from napari_smlm_diffusion.frames import open_movie
from napari_smlm_diffusion.frames.ome_order import in_order

FRAMES = np.random.default_rng(4).integers(0, 60000, (6, 5, 7)).astype(np.uint16)
UUID = '<UUID FileName="{}">urn:uuid:0</UUID>'


def planes(order, axis="T", file=None):
    said = UUID.format(file) if file else ""
    return "".join(
        f'<TiffData First{axis}="{t}" IFD="{page}" PlaneCount="1">{said}</TiffData>'
        for t, page in enumerate(order)
    )


def xml(inside, axis="T", n=6):
    sizes = " ".join(f'Size{a}="{n if a == axis else 1}"' for a in "CZT")
    return (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'UUID="urn:uuid:0"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" '
        f'Type="uint16" SizeX="7" SizeY="5" {sizes}>{inside}</Pixels></Image></OME>'
    )


def write(path, text):
    with tifffile.TiffWriter(path) as writer:
        for i, frame in enumerate(FRAMES):
            said = text if i == 0 else None
            writer.write(frame, contiguous=False, metadata=None, description=said)


CASES = {
    "all": (xml("<TiffData/>"), True),
    "counted": (xml('<TiffData IFD="0" PlaneCount="6"/>'), True),
    "listed": (xml(planes(range(6))), True),
    "listed z": (xml(planes(range(6), "Z"), "Z"), True),
    "its own file": (xml(planes(range(6), file="a.ome.tif")), True),
    "backwards": (xml(planes(range(5, -1, -1))), False),
    "a part": (xml(planes(range(2, 5)), n=3), False),
    "two swapped": (xml(planes([0, 1, 3, 2, 4, 5])), False),
}


@pytest.mark.parametrize("case", CASES)
def test_the_frames_are_those_that_tifffile_finds(case, tmp_path):
    text, ordered = CASES[case]
    path = tmp_path / "a.ome.tif"
    write(path, text)
    assert in_order(text, 6, path.name) == ordered
    with open_movie(path) as stack:
        np.testing.assert_array_equal(stack.read(0, len(stack)), tifffile.imread(path))


def test_what_is_more_than_one_movie_or_file_is_looked_up():
    two = xml("<TiffData/>").replace("</Image>", "</Image><Image><Pixels SizeT='6'/></Image>")
    assert not in_order(two, 6, "a.ome.tif")
    assert not in_order(xml(planes(range(6), file="b.ome.tif")), 6, "a.ome.tif")
    assert not in_order(xml("<!-- <TiffData/> -->" + planes([5, 4, 3, 2, 1, 0])), 6, "a.ome.tif")
    assert not in_order(xml("<TiffData/>", n=7), 6, "a.ome.tif")
    assert not in_order(xml("<TiffData/>").replace('SizeC="1"', 'SizeC="2"'), 6, "a.ome.tif")
