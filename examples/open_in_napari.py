"""Open a run folder in napari, every layer in nm and exactly over the frames.

    python examples/open_in_napari.py MOVIE.tif RUN_FOLDER

Needs a Qt binding: pip install "napari-smlm-diffusion[all]".
"""

import sys
from pathlib import Path

import napari
import numpy as np

from napari_smlm_diffusion.frames import open_movie
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.images import read_image

LARGEST = 100_000  # points that napari draws comfortably


def main(movie: str, folder: str) -> None:
    """Add frames, density, its SD, and the molecules coloured by their uncertainty."""
    run = Path(folder)
    density = read_image(run / "density.tif")
    variance = read_image(run / "variance.tif")
    pixel = density.metadata["pixel_size_nm"]
    fine = {
        "scale": density.metadata["scale_nm"],
        "translate": density.metadata["translate_nm"],
        "units": ("nm", "nm"),
    }
    viewer = napari.Viewer()
    with open_movie(movie) as stack:
        frames = stack.read(0, min(200, stack.shape[0]))
    viewer.add_image(frames, name="frames", scale=(1, pixel, pixel), units=("pixel", "nm", "nm"))
    viewer.add_image(density.image, name="density", colormap="inferno", **fine)
    viewer.add_image(np.sqrt(variance.image), name="density SD", visible=False, **fine)

    rows = registry.read(run / "localizations.csv").table
    shown = rows.sample(LARGEST, random_state=0) if len(rows) > LARGEST else rows
    viewer.add_points(
        shown[["y_nm", "x_nm"]].to_numpy(),
        name="localizations",
        features=shown,
        face_color="uncertainty_xy_nm",
        face_colormap="viridis",
        size=20,
        units=("nm", "nm"),
    )
    napari.run()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python examples/open_in_napari.py MOVIE.tif RUN_FOLDER")
    main(*sys.argv[1:])
