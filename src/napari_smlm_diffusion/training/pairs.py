"""Training pairs made on the fly: simulated frames and the true kernel density."""

from dataclasses import dataclass

from torch import Generator, Tensor

from napari_smlm_diffusion.density import DensityScale, kernel_density
from napari_smlm_diffusion.simulation.exposure import Frames, draw_frames
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.simulation.scenes import Place


@dataclass(frozen=True, eq=False)
class Pairs(Frames):
    """A batch of B simulated frames with their truth.

    Attributes
    ----------
    density : Tensor
        (B, sY, sX) kernel density in units of one molecule's peak.
    """

    density: Tensor


def with_density(frames: Frames, scale: DensityScale) -> Pairs:
    """Put their density beside frames."""
    present = (frames.photons > 0).to(frames.photons.dtype)
    shape = frames.effective.shape[1], frames.effective.shape[2]
    density = kernel_density(frames.position, present, shape, scale.upsampling, scale.kernel_sigma)
    return Pairs(**vars(frames), density=density)


def draw_pairs(
    prior: Prior,
    batch: int,
    size: int,
    scale: DensityScale,
    g: Generator,
    place: Place | None = None,
    movie: bool = False,
) -> Pairs:
    """Simulate a batch of square frames, as `simulation.exposure.draw_frames`, with densities."""
    return with_density(draw_frames(prior, batch, size, g, place, movie), scale)
