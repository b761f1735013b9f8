"""Photons and background per molecule, then one joint scoring step with its Cramer-Rao bound.

Given positions, the expected frame is linear in the amplitudes. They are fitted by the
multiplicative update of Richardson (1972) and Lucy (1974): the maximum-likelihood estimate that
stays positive. Read noise enters as in the shifted-Poisson likelihood,
data + r^2 ~ Poisson(mu + r^2).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from napari_smlm_diffusion.emitters import Columns, Emitters
from napari_smlm_diffusion.optics.forward import Windows, score_and_information, stack_parameters
from napari_smlm_diffusion.optics.psf.base import PSF

_ITERATIONS = 16
# Background is a bilinear surface through knots this many camera pixels apart.
_KNOT_SPACING = 16
_NEIGHBOURS = 5
NEIGHBOUR_REACH = 4.0
"""A neighbour further away than so many PSF widths is none."""
# Weak priors that keep the information invertible where two emitters cannot be told apart: phi has
# seen each of them within about a pixel, and photons and background within a factor of a few.
_PRIOR_POSITION = (2.0, 2.0, 500.0)  # px, px, nm
_PRIOR_RELATIVE = 3.0
_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class PhotonFit(Columns):
    """What the raw frame says of M emitters, in camera pixels (z in nm) and effective photons.

    Tensors, or arrays after ``each(Tensor.numpy)``.

    Attributes
    ----------
    emitters : Emitters
        With the photons that were fitted.
    background : (M,)
        Per pixel under the emitter.
    step : (M, D)
        Where the likelihood would move the position.
    bound : (M, D)
        Cramer-Rao bound on each coordinate, jointly with the photons, the background and the
        nearest neighbours' positions and photons; at most `_PRIOR_POSITION`.
    misfit : (M,)
        Mean squared standardised residual in the emitter's window; 1 when the model fits.
    neighbour : (M,)
        Distance to the nearest other emitter of the frame, at most `NEIGHBOUR_REACH` widths.
    """

    emitters: Emitters[Any]
    background: Any
    step: Any
    bound: Any
    misfit: Any
    neighbour: Any


def _initial_background(frames: Tensor) -> Tensor:
    """(B, 1, ky, kx) knots that start at the 20 % quantile of each frame, at least a trace."""
    height, width = frames.shape[1:]
    knots = (max(2, height // _KNOT_SPACING), max(2, width // _KNOT_SPACING))
    rank = max(1, round(0.2 * frames[0].numel()))
    level = frames.flatten(1).kthvalue(rank, dim=1).values.clamp_min(0.05)
    return level[:, None, None, None].expand(-1, 1, *knots).clone()


def _surface(knots: Tensor, shape: tuple[int, int]) -> Tensor:
    return F.interpolate(knots, size=shape, mode="bilinear", align_corners=False)[:, 0]


def fit_amplitudes(
    frames: Tensor, read_variance: Tensor, psf: PSF, emitters: Emitters[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Fit non-negative photons for given positions, and a smooth background.

    Parameters
    ----------
    frames : Tensor
        (B, Y, X) effective photons.
    read_variance : Tensor
        (B or 1, Y or 1, X or 1) squared effective read noise.
    psf : PSF
    emitters : Emitters
        Their frame is an index into the batch.

    Returns
    -------
    photons : Tensor
        (M,).
    background, expected : Tensor
        (B, Y, X) background and whole expected frame, both without read variance.
    """
    windows = Windows(frames.shape, emitters.frame, emitters.position, psf.radius_px)
    light = psf.image(windows.offset) * windows.inside
    caught = light.sum((1, 2)).clamp_min(1e-3)

    shape = (frames.shape[1], frames.shape[2])
    data = (frames + read_variance).clamp_min(0.0)
    knots = _initial_background(frames)
    background = _surface(knots, shape)
    photons = (windows.gather(frames - background) * light).sum((1, 2)) / light.square().sum((1, 2))
    photons = photons.clamp_min(1.0)
    for _ in range(_ITERATIONS):
        expected = background + windows.scatter(light * photons[:, None, None])
        ratio = data / (expected + read_variance)
        photons = photons * (light * windows.gather(ratio)).sum((1, 2)) / caught
        # Collected on the knots: EM needs the shape, not the exact adjoint of the surface.
        knots = knots * F.adaptive_avg_pool2d(ratio[:, None], (knots.shape[2], knots.shape[3]))
        background = _surface(knots, shape)
    expected = background + windows.scatter(light * photons[:, None, None])
    return photons, background, expected


def _neighbours(emitters: Emitters[Tensor], reach: float) -> tuple[Tensor, Tensor]:
    """Return the nearest emitters of the same frame, and how far the nearest is.

    (M, n) indices, M where there is none, and (M,) distances, `reach` where there is none.
    """
    # Frames are set far apart along a third axis, so that one tree serves the whole batch.
    points = np.column_stack([emitters.position[:, :2].numpy(), emitters.frame.numpy() * 1e5])
    distance, index = cKDTree(points).query(
        points, k=_NEIGHBOURS + 1, distance_upper_bound=reach, workers=1
    )
    nearest = np.minimum(np.asarray(distance)[:, 1], reach)
    return torch.from_numpy(np.asarray(index)[:, 1:]), torch.from_numpy(nearest).float()


