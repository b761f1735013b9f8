"""What napari calls to open files: movies, images of densities, and folders of either or of runs.

A `get_...` function looks at the file and returns None for one that is not ours, so that napari
tries the next plugin; what it returns does the reading. Frames are read when they are looked at.
Tables have `table_readers`, which load pandas: nobody should wait for that to see a movie.
"""

from pathlib import Path

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import open_movie
from napari_smlm_diffusion.frames.folder import is_movie_folder, is_zarr
from napari_smlm_diffusion.frames.opening import kind_by_content, kind_of
from napari_smlm_diffusion.frames.sidecars import read_sidecar
from napari_smlm_diffusion.results.images import is_density, read_image
from napari_smlm_diffusion.results.layers import LayerTuple, density_file_layer, stack_layer
from napari_smlm_diffusion.widgets.files.paths import Paths, Reader, as_list, name_of


def get_frames_reader(path: Paths) -> Reader | None:
    """Reader of a movie in a file, or in several, and of our images of densities."""
    return read_frames if all(map(_is_movie, as_list(path))) else None


def get_folder_reader(path: Paths) -> Reader | None:
    """Reader of a folder with nothing but a movie, of a run's folder, or of a table in parts."""
    folders = [Path(one) for one in as_list(path)]
    if len(folders) != 1 or not folders[0].is_dir():
        return None
    run = any((folders[0] / name).is_file() for name in ("run.json", "store/journal.json"))
    if not run and _holds_movie(folders[0]):
        return read_movie_folder
    from napari_smlm_diffusion.widgets.files.tables import folder_reader

    return folder_reader(folders[0])


def read_frames(path: Paths) -> list[LayerTuple]:
    """Return the layer of a movie; several files are one movie, in the order of their names.

    Raises `InputError` if a file is damaged or its frames do not fit the others.
    """
    paths = as_list(path)
    if len(paths) == 1 and is_density(paths[0]):
        return [density_file_layer(read_image(paths[0]))]
    return [stack_layer(open_movie(paths), name_of(paths[0]))]


def read_movie_folder(path: Paths) -> list[LayerTuple]:
    """Return the layer of a movie that is a folder: TIFF files, NDTiff or zarr.

    Raises `InputError` if a file is damaged or its frames do not fit the others.
    """
    folder = Path(as_list(path)[0])
    return [stack_layer(open_movie(folder), name_of(str(folder)))]


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
