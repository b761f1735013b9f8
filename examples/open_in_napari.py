"""Open a movie and the folder of its run in napari: every layer in nm, exactly over the frames.

    python examples/open_in_napari.py MOVIE RUN_FOLDER

Needs napari's window: pip install ".[all]" in a checkout.
"""

import sys

import napari

NAME = "napari-smlm-diffusion"


def main(movie: str, folder: str) -> None:
    """Show frames, density, its SD, and the molecules coloured by their uncertainty."""
    viewer = napari.Viewer()
    viewer.open(movie, plugin=NAME)
    for layer in viewer.open(folder, plugin=NAME):
        if isinstance(layer, napari.layers.Points):
            # Any column will do; all of them are in `layer.features`.
            layer.face_color = "uncertainty_xy_nm"
            layer.face_colormap = "viridis"
    napari.run()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python examples/open_in_napari.py MOVIE RUN_FOLDER")
    main(*sys.argv[1:])
