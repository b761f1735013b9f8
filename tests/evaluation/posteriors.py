"""Cheap models with a known posterior, and posteriors that are wrong in a known way.

`field_frame` is a Gaussian random field: correlated pixels around a known mean. `molecule_frame`
is a mixture: each molecule is there or not, somewhere near its centre. The truth is one draw of the
posterior; samples of a narrow or wide one have 0.7 or 1.4 times its spread, of a shifted one are
off by 0.4 SD.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import expit, logit

from napari_smlm_diffusion.density import kernel_density, kernel_share

KERNEL, UPSAMPLING, SHAPE = 1.25, 2, (12, 12)
SHARE = kernel_share(KERNEL)


class Wrong(NamedTuple):
    """Scale of the claimed spread, shift in SD."""

    scale: float = 1.0
    shift: float = 0.0


KINDS = {"honest": Wrong(), "narrow": Wrong(0.7), "wide": Wrong(1.4), "shifted": Wrong(1.0, 0.4)}


def noise(rng, n, shape, width):
    """Correlated Gaussian noise of SD 1, (n, *shape)."""
    white = rng.normal(size=(n, *shape))
    smooth = gaussian_filter(white, (0, width, width), mode="wrap")
    impulse = np.zeros(shape)
    impulse[0, 0] = 1
    kernel = gaussian_filter(impulse, width, mode="wrap")
    return smooth / np.sqrt((kernel**2).sum())


def field_frame(rng, wrong, samples=39, shape=(24, 24)):
    """Return truth (Y, X) and samples (L, Y, X) of a field with a mean and an SD of its own."""
    level = rng.uniform(0.2, 1.0)
    mean = level * (1 + 0.3 * noise(rng, 1, shape, 3.0)[0])
    sd = 0.3 * level
    draws = sd * noise(rng, samples + 1, shape, 1.5)
    return mean + draws[0], mean + wrong.shift * sd + wrong.scale * draws[1:]


class Molecules(NamedTuple):
    """One frame of the mixture.

    Attributes
    ----------
    centre, sd, probability
        (N, 2) camera pixels, (N,), (N,): the posterior that made the truth.
    true_points, points
        Molecules of the truth, and of each sample.
    bounds
        (M, 2) Cramer-Rao bounds of the true ones: their posterior is as wide.
    truth, samples
        Their densities.
    """

    centre: np.ndarray
    sd: np.ndarray
    probability: np.ndarray
    true_points: np.ndarray
    points: list
    bounds: np.ndarray
    truth: np.ndarray
    samples: np.ndarray


def molecule_frame(rng, wrong, samples=39):
    """Return a frame with a crowd of four, and molecules that are alone and all but sure."""
    crowd = 2.5 + rng.uniform(-1.2, 1.2, (4, 2))
    alone = np.array([[2.5, 9.0], [9.0, 2.5], [9.0, 9.0]]) + rng.uniform(-0.8, 0.8, (3, 2))
    centre = np.concatenate([crowd, alone])
    sd = rng.uniform(0.1, 0.3, 7)
    probability = np.append(rng.uniform(0.3, 0.98, 4), rng.uniform(0.95, 1.0, 3))

    def draw(count, scale, shift):
        # In logits, so that the claim stays a probability: too sure, too unsure, too many.
        claimed = expit(logit(np.minimum(probability, 1 - 1e-9)) / scale**2 + 2.5 * shift)
        place = centre + sd[:, None] * (scale * rng.normal(size=(count, 7, 2)) + shift)
        return place, rng.random((count, 7)) < claimed

    place, there = (
        np.concatenate(both) for both in zip(draw(1, 1.0, 0.0), draw(samples, *wrong), strict=True)
    )
    true_points, *points = (p[t] for p, t in zip(place, there, strict=True))
    bounds = np.repeat(sd[there[0], None], 2, axis=1)
    truth, *drawn = densities(place, there)
    return Molecules(centre, sd, probability, true_points, points, bounds, truth, np.stack(drawn))


def densities(place, there):
    """Density (K, sY, sX) of each draw; as `density_image`, of all draws at once."""
    weight = torch.from_numpy(np.asarray(there, float))
    return kernel_density(torch.from_numpy(place), weight, SHAPE, UPSAMPLING, KERNEL).numpy()
