"""Recipes: what is diffused, how it is scaled, what the network predicts, on which schedule.

A recipe is chosen by name in a model's settings; the network's weights belong to one recipe.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from napari_smlm_diffusion.diffusion.denoiser import Prediction
from napari_smlm_diffusion.diffusion.schedule import FORERUNNER, PAPERS, RESIDUAL, Schedule
from napari_smlm_diffusion.errors import InputError

Given = Literal["frame", "density"]

# The variance head's SD has this floor: under it nothing is left to draw, and a residual divided
# by next to nothing would be all that the network learns.
_SD_FLOOR = 0.02


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
    residual : bool
        Diffuse (y - y-hat) / s(x), s from the variance head; else 2 y - 1, as the papers do.
    given : {"frame", "density"}
        The condition: frame, y-hat and s; or y-hat alone.
    prediction : {"edm", "noise"}
        See `diffusion.denoiser`.
    schedule : Schedule
        Of training and sampling.
    power : int
        Exponent of the loss: 1 or 2.
    """

    name: str
    residual: bool
    given: Given
    prediction: Prediction
    schedule: Schedule
    power: Literal[1, 2]

    def scaling(self, y_hat: Tensor, variance: Tensor) -> Scaling:
        """Return the map of these frames, from phi's density and the head's variance."""
        if self.residual:
            return Scaling(y_hat, (variance + _SD_FLOOR**2).sqrt())
        half = y_hat.new_full((1, 1, 1), 0.5)
        return Scaling(half, half)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("residual", True, "frame", "edm", RESIDUAL, 2),
        Recipe("papers", False, "density", "noise", PAPERS, 2),
        Recipe("forerunner", False, "density", "noise", FORERUNNER, 1),
    )
}


def recipe(name: str) -> Recipe:
    """Return the recipe of this name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in RECIPES:
        raise InputError(f"recipe {name!r}: the recipes are {', '.join(RECIPES)}")
    return RECIPES[name]
