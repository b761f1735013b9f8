"""The forward model: what a frame is expected to be, and how much it tells.

A molecule of N photons adds N times its PSF to the background. The camera's noise (in effective
photons, see `optics.camera`) is taken as Poisson, shifted by the variance of the read noise
(Huang et al. 2013): a pixel of mean mu and variance v = mu + r^2 has the score (n - mu) / v and
the information 1 / v. Everything is differentiable by torch and computed in the precision of what
is given: float32 for networks and fits, float64 for the reference.

Leading axes (...) are frames; parameters are in the order of `position.flatten()`, the photons,
then the background.
"""

import torch
from torch import Tensor

from napari_smlm_diffusion.optics.psf.base import PSF, Separable


class Windows:
    """Square windows of (B, Y, X) frames around M molecules.

    Parameters
    ----------
    shape : (B, Y, X)
        Of the frames.
    frame : (M,) integer Tensor
        Index into the batch.
    position : (M, D) Tensor
        Places in camera pixels; y and x come first.
    radius_px : int
        Half side; W = 2 radius + 1.

    Attributes
    ----------
    offset : (M, D) Tensor
        Place relative to the window's middle pixel, as a PSF takes it.
    inside : (M, W, W) Tensor
        1 for pixels in the frame, 0 beyond its border.
    """

    def __init__(
        self, shape: tuple[int, ...], frame: Tensor, position: Tensor, radius_px: int
    ) -> None:
        _, height, width = shape
        middle = position[:, :2].detach().round()
        steps = torch.arange(-radius_px, radius_px + 1, device=position.device)
        row, column = (middle[:, axis].long()[:, None] + steps for axis in (0, 1))
        inside_y, inside_x = (row >= 0) & (row < height), (column >= 0) & (column < width)
        row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
        self._middle = middle
        self._shape = shape
        self._flat = (frame[:, None] * height + row)[:, :, None] * width + column[:, None, :]
        self.offset = self.relative(position)
        self.inside = (inside_y[:, :, None] & inside_x[:, None, :]).to(position.dtype)

    def relative(self, position: Tensor) -> Tensor:
        """Return (M, D) or (M, K, D) places relative to the middle pixel of each window."""
        middle = self._middle.reshape(len(self._middle), *(1,) * (position.ndim - 2), 2)
        moved = position[..., :2] - middle
        return moved if position.shape[-1] == 2 else torch.cat([moved, position[..., 2:]], -1)

    def gather(self, image: Tensor) -> Tensor:
        """Return the windows (M, W, W) of (B, Y, X) images; see `inside` for their borders."""
        return image.flatten()[self._flat]

    def scatter(self, values: Tensor) -> Tensor:
        """Return (B, Y, X) images, the sum of (M, W, W) windows, which are 0 outside."""
        image = torch.zeros(self._shape, dtype=values.dtype, device=values.device).flatten()
        return image.index_add_(0, self._flat.flatten(), values.flatten()).reshape(self._shape)


def expected(
    position: Tensor,
    photons: Tensor,
    psf: PSF,
    shape: tuple[int, int],
    background: float | Tensor = 0.0,
) -> Tensor:
    """Return the expected frames, (..., Y, X) photons per pixel.

    Parameters
    ----------
    position : (..., M, D) Tensor
        Camera pixels (z in nm); molecules outside the frame are welcome: their tails fall into it.
    photons : (..., M) Tensor
        Of each molecule, on an endless sensor; 0 is no molecule.
    psf : PSF
    shape : (Y, X)
    background : float or Tensor
        Photons per pixel, broadcastable to (..., Y, X).
    """
    if isinstance(psf, Separable):
        along_y, along_x = psf.profiles(position, shape)
        return (along_y * photons[..., None]).mT @ along_x + background
    lead = position.shape[:-2]
    flat = position.reshape(-1, position.shape[-1])
    windows = _of_batch(position, shape, psf)
    light = psf.image(windows.offset) * windows.inside * photons.reshape(len(flat), 1, 1)
    return windows.scatter(light).reshape(*lead, *shape) + background


def images(position: Tensor, psf: PSF, shape: tuple[int, int]) -> Tensor:
    """Return the light of each of (..., M, D) molecules alone, (..., M, Y, X)."""
    if isinstance(psf, Separable):
        along_y, along_x = psf.profiles(position, shape)
        return along_y[..., :, None] * along_x[..., None, :]
    windows = _alone(position, psf, shape)
    return _spread(psf.image(windows.offset), windows, position, shape)


