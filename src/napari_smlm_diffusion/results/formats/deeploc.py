"""CSV of FD-DeepLoc and LiteLoc: ``frame, xnm, ynm, znm, photon, prob, x_sig, ...``.

Frames count from 1 and the centre of the first pixel is at half a pixel, as in the SMLM challenge.
``x_sig`` and its like are standard deviations in nm.
"""

from pathlib import Path

from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, pixelsize, text
from napari_smlm_diffusion.results.formats.base import TableFormat, cells_of

CONVENTION = "frame from 1; nm from the corner of the first pixel; x runs along a row"
_NAMES = {
    "frame": "frame",
    "xnm": "x_nm",
    "ynm": "y_nm",
    "znm": "z_nm",
    "intensity": "photons",
    "photon": "photons",
    "nms_p": "probability",
    "prob": "probability",
    "x_sig": "uncertainty_x_nm",
    "y_sig": "uncertainty_y_nm",
    "z_sig": "uncertainty_z_nm",
}


def recognises(path: Path) -> bool:
    """Whether the header has a frame, xnm, ynm and an offset or an uncertainty of x."""
    cells = set(cells_of(path))
    return {"frame", "xnm", "ynm", "znm"} <= cells and bool(cells & {"nms_p", "prob", "x_sig"})


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
    labels = cells_of(path)
    wanted = text.wanted(path, labels, _NAMES, "FD-DeepLoc or LiteLoc")
    columns = text.read_columns(path, len(labels), wanted)
    columns["frame"] -= 1
    build.from_corner(columns, size)
    return build.dataset(path, columns, size)


FORMAT = TableFormat("deeploc", "FD-DeepLoc, LiteLoc", ".csv", recognises, read, None, CONVENTION)
