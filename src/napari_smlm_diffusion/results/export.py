"""What leaves the program: localizations, the filter that chose them, the images they come from.

Beside the table ``NAME.csv`` (or another format) lie

- ``NAME.filter.json``, the filter, which can be loaded again;
- ``NAME.density.tif``, ``NAME.sd.tif`` and so on, one file an image, with their pixel size.

Every file is written under another name first and then renamed, so that none is ever half there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.filters import Filter, Filtered
from napari_smlm_diffusion.results.fine_grid import FineGrid
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.formats.base import TableFormat
from napari_smlm_diffusion.results.images import write_density

Rows = Literal["kept", "all"]


class ExportImage(NamedTuple):
    """An image to write beside the table.

    Attributes
    ----------
    name : str
        Part of the file's name, for example ``density`` or ``sd``.
    image : (sY, sX) array
        Values.
    grid : FineGrid
        Where its pixels lie.
    kernel_sigma : float
        SD of the kernel that each molecule has in it, fine pixels; 0 where none was used.
    quantity : str
        What the values are, as `results.images` writes it.
    """

    name: str
    image: NDArray[np.floating]
    grid: FineGrid
    kernel_sigma: float
    quantity: str


class Exported(NamedTuple):
    """What `export` wrote.

    Attributes
    ----------
    paths : tuple of Path
        The files: the table first, the filter last.
    notes : tuple of str
        Sentences on what the format cannot hold.
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...]


def export(
    path: str | Path,
    dataset: Dataset,
    rules: Filter,
    filtered: Filtered,
    *,
    table_format: str = "csv",
    rows: Rows = "kept",
    images: Sequence[ExportImage] = (),
) -> Exported:
    """Write a filtered table, its filter and its images.

    Parameters
    ----------
    path : path
        Of the table; the format's suffix is added if the name does not have it.
    dataset : Dataset
        All localizations.
    rules, filtered : Filter, Filtered
        The filter, and what it says about these localizations.
    table_format : str
        Name of a format of `results.formats.registry`.
    rows : {"kept", "all"}
        Only the kept localizations, or all of them with ``kept`` and the reason.
    images : sequence of ExportImage
        To be written too.

    Raises
    ------
    InputError
        If the format does not exist, is only read, or lacks a package, or the name ends like
        that of another one; nothing is written then.
    OutputError
        If a file cannot be written.
    """
    settings = rules.model_dump(mode="json")
    if rows == "kept":
        judged = dataset.filtered(filtered.kept, settings=settings).only_kept()
    else:
        judged = dataset.filtered(filtered.kept, filtered.reason, settings)
    path = _named(Path(path), registry.by_name(table_format))
    notes = registry.write(path, judged, table_format)
    beside = [path]
    for image in images:
        beside.append(path.with_name(f"{path.stem}.{image.name}.tif"))
        write_density(
            beside[-1],
            image.image,
            quantity=image.quantity,
            pixel_size_nm=image.grid.pixel_size_nm,
            upsampling=image.grid.upsampling,
            kernel_sigma=image.kernel_sigma,
            origin_px=image.grid.origin_px,
            extra={"filter": settings, "table": path.name},
        )
    beside.append(path.with_name(f"{path.stem}.filter.json"))
    rules.save(beside[-1])
    return Exported(tuple(beside), tuple(notes))


def _named(path: Path, fmt: TableFormat) -> Path:
    """Return the path with the suffix of its format; a name may have other dots in it."""
    ending = path.suffix.lower()
    if ending == fmt.ending:
        return path
    if ending in {other.ending for other in registry.FORMATS}:
        raise InputError(
            f"{path.name} would be taken for another format: {fmt.title} has files *{fmt.suffix}; "
            "choose that ending, or the other format"
        )
    return path.with_name(path.name + fmt.suffix)
