"""Tables of Zeiss Elyra microscopes (ZEN): text with tabs, and notes on the image below the rows.

Frames count from 1. Where the origin lies is not documented: it is taken for the corner of the
first pixel. What is called precision is one number for both axes.
"""

from pathlib import Path

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, pixelsize, text
from napari_smlm_diffusion.results.formats.base import TableFormat

CONVENTION = (
    "frame from 1; nm, from the corner of the first pixel as is assumed, since it is not "
    "documented; x runs along a row"
)
_ENCODING = "latin-1"  # the notes have a micro sign
_NAMES = {
    "first frame": "frame",
    "position x [nm]": "x_nm",
    "position y [nm]": "y_nm",
    "position z [nm]": "z_nm",
    "precision [nm]": "uncertainty_xy_nm",
    "number photons": "photons",
    "index": "id",
}


def recognises(path: Path) -> bool:
    """Whether the header has a first frame and a position in nm, between tabs."""
    return {"first frame", "position x [nm]", "position y [nm]"} <= set(_labels(path))


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read a table; the pixel size is given or found beside the file.

    Raises
    ------
    InputError
        If the file is damaged.
    PixelSizeUnknown
        If the pixel size is not known.
    """
    size = pixelsize.require(path, pixel_size_nm)
    labels = _labels(path)
    wanted = text.wanted(path, labels, _NAMES, "an Elyra")
    columns = text.read_columns(
        path,
        len(labels),
        wanted,
        separator="\t",
        encoding=_ENCODING,
        stop=("\0", "\r", "\n", " ", "Voxel"),
    )
    columns["frame"] -= 1
    build.from_corner(columns, size)
    if "uncertainty_xy_nm" in columns:
        for axis in "xy":
            columns[f"uncertainty_{axis}_nm"] = columns["uncertainty_xy_nm"]
    return build.dataset(path, columns, size, notes=[build.corner_assumed(path)])


def _labels(path: Path) -> list[str]:
    try:
        lines = text.first_lines(path, encoding=_ENCODING)
    except InputError:
        return []
    return [label.strip().lower() for label in lines[0].split("\t")] if lines else []


FORMAT = TableFormat("elyra", "Zeiss Elyra", ".txt", recognises, read, None, CONVENTION)
