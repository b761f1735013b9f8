"""What napari calls to open tables of localizations and runs, finished or not."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.images import read_image
from napari_smlm_diffusion.results.layers import (
    LayerTuple,
    Placement,
    density_file_layer,
    image_layer,
    residual_layer,
)
from napari_smlm_diffusion.results.point_layers import points_layer
from napari_smlm_diffusion.widgets.files.paths import Paths, Reader, as_list, name_of
from napari_smlm_diffusion.widgets.shared.preferences import preferences


def get_table_reader(path: Paths) -> Reader | None:
    """Reader of tables of localizations, known by their content and not by their ending."""
    return read_tables if all(registry.recognise(one) for one in as_list(path)) else None


def folder_reader(folder: Path) -> Reader | None:
    """Reader of a run, finished or not, or of the parts of one table."""
    if (folder / "run.json").is_file():
        return read_run
    if (folder / "store" / "journal.json").is_file():
        return read_unfinished_run
    return read_tables if registry.recognise(folder) is not None else None


def read_tables(path: Paths) -> list[LayerTuple]:
    """Return one layer of points for each table; it holds all localizations and shows some.

    Raises `InputError` if a table is damaged, or needs a pixel size that is nowhere to be found.
    """
    return [points_layer(_dataset(Path(one)), name=name_of(one)) for one in as_list(path)]


def read_run(path: Paths) -> list[LayerTuple]:
    """Return density, its standard deviation, residual and molecules of a run of ``localize``.

    Raises `InputError` if a file of the run is damaged.
    """
    folder = Path(as_list(path)[0])
    layers = [
        density_file_layer(read_image(image))
        for name in ("density", "variance", "residual")
        if (image := folder / f"{name}.tif").is_file()
    ]
    table = folder / "localizations.csv"
    if table.is_file():
        layers.append(points_layer(_of_run(_dataset(table), folder / "run.json")))
    if not layers:
        raise InputError(f"{folder} has a run.json but no result; the run may have failed at once")
    return layers


def read_unfinished_run(path: Paths) -> list[LayerTuple]:
    """Return what a run has finished that goes on, or that was killed.

    Raises `InputError` if it is damaged, or has not finished anything yet.
    """
    from napari_smlm_diffusion.results import run_store

    folder = Path(as_list(path)[0])
    journal = run_store.read_journal(folder)
    run = journal["run"]
    size, of = run["pixel_size_nm"], run["depends_on"]
    done = sum(stop - start for start, stop in journal["finished"])
    if not done:
        raise InputError(f"the run in {folder} has not finished a frame yet")
    words = f"{done} of {of['frames'][1] - of['frames'][0]} frames"
    images = run_store.read_sums(folder / run_store.FOLDER, journal["images"])
    origin = (of["roi"][0], of["roi"][2])
    named = {"density": images.get("density"), "density SD": images.get("variance")}
    layers = [
        image_layer(
            (np.sqrt(image) if name == "density SD" else image).astype(np.float32),
            Placement(size),
            upsampling=round(size / run["scale_nm"]),
            name=name,
            origin_px=origin,
        )
        for name, image in named.items()
        if image is not None
    ]
    if (residual := images.get("residual")) is not None:
        mean = (residual / done).astype(np.float32)
        layers.append(residual_layer(mean, Placement(size), origin_px=origin))
    dataset = _dataset(folder / "store")
    return [*layers, points_layer(dataset, name=f"localizations ({words})")]


def _dataset(path: Path) -> Dataset:
    try:
        dataset = registry.read(path)
    except registry.PixelSizeUnknown as error:
        size = preferences().microscope.pixel_size_nm
        if not size:
            raise InputError(
                f"the pixel size of {path} is not known, without which its molecules would lie "
                "half a pixel beside the frames; set the pixel size of your microscope under "
                "Preferences > Plugins > SMLM diffusion and open the table again"
            ) from error
        dataset = registry.read(path, size)
        # The user may have opened someone else's data.
        warnings.warn(
            f"{path.name} does not say its pixel size; {size:g} nm from the preferences is used",
            stacklevel=2,
        )
    for note in dataset.notes:
        warnings.warn(note, stacklevel=2)
    return dataset


def _of_run(dataset: Dataset, path: Path) -> Dataset:
    """Add what the record of the run says: model and its hash, settings, size of the movie."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        frames, height, width = map(int, record["input"]["shape"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not the record of a run ({error!r})") from error
    return replace(dataset, provenance=record, frame_shape=(frames, height, width))
