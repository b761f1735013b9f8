"""Photons and background per molecule, then one joint scoring step with its Cramer-Rao bound.

Given positions, the expected frame is linear in the amplitudes. They are fitted by the
multiplicative update of Richardson (1972) and Lucy (1974): the maximum-likelihood estimate that
stays positive. Read noise enters as in the shifted-Poisson likelihood,
data + r^2 ~ Poisson(mu + r^2).
"""

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

_ITERATIONS = 16
# Background is a bilinear surface through knots this many camera pixels apart.
_KNOT_SPACING = 16
_NEIGHBOURS = 5
NEIGHBOUR_REACH = 4.0
"""A neighbour further away than so many PSF widths is none."""
# Weak priors that keep the information invertible where two emitters cannot be told apart: phi has
# seen each of them within about a pixel, and photons and background within a factor of a few.
_PRIOR_POSITION_PX = 2.0
_PRIOR_RELATIVE = 3.0
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class PhotonFit:
    """What the raw frame says of M emitters, in camera pixels and effective photons.

    Attributes
    ----------
    photons, background : Tensor
        (M,) amplitude and background per pixel under the emitter.
    step_y, step_x : Tensor
        (M,) where the likelihood would move the position.
    crlb_y, crlb_x : Tensor
        (M,) bound on each coordinate, jointly with the photons, the background and the nearest
        neighbours' positions and photons; at most `_PRIOR_POSITION_PX`.
    misfit : Tensor
        (M,) mean squared standardised residual in the emitter's window; 1 when the model fits.
    neighbour : Tensor
        (M,) distance to the nearest other emitter of the frame, at most `NEIGHBOUR_REACH` widths.
    """

    photons: Tensor
    background: Tensor
    step_y: Tensor
    step_x: Tensor
    crlb_y: Tensor
    crlb_x: Tensor
    misfit: Tensor
    neighbour: Tensor

    def select(self, which: Tensor) -> "PhotonFit":
        """Return the fit of some of the emitters."""
        return PhotonFit(**{f.name: getattr(self, f.name)[which] for f in fields(self)})


def _integrals(offset: Tensor, sigma: float, radius: int) -> tuple[Tensor, Tensor]:
    """Pixel integrals of a Gaussian and their derivative by its centre, (..., 2 radius + 1).

    `offset` (...,) is the centre relative to the middle pixel of the window.
    """
    edges = torch.arange(2 * radius + 2, dtype=offset.dtype) - radius - 0.5
    scaled = (edges - offset[..., None]) / (math.sqrt(2.0) * sigma)
    integral = 0.5 * torch.diff(torch.erf(scaled), dim=-1)
    gauss = torch.exp(-(scaled**2)) / (math.sqrt(2.0 * math.pi) * sigma)
    return integral, -torch.diff(gauss, dim=-1)


class _Windows:
    """Windows of the frames around emitters: flat indices, and which pixels lie in the frame."""

    def __init__(self, shape: torch.Size, frame: Tensor, y: Tensor, x: Tensor, radius: int) -> None:
        _, height, width = shape
        self.row = y.round().long()
        self.column = x.round().long()
        offsets = torch.arange(-radius, radius + 1)
        rows, columns = self.row[:, None] + offsets, self.column[:, None] + offsets
        self.inside_y = ((rows >= 0) & (rows < height)).float()
        self.inside_x = ((columns >= 0) & (columns < width)).float()
        rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
        self.flat = (frame[:, None] * height + rows)[:, :, None] * width + columns[:, None, :]

    def gather(self, image: Tensor) -> Tensor:
        """(B, Y, X) -> (M, W, W)."""
        return image.flatten()[self.flat]

    def scatter(self, values: Tensor, shape: torch.Size) -> Tensor:
        """Add (M, W, W) values into a (B, Y, X) image."""
        image = torch.zeros(shape, dtype=values.dtype).flatten()
        return image.index_add_(0, self.flat.flatten(), values.flatten()).reshape(shape)


