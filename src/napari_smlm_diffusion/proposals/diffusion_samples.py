"""Samples of the posterior p(density | frame), and their moments, one frame at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smlm_diffusion.compute.memory import halved
from napari_smlm_diffusion.diffusion.field import Field
from napari_smlm_diffusion.diffusion.noise import START, NoiseField
from napari_smlm_diffusion.diffusion.psi import Psi
from napari_smlm_diffusion.diffusion.samplers import by_name, evaluations
from napari_smlm_diffusion.diffusion.schedule import check_steps
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.networks.deepstorm import UPSAMPLING
from napari_smlm_diffusion.networks.inputs import network_input
from napari_smlm_diffusion.networks.settings import SamplingSettings
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.localizer import as_tensors

FEWEST_SAMPLES = 2


def psi_of(model: Model) -> Psi:
    """Return the model's Psi.

    Raises
    ------
    InputError
        If it has none.
    """
    if model.psi is None:
        raise InputError(
            f"model {model.card.name} has no diffusion model, which draws them; choose one with "
            "the stage psi (see `smlm-diffusion models`), or do without samples",
            field="samples",
        )
    return model.psi


def asked_sampling(model: Model, **asked: Any) -> SamplingSettings:
    """Return how the model samples, with what is asked for otherwise; None asks for nothing.

    What a distilled model was not made for is its teacher's, from the teacher's usual settings.

    Raises
    ------
    InputError
        If it has no Psi.
    """
    own = psi_of(model).settings.sampling
    given = {name: value for name, value in asked.items() if value is not None}
    if own.model_copy(update=given) == own:
        return own
    base = own if model.teacher is None else model.teacher.settings.sampling
    return base.model_copy(update=given)


def check_samples(samples: int) -> None:
    """Refuse a number of samples that has no variance.

    Raises
    ------
    InputError
        If it is below 2.
    """
    if samples < FEWEST_SAMPLES:
        raise InputError(
            f"a variance needs at least {FEWEST_SAMPLES} samples, got {samples} (0 draws none and "
            "takes the variance head)",
            field="samples",
        )


@dataclass(frozen=True)
class Batches:
    """How many samples of a frame are drawn at once; it changes no digit of them.

    Attributes
    ----------
    pixels : int
        Fine pixels at most: half a million take 60 MB inside the network.
    fewest : int
        Batches that a frame's samples come in at least, however small the frame is.
    """

    pixels: int = 2**19
    fewest: int = 1

    def sizes(self, samples: int, shape: tuple[int, int]) -> list[int]:
        """Split K samples of (Y, X) fine pixels evenly.

        None is alone: a batch of one would be computed by other kernels, with other rounding.
        """
        most = min(self.pixels // (shape[0] * shape[1]), -(-samples // self.fewest))
        pieces = -(-samples // max(FEWEST_SAMPLES, most))
        pieces = min(pieces, samples // FEWEST_SAMPLES)
        return [samples // pieces + (i < samples % pieces) for i in range(pieces)]


AT_ONCE = Batches()


class Posterior:
    """Draws samples for the frames of one microscope.

    Parameters
    ----------
    model : Model
        With a Psi.
    microscope : Microscope
        Camera, pixel size, PSF width; its maps cropped to the frames.
    sampling : SamplingSettings or None
        None takes what the model was calibrated with; any other is done by the teacher of a
        distilled model.
    seed : int
        Of all noise.
    origin : (y0, x0)
        Camera pixel of the full image at which the frames begin.
    batches : Batches
        How many samples are drawn at once.
    levels : (n + 1,) tensor or None
        Noise levels in place of those of `sampling`, strictly decreasing, the last 0.

    Raises
    ------
    InputError
        If the model has no Psi, or sampler, steps or noise levels are not possible.
    """

    def __init__(
        self,
        model: Model,
        microscope: Microscope,
        sampling: SamplingSettings | None = None,
        seed: int = 0,
        origin: tuple[int, int] = (0, 0),
        batches: Batches = AT_ONCE,
        levels: Tensor | None = None,
    ) -> None:
        self._psi = psi_of(model)
        own = sampling is None or sampling == self._psi.settings.sampling
        if model.teacher is not None and not (own and levels is None):
            self._psi = model.teacher
        self.network = model.card.phi
        self.sampling = sampling or self._psi.settings.sampling
        self.sd_scale = self._psi.settings.sd_scale
        self._microscope = microscope
        self._seed = seed
        self._batches = batches
        self._origin = (origin[0] * UPSAMPLING, origin[1] * UPSAMPLING)
        self._sampler = by_name(self.sampling.sampler)
        if levels is None:
            check_steps(self.sampling.steps)
            levels = self._psi.levels(self.sampling)
        self._levels = levels

    def describe(self) -> dict[str, Any]:
        """Return recipe, sampler and noise levels in JSON types."""
        return {
            "recipe": self._psi.recipe.name,
            **self.sampling.model_dump(mode="json"),
            "evaluations": evaluations(self.sampling.sampler, len(self._levels) - 1),
            "levels": [round(float(level), 4) for level in self._levels],
            "tile": self._psi.settings.tile,
            "overlap": self._psi.settings.overlap,
            **({} if self.sd_scale is None else {"sd_scale": self.sd_scale.model_dump()}),
        }

    def draw(self, effective: NDArray[np.float32], frame: int, samples: int) -> Iterator[Tensor]:
        """Draw samples of one frame.

        Parameters
        ----------
        effective : (Y, X) float32 array
            Effective photons.
        frame : int
            Absolute index of the frame: part of the noise's seed.
        samples : int
            K.

        Yields
        ------
        Tensor
            (n, sY, sX) densities on the CPU, sample 0 first, K in all.

        Raises
        ------
        InputError
            If K is below 2.
        """
        check_samples(samples)
        width = torch.full((1,), self._microscope.psf_sigma_px)
        frames = as_tensors(effective[None], self._microscope)
        field = Field(self._psi, network_input(*frames, width))
        noise = NoiseField(self._seed, frame, self._origin)
        first = 0
        counts = self._batches.sizes(samples, field.padded)
        while counts:
            try:
                batch = self._batch(field, noise, range(first, first + counts[0]))
            except (RuntimeError, MemoryError) as error:
                # For the rest of the run: it would be too much the next time too.
                count = halved(error, counts[0], FEWEST_SAMPLES)
                pixels = count * field.padded[0] * field.padded[1]
                self._batches = replace(self._batches, pixels=pixels)
                counts = self._batches.sizes(samples - first, field.padded)
                continue
            yield batch
            first += counts.pop(0)

    @torch.inference_mode()
    def _batch(self, field: Field, noise: NoiseField, samples: range) -> Tensor:
        guess = field.guess

        def draw(step: int) -> Tensor:
            images = [noise.draw(k, step, field.padded) for k in samples]
            return torch.from_numpy(np.stack(images)).to(guess.device)

        first = float(self._levels[0])
        if self.sampling.start == "guided":
            start = guess + first * draw(START)
        else:
            # The papers start from N(0, I) in their scale sqrt(gamma) z.
            start = (1.0 + first**2) ** 0.5 * draw(START)
        target = self._sampler(field.denoise, start, self._levels, draw)
        return field.density(target).float().cpu()


class Moments:
    """Mean and variance of images that arrive in batches, without keeping them.

    Chan et al. 1979, in double precision.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0
        self.mean = np.zeros(shape)
        self._squares = np.zeros(shape)

    def add(self, images: NDArray[np.float32]) -> None:
        """Add (n, ...) images, one after the other: the batch does not change a digit."""
        for image in images:
            self.count += 1
            off = image - self.mean
            self.mean += off / self.count
            self._squares += off * (image - self.mean)

    @property
    def variance(self) -> NDArray[np.float64]:
        """Unbiased variance; NaN before the second image."""
        if self.count < FEWEST_SAMPLES:
            return np.full_like(self.mean, np.nan)
        return self._squares / (self.count - 1)