def fit_photons(
    frames: Tensor, read_variance: Tensor, psf: PSF, emitters: Emitters[Tensor]
) -> PhotonFit:
    """Fit photons, then score once: each emitter with its neighbours, and the background.

    Parameters are as in `fit_amplitudes`. The step is Fisher scoring, d = I^-1 J' (n - mu) / v with
    v = mu + r^2 (one step from a root-n-consistent start is efficient: Le Cam 1956), and the bound
    is the diagonal of I^-1 (Smith et al. 2010, eq. 9, for many emitters).
    """
    photons, background, expected = fit_amplitudes(frames, read_variance, psf, emitters)
    return score_photons(
        frames, read_variance, psf, replace(emitters, photons=photons), background, expected
    )


def score_photons(
    frames: Tensor,
    read_variance: Tensor,
    psf: PSF,
    emitters: Emitters[Tensor],
    background: Tensor,
    expected: Tensor,
) -> PhotonFit:
    """Score as `fit_photons` does, where photons and (B, Y, X) background and mean are known."""
    frame, position, photons = emitters.frame, emitters.position, emitters.photons
    if len(frame) == 0:
        none, places = torch.zeros(0), torch.zeros_like(position)
        return PhotonFit(emitters, none, places, places, none, none)
    neighbours, nearest = _neighbours(emitters, NEIGHBOUR_REACH * psf.sigma_px)
    # One emitter more, which is not there: it stands for the neighbours that are missing.
    nobody = torch.cat([position, position.new_zeros(1, position.shape[1])])
    padded = nobody, torch.cat([photons, photons.new_zeros(1)])
    images = frames, read_variance.expand(frames.shape), background, expected
    parts = [
        _score(images, psf, chunk, frame, padded, neighbours)
        for chunk in torch.arange(len(frame)).split(_AT_ONCE)
    ]
    photons, under, step, bound, misfit = (torch.cat(v) for v in zip(*parts, strict=True))
    return PhotonFit(replace(emitters, photons=photons), under, step, bound, misfit, nearest)


def _score(
    images: tuple[Tensor, Tensor, Tensor, Tensor],
    psf: PSF,
    chunk: Tensor,
    frame: Tensor,
    padded: tuple[Tensor, Tensor],
    neighbours: Tensor,
) -> tuple[Tensor, ...]:
    position, photons = padded
    radius = psf.radius_px
    windows = Windows(images[0].shape, frame[chunk], position[chunk], radius)
    seen, read_variance, background, mean = (windows.gather(image) for image in images)

    # The emitter itself comes first, then its neighbours; absent ones have no photons.
    group = torch.cat([chunk[:, None], neighbours[chunk]], dim=1)
    present = (group < len(frame)).float()
    offset = windows.relative(position[group])
    light, slopes = psf.image_and_derivatives(offset, radius)
    jacobian = stack_parameters(slopes, light)
    variance = (mean + read_variance).clamp_min(0.05)
    residual = seen - mean
    score, information = score_and_information(jacobian, residual, windows.inside / variance)

    # In units of the priors the matrix has ones on its diagonal at least: float32 is enough. The
    # slopes are those of one photon, so that each column is scaled once, here.
    under = background[:, radius, radius].clamp_min(0.05)
    axes = offset.shape[-1]
    bright = (photons[group] * present).repeat_interleave(axes, dim=1)
    prior = torch.cat(
        [
            bright.new_tensor(_PRIOR_POSITION[:axes]).repeat(group.shape[1]).expand_as(bright),
            _PRIOR_RELATIVE * photons[group].clamp_min(1.0),
            _PRIOR_RELATIVE * (under + 1.0)[:, None],
        ],
        dim=1,
    )
    unit = prior * torch.cat([bright, present, torch.ones_like(under)[:, None]], dim=1)
    information = information * unit[:, :, None] * unit[:, None, :]
    information = information + torch.eye(unit.shape[1])
    # Of the covariance only the columns of the emitter's own coordinates are needed.
    own = torch.eye(unit.shape[1])[:, :axes].expand(len(chunk), -1, -1)
    asked = torch.cat([(score * unit)[:, :, None], own], dim=2)
    solved = torch.cholesky_solve(asked, torch.linalg.cholesky(information))
    step = solved[:, :, 0] * prior
    variance_of_own = solved[:, :axes, 1:].diagonal(dim1=1, dim2=2)
    pixels = windows.inside.sum((1, 2)).clamp_min(1.0)
    misfit = (residual**2 / variance * windows.inside).sum((1, 2)) / pixels
    return (
        (photons[chunk] + step[:, axes * group.shape[1]]).clamp_min(1.0),
        (under + step[:, -1]).clamp_min(0.0),
        step[:, :axes],
        variance_of_own.sqrt() * prior[:, :axes],
        misfit,
    )
