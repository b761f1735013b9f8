"""ThunderSTORM's CSV with no column that its own importer would stumble over.

Only numbers, and the columns of its exports. A table with heights has ``z [nm]`` and, since
ThunderSTORM then speaks of two widths, ``sigma1`` and ``sigma2``, both of them our one sigma.
Picasso's importer takes these files too (it asks for just these columns), but shifts everything by
half a pixel and loses the number of the first frame: use `picasso` to go there.
"""

from pathlib import Path

from napari_smlm_diffusion.results import run_folder
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import pixelsize, thunderstorm
from napari_smlm_diffusion.results.formats.base import TableFormat, first_line
from napari_smlm_diffusion.results.formats.own_csv import describe, write_rows
from napari_smlm_diffusion.results.formats.thunderstorm import Cell

_COLUMNS = (
    "id",
    "frame",
    "x_nm",
    "y_nm",
    "sigma_nm",
    "photons",
    "background",
    "background_sd",
    "uncertainty_xy_nm",
)
_LOSES = (
    "a ThunderSTORM table holds one uncertainty per row; probability, its bounds and where the "
    "uncertainty comes from are not in it"
)
_WIDTHS = (Cell("sigma1 [nm]", "sigma_nm", "%.3f"), Cell("sigma2 [nm]", "sigma_nm", "%.3f"))


def recognises(path: Path) -> bool:
    """Whether the header has a frame, an x and a y with their unit in brackets."""
    header = first_line(path).lower().replace(" ", "").replace('"', "")
    cells = [cell.strip().partition("[") for cell in header.split(",")]
    with_unit = {name for name, bracket, _ in cells if bracket}
    return {"x", "y"} <= with_unit and "frame" in {name for name, _, _ in cells}


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read the table; the pixel size is given or found beside the file (`pixelsize.find`).

    Raises
    ------
    InputError
        If the file is no such table.
    PixelSizeUnknown
        If the pixel size is not known.
    """
    size = pixelsize.require(path, pixel_size_nm)
    table = thunderstorm.read(path, pixel_size_nm=size)
    return Dataset(table=table, pixel_size_nm=size, provenance={"file": str(path)})


def write(path: Path, dataset: Dataset) -> list[str]:
    """Write the kept and the other rows; a filter adds the column ``kept``, 1 or 0.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    table = dataset.table
    cells = [cell for cell in thunderstorm.CELLS if cell.column in _COLUMNS]
    for cell in thunderstorm.Z_CELLS:
        if cell.column in table:
            cells.append(cell)
    if "z_nm" in table:
        cells += _WIDTHS
    if dataset.kept is not None:
        table = table.assign(kept=dataset.kept)
        cells.append(Cell("kept", "kept", "%d"))
    write_rows(path, table, dataset.pixel_size_nm, cells)
    # Beside the table, where no other program stumbles over it: else nobody could place it again.
    run_folder.write_json(pixelsize.sidecar(path), describe(dataset))
    return [_LOSES]


FORMAT = TableFormat(
    "thunderstorm",
    "ThunderSTORM",
    ".csv",
    recognises,
    read,
    write,
    "frame from 1; nm from the corner of the first pixel; x runs along a row",
    _LOSES,
    (pixelsize.SIDECAR,),
)
