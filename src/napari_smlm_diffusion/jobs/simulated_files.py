"""A simulated movie as files that other programs read too."""

from pathlib import Path

import tifffile

from napari_smlm_diffusion.results.formats.text_writer import write_table
from napari_smlm_diffusion.results.run_folder import write_json
from napari_smlm_diffusion.simulation.movie import Movie
from napari_smlm_diffusion.writing import atomic


def write_movie(movie: Movie, folder: Path) -> None:
    """Write ``movie.tif`` (axes TYX), ``truth.csv`` and ``settings.json``.

    Pixel size and camera are in the TIFF's description, so that `frames.open_movie` knows them;
    maps of an sCMOS camera are in ``settings.json`` only.

    Raises `OutputError` if a file cannot be written.
    """
    settings = movie.settings
    camera = settings.camera.to_dict()
    per_cm = 1e7 / settings.pixel_size_nm
    path = folder / "movie.tif"
    with atomic(path) as partial:
        tifffile.imwrite(
            partial,
            movie.frames,
            photometric="minisblack",
            resolution=(per_cm, per_cm),
            resolutionunit="CENTIMETER",
            metadata={
                "axes": "TYX",
                "pixel_size_nm": settings.pixel_size_nm,
                "camera": {k: v for k, v in camera.items() if isinstance(v, float)},
            },
        )
    write_table(folder / "truth.csv", movie.truth, settings.pixel_size_nm)
    write_json(folder / "settings.json", settings.model_dump(mode="json"))