def _images_and_derivatives(
    position: Tensor, psf: PSF, shape: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return `images` and their derivative by each coordinate, (..., M, D, Y, X)."""
    if isinstance(psf, Separable):
        (y, x), (dy, dx) = psf.profiles(position, shape), psf.slopes(position, shape)
        light, by_y, by_x = (
            a[..., :, None] * b[..., None, :] for a, b in ((y, x), (dy, x), (y, dx))
        )
        return light, torch.stack([by_y, by_x], dim=-3)
    windows = _alone(position, psf, shape)
    seen = psf.image_and_derivatives(windows.offset)
    light, slopes = (_spread(values, windows, position, shape) for values in seen)
    return light, slopes


def jacobian(position: Tensor, photons: Tensor, psf: PSF, shape: tuple[int, int]) -> Tensor:
    """Return the derivative of `expected` by each parameter, (..., P, Y, X), P = M D + M + 1."""
    light, slopes = _images_and_derivatives(position, psf, shape)
    return stack_parameters(slopes * photons[..., None, None, None], light)


def stack_parameters(slopes: Tensor, light: Tensor) -> Tensor:
    """Put (..., M, D, H, W) slopes, (..., M, H, W) light and the background in one Jacobian."""
    ones = light.new_ones(*light.shape[:-3], 1, *light.shape[-2:])
    return torch.cat([slopes.flatten(-4, -3), light, ones], dim=-3)


def log_likelihood(frames: Tensor, mean: Tensor, read_variance: float | Tensor = 0.0) -> Tensor:
    """Return log p(frame | mean) up to a constant of the frame, (...,) summed over the pixels.

    Readings below minus the read variance, impossible here, count as that.

    Parameters
    ----------
    frames, mean : (..., Y, X) Tensor
        Effective photons.
    read_variance : float or Tensor
        Squared effective read noise.
    """
    counts, rate = (frames + read_variance).clamp_min(0.0), mean + read_variance
    return (torch.xlogy(counts, rate) - rate).sum((-2, -1))


def score_and_information(
    jacobian: Tensor, residual: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the score and the Fisher information of P parameters (Smith et al. 2010, eq. 9).

    Parameters
    ----------
    jacobian : (..., P, Y, X) Tensor
        Of the expected frame, as `jacobian`.
    residual : (..., Y, X) Tensor
        Frame less expected frame.
    weight : (..., Y, X) Tensor
        What a pixel tells of its mean, 1 / (mean + read variance); 0 where there is no pixel.

    Returns
    -------
    score : (..., P) Tensor
        Derivative of the log likelihood.
    information : (..., P, P) Tensor
        Its covariance.
    """
    flat = jacobian.flatten(-2)
    weighted = flat * weight.flatten(-2)[..., None, :]
    score = (weighted @ residual.flatten(-2)[..., None])[..., 0]
    return score, weighted @ flat.mT


def _of_batch(position: Tensor, shape: tuple[int, int], psf: PSF) -> Windows:
    """Windows of (..., M, D) molecules in frames that are put in one row."""
    flat = position.reshape(-1, *position.shape[-2:])
    count, each = flat.shape[:2]
    frame = torch.arange(count, device=position.device).repeat_interleave(each)
    return Windows((count, *shape), frame, flat.flatten(0, 1), psf.radius_px)


def _alone(position: Tensor, psf: PSF, shape: tuple[int, int]) -> Windows:
    """Windows of (..., M, D) molecules, each in a frame of its own."""
    flat = position.reshape(-1, position.shape[-1])
    own = torch.arange(len(flat), device=position.device)
    return Windows((len(flat), *shape), own, flat, psf.radius_px)


def _spread(values: Tensor, windows: Windows, position: Tensor, shape: tuple[int, int]) -> Tensor:
    """Put what is seen in the windows of `_alone`, (N, ..., W, W), on their frames, 0 elsewhere."""
    planes = values.reshape(len(values), -1, *values.shape[-2:]) * windows.inside[:, None]
    frames = torch.stack([windows.scatter(plane) for plane in planes.unbind(1)], dim=1)
    return frames.reshape(*position.shape[:-1], *values.shape[1:-2], *shape)