def _initial_background(frames: Tensor) -> Tensor:
    """(B, 1, ky, kx) knots that start at the 20 % quantile of each frame, at least a trace."""
    height, width = frames.shape[1:]
    knots = (max(2, height // _KNOT_SPACING), max(2, width // _KNOT_SPACING))
    rank = max(1, round(0.2 * frames[0].numel()))
    level = frames.flatten(1).kthvalue(rank, dim=1).values.clamp_min(0.05)
    return level[:, None, None, None].expand(-1, 1, *knots).clone()


def _surface(knots: Tensor, shape: tuple[int, int]) -> Tensor:
    return F.interpolate(knots, size=shape, mode="bilinear", align_corners=False)[:, 0]


def _surface_transpose(image: Tensor, knots: tuple[int, int]) -> Tensor:
    """Collect a (B, Y, X) image on the knots; EM needs the shape, not the exact adjoint."""
    return F.adaptive_avg_pool2d(image[:, None], knots)


def fit_amplitudes(
    frames: Tensor, read_variance: Tensor, sigma: float, frame: Tensor, y: Tensor, x: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Fit non-negative photons for given positions, and a smooth background.

    Parameters
    ----------
    frames : Tensor
        (B, Y, X) effective photons.
    read_variance : Tensor
        (B or 1, Y or 1, X or 1) squared effective read noise.
    sigma : float
        SD of the PSF, camera pixels.
    frame, y, x : Tensor
        (M,) index into the batch and positions in camera pixels.

    Returns
    -------
    photons : Tensor
        (M,).
    background, expected : Tensor
        (B, Y, X) background and whole expected frame, both without read variance.
    """
    radius = math.ceil(3 * sigma)
    windows = _Windows(frames.shape, frame, y, x, radius)
    ey, _ = _integrals(y - windows.row, sigma, radius)
    ex, _ = _integrals(x - windows.column, sigma, radius)
    ey, ex = ey * windows.inside_y, ex * windows.inside_x
    psf = ey[:, :, None] * ex[:, None, :]
    caught = psf.sum((1, 2)).clamp_min(1e-3)

    shape = frames.shape
    data = (frames + read_variance).clamp_min(0.0)
    knots = _initial_background(frames)
    background = _surface(knots, (shape[1], shape[2]))
    photons = ((windows.gather(frames - background)) * psf).sum((1, 2)) / psf.square().sum((1, 2))
    photons = photons.clamp_min(1.0)
    for _ in range(_ITERATIONS):
        expected = background + windows.scatter(psf * photons[:, None, None], shape)
        ratio = data / (expected + read_variance)
        photons = photons * (psf * windows.gather(ratio)).sum((1, 2)) / caught
        knots = knots * _surface_transpose(ratio, (knots.shape[2], knots.shape[3]))
        background = _surface(knots, (shape[1], shape[2]))
    expected = background + windows.scatter(psf * photons[:, None, None], shape)
    return photons, background, expected


def _neighbours(frame: Tensor, y: Tensor, x: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Return the nearest emitters of the same frame, and how far the nearest is.

    (M, n) indices, M where there is none, and (M,) distances, `reach` where there is none.
    """
    # Frames are set far apart along a third axis, so that one tree serves the whole batch.
    points = np.stack([y.numpy(), x.numpy(), frame.numpy() * 1e5], axis=1)
    distance, index = cKDTree(points).query(
        points, k=_NEIGHBOURS + 1, distance_upper_bound=reach, workers=1
    )
    nearest = np.minimum(np.asarray(distance)[:, 1], reach)
    return torch.from_numpy(np.asarray(index)[:, 1:]), torch.from_numpy(nearest).float()


def fit_photons(
    frames: Tensor, read_variance: Tensor, sigma: float, frame: Tensor, y: Tensor, x: Tensor
) -> PhotonFit:
    """Fit photons, then score once: x, y, photons of each emitter and its neighbours, background.

    Parameters are as in `fit_amplitudes`. The step is Fisher scoring, d = I^-1 J' (n - mu) / v with
    v = mu + r^2 (one step from a root-n-consistent start is efficient: Le Cam 1956), and the bound
    is the diagonal of I^-1 (Smith et al. 2010, eq. 9, for many emitters).
    """
    if len(frame) == 0:
        return PhotonFit(*[torch.zeros(0)] * 8)
    photons, background, expected = fit_amplitudes(frames, read_variance, sigma, frame, y, x)
    neighbours, nearest = _neighbours(frame, y, x, NEIGHBOUR_REACH * sigma)
    padded = [torch.cat([v, torch.zeros(1)]) for v in (y, x, photons)]
    rows = [
        _score(frames, read_variance, background, expected, sigma, chunk, frame, padded, neighbours)
        for chunk in torch.arange(len(frame)).split(_ROWS_AT_ONCE)
    ]
    columns = [torch.cat(values) for values in zip(*rows, strict=True)]
    return PhotonFit(*[*columns, nearest])


def _score(
    frames: Tensor,
    read_variance: Tensor,
    background: Tensor,
    expected: Tensor,
    sigma: float,
    chunk: Tensor,
    frame: Tensor,
    padded: list[Tensor],
    neighbours: Tensor,
) -> tuple[Tensor, ...]:
    all_y, all_x, all_photons = padded
    y, x = all_y[chunk], all_x[chunk]
    radius = math.ceil(3 * sigma)
    windows = _Windows(frames.shape, frame[chunk], y, x, radius)

    # The emitter itself comes first, then its neighbours; absent ones have no photons.
    group = torch.cat([chunk[:, None], neighbours[chunk]], dim=1)
    present = (group < len(frame)).float()
    ey, dy = _integrals((all_y[group] - windows.row[:, None]), sigma, radius)
    ex, dx = _integrals((all_x[group] - windows.column[:, None]), sigma, radius)
    amplitude = (all_photons[group] * present)[..., None]
    ey, ex = ey * present[..., None], ex * present[..., None]
    along_y = torch.einsum("mkw,mkv->mkwv", dy * amplitude, ex)
    along_x = torch.einsum("mkw,mkv->mkwv", ey * amplitude, dx)
    by_photons = torch.einsum("mkw,mkv->mkwv", ey, ex)
    level = torch.ones_like(by_photons[:, :1])
    jacobian = torch.cat([along_y, along_x, by_photons, level], dim=1).flatten(2)

    inside = (windows.inside_y[:, :, None] * windows.inside_x[:, None, :]).flatten(1)
    mean = windows.gather(expected).flatten(1)
    variance = mean + windows.gather(read_variance.expand(frames.shape)).flatten(1)
    variance = variance.clamp_min(0.05)
    residual = windows.gather(frames).flatten(1) - mean
    weighted = jacobian * (inside / variance)[:, None]

    under = windows.gather(background)[:, radius, radius].clamp_min(0.05)
    scale = all_photons[group].clamp_min(1.0)
    prior = torch.cat(
        [
            torch.full_like(scale, _PRIOR_POSITION_PX).repeat(1, 2),
            _PRIOR_RELATIVE * scale,
            _PRIOR_RELATIVE * (under + 1.0)[:, None],
        ],
        dim=1,
    )
    # In units of the priors the matrix has ones on its diagonal at least: float32 is enough.
    information = torch.einsum("map,mbp->mab", weighted, jacobian)
    information = information * prior[:, :, None] * prior[:, None, :]
    information = information + torch.eye(prior.shape[1])
    score = torch.einsum("map,mp->ma", weighted, residual) * prior
    # Of the covariance only the columns of the emitter's own y and x are needed.
    k = group.shape[1]
    own = torch.eye(prior.shape[1])[:, [0, k]].expand(len(chunk), -1, -1)
    asked = torch.cat([score[:, :, None], own], dim=2)
    step, by_y, by_x = torch.cholesky_solve(asked, torch.linalg.cholesky(information)).unbind(2)
    step = step * prior
    pixels = inside.sum(1).clamp_min(1.0)
    misfit = (residual**2 / variance * inside).sum(1) / pixels
    return (
        (all_photons[chunk] + step[:, 2 * k]).clamp_min(1.0),
        (under + step[:, -1]).clamp_min(0.0),
        step[:, 0],
        step[:, k],
        by_y[:, 0].sqrt() * prior[:, 0],
        by_x[:, k].sqrt() * prior[:, k],
        misfit,
    )
