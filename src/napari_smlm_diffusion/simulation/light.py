"""How bright molecules are, and the background they are seen against. All in photons per frame."""

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.settings import Settings
from napari_smlm_diffusion.simulation.structures import Array, Shape

if TYPE_CHECKING:
    from torch import Tensor

_MOST = 1e7


def lognormal(mean: ArrayLike, cv: ArrayLike, rng: Generator, n: int | None = None) -> Array:
    """Draw photons of this mean and coefficient of variation, one for each if `n` is not given."""
    variance = np.log1p(np.square(cv))
    return rng.lognormal(np.log(mean) - variance / 2, np.sqrt(variance), n)


def smooth(waves: "Tensor", shape: Shape) -> "Tensor":
    """Return smooth (B, Y, X) fields through (B, 3, 3) numbers; nothing is as narrow as a spot."""
    from torch.nn.functional import interpolate

    return interpolate(waves[:, None], size=shape, mode="bicubic", align_corners=True)[:, 0]


class ConstantPhotons(Settings):
    """Every molecule equally bright."""

    kind: Literal["constant"] = "constant"
    mean: float = Field(default=1000.0, gt=0, le=_MOST, description="photons in a full frame")

    def draw(self, n: int, rng: Generator) -> Array:
        """Draw the photons of `n` molecules."""
        return np.full(n, self.mean)


class LognormalPhotons(Settings):
    """A skewed spread, as most dyes show."""

    kind: Literal["lognormal"] = "lognormal"
    mean: float = Field(default=1000.0, gt=0, le=_MOST, description="mean photons in a full frame")
    cv: float = Field(
        default=0.5, ge=0, le=10, description="coefficient of variation, standard deviation / mean"
    )

    def draw(self, n: int, rng: Generator) -> Array:
        """Draw the photons of `n` molecules."""
        return lognormal(self.mean, self.cv, rng, n)


class ExponentialPhotons(Settings):
    """Many dim molecules and few bright ones."""

    kind: Literal["exponential"] = "exponential"
    mean: float = Field(default=1000.0, gt=0, le=_MOST, description="mean photons in a full frame")

    def draw(self, n: int, rng: Generator) -> Array:
        """Draw the photons of `n` molecules."""
        return rng.exponential(self.mean, n)


class _Between(Settings):
    low: float = Field(ge=0, le=_MOST, description="lowest, photons")
    high: float = Field(ge=0, le=_MOST, description="highest, photons")

    @model_validator(mode="after")
    def _in_order(self) -> "_Between":
        if self.low > self.high:
            raise InputError(
                f"{type(self).__name__}: low must be at most high, got {self.low} and {self.high}"
            )
        return self


class UniformPhotons(_Between):
    """Any brightness between two limits."""

    kind: Literal["uniform"] = "uniform"

    def draw(self, n: int, rng: Generator) -> Array:
        """Draw the photons of `n` molecules."""
        return rng.uniform(self.low, self.high, n)


Photons: TypeAlias = Annotated[
    ConstantPhotons | LognormalPhotons | ExponentialPhotons | UniformPhotons,
    Field(discriminator="kind"),
]


class FlatBackground(Settings):
    """The same in every pixel of every frame."""

    kind: Literal["flat"] = "flat"
    level: float = Field(default=10.0, ge=0, le=_MOST, description="photons per pixel")

    def images(self, frames: int, shape: Shape, rng: Generator) -> Array:
        """Return the (T, Y, X) expected background, photons per pixel; read only."""
        return np.broadcast_to(self.level, (frames, *shape))


class GradientBackground(Settings):
    """A smooth field that stays, as from uneven illumination."""

    kind: Literal["gradient"] = "gradient"
    level: float = Field(default=10.0, ge=0, le=_MOST, description="mean photons per pixel")
    contrast: float = Field(
        default=0.5, ge=0, le=1, description="largest departure from the mean, relative to it"
    )

    def images(self, frames: int, shape: Shape, rng: Generator) -> Array:
        """Return the (T, Y, X) expected background, photons per pixel; read only."""
        import torch

        field = smooth(torch.from_numpy(rng.standard_normal((1, 3, 3))), shape)[0].numpy()
        field -= field.mean()
        field /= max(np.abs(field).max(), 1e-9)
        return np.broadcast_to(self.level * (1 + self.contrast * field), (frames, *shape))


class FrameBackground(_Between):
    """Flat in each frame, another level in the next."""

    kind: Literal["per_frame"] = "per_frame"

    def images(self, frames: int, shape: Shape, rng: Generator) -> Array:
        """Return the (T, Y, X) expected background, photons per pixel; read only."""
        levels = rng.uniform(self.low, self.high, (frames, 1, 1))
        return np.broadcast_to(levels, (frames, *shape))


Background: TypeAlias = Annotated[
    FlatBackground | GradientBackground | FrameBackground, Field(discriminator="kind")
]
