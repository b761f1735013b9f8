"""rapidSTORM's text tables, which describe their columns in a first line of XML.

Frames count from 0 and the centre of the first pixel is at 0 (the SMLM challenge of 2016 moved its
tables by half a pixel to its own corner). Amplitudes are in counts of the camera, which are no
photons without the camera, and are left out, as is the background. The description is
read with a pattern and not as XML, so that nothing in it is ever expanded.
"""

import re
from pathlib import Path

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, pixelsize, text
from napari_smlm_diffusion.results.formats.base import TableFormat, first_line

CONVENTION = "frame from 0; nm from the centre of the first pixel; x runs along a row"
_FIELD = re.compile(r"<field ([^<>]{1,1000})>|<localizations")
_VALUE = re.compile(r'(identifier|unit)="([^"]*)"')
_NAMES = {
    "Position-0-0": "x_nm",
    "Position-1-0": "y_nm",
    "Position-2-0": "z_nm",
    "ImageNumber-0-0": "frame",
    "Position-0-0-uncertainty": "uncertainty_x_nm",
    "Position-1-0-uncertainty": "uncertainty_y_nm",
    "Position-2-0-uncertainty": "uncertainty_z_nm",
    "PSFWidth-0-0": "fwhm_x",
    "PSFWidth-1-0": "fwhm_y",
}
_FWHM = np.sqrt(8 * np.log(2))


def recognises(path: Path) -> bool:
    """Whether the file begins with the description of localizations."""
    return first_line(path).startswith("# <localizations")


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read a table; the pixel size is given or found beside the file.

    Raises
    ------
    InputError
        If the file is damaged, is a table of tracks, or has positions in other units than nm.
    PixelSizeUnknown
        If the pixel size is not known.
    """
    size = pixelsize.require(path, pixel_size_nm)
    header = text.first_lines(path)[0]
    fields = [dict(_VALUE.findall(part)) for part in _FIELD.findall(header)]
    if any(not field for field in fields[1:]):
        raise InputError(
            f"{path} is a table of tracks, with several positions a row; export the localizations "
            "from rapidSTORM without tracking"
        )
    fields = fields[1:]
    labels = [field.get("identifier", "") for field in fields]
    wanted = text.wanted(path, labels, _NAMES, "rapidSTORM")
    for position, name in wanted.items():
        unit = fields[position].get("unit")
        if name != "frame" and unit != "nanometer":
            raise InputError(f"{path} has {labels[position]} in {unit}, not in nm")
    columns = text.read_columns(path, len(fields), wanted, separator=" ")
    widths = [columns.pop(name) for name in ("fwhm_x", "fwhm_y") if name in columns]
    if widths:
        columns["sigma_nm"] = np.sqrt(np.mean(np.square(widths), axis=0)) / _FWHM
    note = f"{path} has brightness in counts of the camera, which is no number of photons: left out"
    return build.dataset(path, columns, size, notes=[note])


FORMAT = TableFormat("rapidstorm", "rapidSTORM", ".txt", recognises, read, None, CONVENTION)
