"""Tables of ONI Nanoimagers: CSV with the units in round brackets.

Frames count from 0. Where the origin lies is not documented: it is taken for the corner of the
first pixel. A table in which every height is 0 is one of a plane.
"""

from pathlib import Path

from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, pixelsize, text
from napari_smlm_diffusion.results.formats.base import TableFormat, cells_of

CONVENTION = (
    "frame from 0; nm, from the corner of the first pixel as is assumed, since it is not "
    "documented; x runs along a row"
)
_NAMES = {
    "frame": "frame",
    "x (nm)": "x_nm",
    "y (nm)": "y_nm",
    "z (nm)": "z_nm",
    "photons": "photons",
    "background": "background",
}


def recognises(path: Path) -> bool:
    """Whether the header has a frame, and x and y in nm in round brackets."""
    return {"frame", "x (nm)", "y (nm)"} <= set(cells_of(path))


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read a table, all channels; the pixel size is given or found beside the file.

    Raises
    ------
    InputError
        If the file is damaged.
    PixelSizeUnknown
        If the pixel size is not known.
    """
    size = pixelsize.require(path, pixel_size_nm)
    labels = cells_of(path)
    wanted = text.wanted(path, labels, _NAMES, "a Nanoimager")
    columns = text.read_columns(path, len(labels), wanted)
    build.from_corner(columns, size)
    if "z_nm" in columns and not columns["z_nm"].any():
        del columns["z_nm"]
    return build.dataset(path, columns, size, notes=[build.corner_assumed(path)])


FORMAT = TableFormat("nanoimager", "ONI Nanoimager", ".csv", recognises, read, None, CONVENTION)
