"""Sample movies under File > Open Sample, simulated when asked for, each with its truth.

The truth is a hidden layer of points that has a time axis: it shows what is in the current frame.
"""

from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.layers import LayerTuple, frames_layer
from napari_smlm_diffusion.results.point_layers import points_layer
from napari_smlm_diffusion.simulation.examples import DENSE, PAIR, SPARSE
from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate


def dense() -> list[LayerTuple]:
    """Crossing filaments at 3 molecules per square micron and frame: spots overlap."""
    return layers(DENSE, "dense")


def sparse() -> list[LayerTuple]:
    """The same kind of structure with single, blinking spots that any program can fit."""
    return layers(SPARSE, "sparse")


def pair() -> list[LayerTuple]:
    """Two molecules, 0.5 pixels apart in the first frame and 3 in the last: one spot or two."""
    return layers(PAIR, "pair")


def layers(settings: MovieSettings, name: str) -> list[LayerTuple]:
    """Simulate a movie and return its frames, and its truth as a hidden layer of points."""
    movie = simulate(settings)
    pixel = settings.pixel_size_nm
    camera = {k: v for k, v in settings.camera.to_dict().items() if isinstance(v, float)}
    truth = Dataset(
        table=movie.truth,
        pixel_size_nm=pixel,
        frame_shape=(settings.frames, *settings.shape),
        provenance={"simulation": settings.model_dump(mode="json")},
    )
    return [
        frames_layer(
            movie.frames,
            pixel_size_nm=pixel,
            camera=camera,
            source=f"simulated: {name}",
            name=f"{name} movie",
        ),
        points_layer(
            truth,
            by_frame=True,
            name=f"{name} truth",
            visible=False,
            face_color="transparent",
            border_color="#66ddff",
            border_width=0.12,
            size=pixel,
        ),
    ]
