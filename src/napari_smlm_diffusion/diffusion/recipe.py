"""Recipes: what is diffused, how it is scaled, what the network predicts, on which schedule.

A recipe is chosen by name in a model's settings; the network's weights belong to one recipe.
"""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from napari_smlm_diffusion.diffusion.denoiser import Prediction
from napari_smlm_diffusion.diffusion.schedule import FORERUNNER, PAPERS, RESIDUAL, Schedule
from napari_smlm_diffusion.networks.settings import GIVEN, Given

Target = Literal["residual over SD", "residual over density", "density", "signed density"]

# The variance head's SD has this floor: under it nothing is left to draw, and a residual divided
# by next to nothing would be all that the network learns.
_SD_FLOOR = 0.02
# Where only phi's density is given, the variance of its residual is guessed as this share of it.
_SHARE_OF_DENSITY = 0.05
_BLUR = 5  # fine pixels: a molecule's displacement errs beside the peak as well as on it
# SD of a density, over frames of the papers.
_DENSITY_UNIT = 0.1


@dataclass(frozen=True)
class Scaling:
    """Affine map between a density and what is diffused: density = centre + spread * target.

    Attributes
    ----------
    centre, spread : Tensor
        (B, sY, sX), or broadcastable.
    """

    centre: Tensor
    spread: Tensor

    def target(self, density: Tensor) -> Tensor:
        """Return what is diffused."""
        return (density - self.centre) / self.spread

    def density(self, target: Tensor) -> Tensor:
        """Inverse of `target`."""
        return self.centre + self.spread * target


@dataclass(frozen=True)
class Recipe:
    """One way to make a diffusion model.

    Attributes
    ----------
    name : str
        Under which settings and cards refer to it.
    target : str
        What is diffused: (y - y-hat) / s with s from the variance head, or guessed from y-hat
        alone; y in units of 0.1; or 2 y - 1, as the papers do.
    prediction : {"edm", "noise"}
        See `diffusion.denoiser`.
    schedule : Schedule
        Of training and sampling.
    power : int
        Exponent of the loss: 1 or 2.
    """

    name: str
    target: Target
    prediction: Prediction
    schedule: Schedule
    power: Literal[1, 2]

    @property
    def given(self) -> Given:
        """The condition: frame, phi's features, y-hat and s; frame and features; or y-hat alone."""
        return GIVEN[self.name]

    def scaling(self, y_hat: Tensor, variance: Tensor) -> Scaling:
        """Return the map of these frames, from phi's density and the head's variance."""
        if self.target == "residual over density":
            blurred = F.avg_pool2d(y_hat.clamp_min(0.0), _BLUR, 1, _BLUR // 2)
            variance = _SHARE_OF_DENSITY * blurred
        if self.target.startswith("residual"):
            return Scaling(y_hat, (variance + _SD_FLOOR**2).sqrt())
        if self.target == "density":
            zero = y_hat.new_zeros((1, 1, 1))
            return Scaling(zero, zero + _DENSITY_UNIT)
        half = y_hat.new_full((1, 1, 1), 0.5)
        return Scaling(half, half)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("residual", "residual over SD", "edm", RESIDUAL, 2),
        # What phi loses is measured with these (benchmarks/conditions.py).
        Recipe("given-frame", "density", "edm", RESIDUAL, 2),
        Recipe("given-density", "residual over density", "edm", RESIDUAL, 2),
        Recipe("papers", "signed density", "noise", PAPERS, 2),
        Recipe("forerunner", "signed density", "noise", FORERUNNER, 1),
    )
}
