"""Samplers: pure functions of (denoise, start, levels, noise) that return a clean image.

`levels` are n + 1 noise levels, strictly decreasing, the last 0; `start` is a noisy image at the
first. Nothing is clamped: that would narrow the posterior near zero density. `noise(i)` gives
the standard normal image of step i and is called only by the samplers that need it.
"""

import math
from collections.abc import Callable
from itertools import pairwise

from torch import Tensor

from napari_smlm_diffusion.diffusion.denoiser import Denoise
from napari_smlm_diffusion.errors import InputError

Noise = Callable[[int], Tensor]
Sampler = Callable[[Denoise, Tensor, Tensor, Noise], Tensor]


def ancestral(denoise: Denoise, start: Tensor, levels: Tensor, noise: Noise) -> Tensor:
    """DDPM (Ho et al. 2020, eq. 6-7): draw each next image from q(z' | z, D(z))."""
    z = start
    for i, (now, after) in enumerate(_pairs(levels)):
        clean = denoise(z, now)
        keep = (after / now) ** 2
        z = keep * z + (1.0 - keep) * clean
        if after > 0:
            z = z + after * math.sqrt(1.0 - keep) * noise(i)
    return z


def ddim(denoise: Denoise, start: Tensor, levels: Tensor, noise: Noise) -> Tensor:
    """DDIM (Song et al. 2021, eq. 12 with eta = 0): Euler's method in sigma. Errs narrow."""
    del noise
    z = start
    for now, after in _pairs(levels):
        z = _towards(denoise(z, now), z, after / now)
    return z


def heun(denoise: Denoise, start: Tensor, levels: Tensor, noise: Noise) -> Tensor:
    """Second order, two evaluations a step but the last (Karras et al. 2022). Errs wide."""
    del noise
    z = start
    for now, after in _pairs(levels):
        clean = denoise(z, now)
        guess = _towards(clean, z, after / now)
        if after > 0:
            slope = (z - clean) / now
            slope_after = (guess - denoise(guess, after)) / after
            guess = z + (after - now) * 0.5 * (slope + slope_after)
        z = guess
    return z


def multistep(denoise: Denoise, start: Tensor, levels: Tensor, noise: Noise) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, alg. 2): second order at one evaluation a step.

    The clean image is extrapolated in log sigma from the last two evaluations.
    """
    del noise
    z = start
    before: tuple[Tensor, float] | None = None
    for now, after in _pairs(levels):
        clean = denoise(z, now)
        ahead = clean
        if before is not None and after > 0:
            ratio = math.log(now / after) / math.log(before[1] / now)
            ahead = clean + 0.5 * ratio * (clean - before[0])
        z = _towards(ahead, z, after / now)
        before = clean, now
    return z


SAMPLERS: dict[str, Sampler] = {
    "ancestral": ancestral,
    "ddim": ddim,
    "heun": heun,
    "multistep": multistep,
}


def evaluations(sampler: str, steps: int) -> int:
    """Return the network evaluations of one sample."""
    return 2 * steps - 1 if sampler == "heun" else steps


def by_name(name: str) -> Sampler:
    """Return a sampler.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if name not in SAMPLERS:
        raise InputError(f"must be one of {', '.join(SAMPLERS)}, got {name}", field="sampler")
    return SAMPLERS[name]


def _pairs(levels: Tensor) -> list[tuple[float, float]]:
    values = [float(v) for v in levels]
    return list(pairwise(values))


def _towards(clean: Tensor, z: Tensor, ratio: float) -> Tensor:
    """Return the image whose noise is `ratio` of what separates z from the clean image."""
    return clean + ratio * (z - clean)
