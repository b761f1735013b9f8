"""What napari calls to open files: movies, tables, images of densities, folders of runs.

A `get_...` function looks at the file and returns None for one that is not ours, so that napari
tries the next plugin; what it returns does the reading. Frames are read when they are looked at.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import open_movie
from napari_smlm_diffusion.frames.folder import is_movie_folder, is_zarr
from napari_smlm_diffusion.frames.movie import kind_by_content, kind_of
from napari_smlm_diffusion.frames.sidecars import read_sidecar
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.images import is_density, read_image
from napari_smlm_diffusion.results.layers import (
    LayerTuple,
    Placement,
    density_file_layer,
    image_layer,
    points_layer,
    stack_layer,
)
from napari_smlm_diffusion.widgets.preferences import preferences

Paths = str | Sequence[str]
Reader = Callable[[Paths], list[LayerTuple]]


def get_frames_reader(path: Paths) -> Reader | None:
    """Reader of a movie in a file, or in several, and of our images of densities."""
    return read_frames if all(map(_is_movie, _as_list(path))) else None


def get_table_reader(path: Paths) -> Reader | None:
    """Reader of tables of localizations, known by their content and not by their ending."""
    return read_tables if all(registry.recognise(one) for one in _as_list(path)) else None


def get_folder_reader(path: Paths) -> Reader | None:
    """Reader of a run's folder, or of a folder with nothing but one movie."""
    folders = [Path(one) for one in _as_list(path)]
    if len(folders) != 1 or not folders[0].is_dir():
        return None
    if (folders[0] / "run.json").is_file():
        return read_run
    if (folders[0] / "store" / "journal.json").is_file():
        return read_unfinished_run
    if registry.recognise(folders[0]) is not None:  # the parts of one table
        return read_tables
    return read_movie_folder if _holds_movie(folders[0]) else None


def read_frames(path: Paths) -> list[LayerTuple]:
    """Return the layer of a movie; several files are one movie, in the order of their names.

    Raises
    ------
    InputError
        If a file is damaged or its frames do not fit the others.
    """
    paths = _as_list(path)
    if len(paths) == 1 and is_density(paths[0]):
        return [density_file_layer(read_image(paths[0]))]
    return [stack_layer(open_movie(paths), _name(paths[0]))]


def read_tables(path: Paths) -> list[LayerTuple]:
    """Return one layer of points for each table; it holds all rows and shows some.

    Raises
    ------
    InputError
        If a table is damaged, or needs a pixel size that is nowhere to be found.
    """
    return [points_layer(_dataset(Path(one)), name=_name(one)) for one in _as_list(path)]


def read_run(path: Paths) -> list[LayerTuple]:
    """Return density, its standard deviation and the molecules of a run of ``localize``.

    Raises
    ------
    InputError
        If a file of the run is damaged.
    """
    folder = Path(_as_list(path)[0])
    layers = [
        density_file_layer(read_image(image))
        for name in ("density", "variance")
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

    Raises
    ------
    InputError
        If it is damaged, or has not finished anything yet.
    """
    from napari_smlm_diffusion.results import run_store

    folder = Path(_as_list(path)[0])
    journal = run_store.read_journal(folder)
    run = journal["run"]
    size, of = run["pixel_size_nm"], run["depends_on"]
    done = sum(stop - start for start, stop in journal["finished"])
    if not done:
        raise InputError(f"the run in {folder} has not finished a frame yet")
    words = f"{done} of {of['frames'][1] - of['frames'][0]} frames"
    images = run_store.read_sums(folder / run_store.FOLDER, journal["images"])
    named = {"density": images.get("density"), "density SD": images.get("variance")}
    layers = [
        image_layer(
            (np.sqrt(image) if name == "density SD" else image).astype(np.float32),
            Placement(size),
            upsampling=round(size / run["scale_nm"]),
            name=name,
            origin_px=(of["roi"][0], of["roi"][2]),
        )
        for name, image in named.items()
        if image is not None
    ]
    dataset = _dataset(folder / "store")
    return [*layers, points_layer(dataset, name=f"localizations ({words})")]


def read_movie_folder(path: Paths) -> list[LayerTuple]:
    """Return the layer of a movie that is a folder: TIFF files, NDTiff or zarr.

    Raises
    ------
    InputError
        If a file is damaged or its frames do not fit the others.
    """
    folder = Path(_as_list(path)[0])
    return [stack_layer(open_movie(folder), _name(str(folder)))]


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
    return replace(dataset, provenance={"run": record}, frame_shape=(frames, height, width))


def _holds_movie(folder: Path) -> bool:
    if not is_zarr(folder):
        return is_movie_folder(folder)
    try:  # napari opens every zarr itself: only those that are movies are ours
        open_movie(folder).close()
    except InputError:
        return False
    return True


def _is_movie(name: str) -> bool:
    """Whether a file is a movie; a raw binary is one only with something that says its layout."""
    path = Path(name)
    if kind_of(path) != "raw":
        return kind_by_content(path) is not None
    try:
        return read_sidecar(path) is not None
    except InputError:
        return True  # a damaged one: reading it says what is wrong


def _as_list(path: Paths) -> list[str]:
    return [str(path)] if isinstance(path, str | Path) else [str(one) for one in path]


def _name(path: str) -> str:
    # "movie.ome.tif" is called movie.
    return Path(path).name.partition(".")[0] or Path(path).name
