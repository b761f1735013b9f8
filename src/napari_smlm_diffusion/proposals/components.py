"""From density to emitters: peaks, then the molecules that share one.

phi's density is the true kernel blurred by what phi does not know, on an absolute scale: its
integral over a blob is the expected number of molecules in it. So a blob is a small mixture. Peaks
of the Laplacian of Gaussian seed its components, expectation-maximisation gives each its mass,
centre and spread, and a component whose mass says two molecules is split along its long axis.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.emitters import Columns, Emitters, concatenate

# Response under which a maximum is taken for noise, in units of an isolated molecule's response.
SEED_THRESHOLD = 0.05
# A component reaches this far, in kernel widths: the blur of phi's uncertainty is inside too.
REACH = 4.0
_ITERATIONS = 3
_SPLIT_MASS = 1.5
_MIN_MASS = 0.1


@dataclass(frozen=True, eq=False)
class Components(Columns):
    """M parts of the mixtures that a batch of densities are, in fine pixels.

    Attributes
    ----------
    frame : Tensor
        (M,) index into the batch, sorted.
    position : Tensor
        (M, 2) centres, y and x.
    mass : Tensor
        (M,) expected number of molecules.
    spread : Tensor
        (M, 2) variances along y and x, the kernel's own included.
    covariance : Tensor
        (M,) of y and x.
    """

    frame: Tensor
    position: Tensor
    mass: Tensor
    spread: Tensor
    covariance: Tensor

    def emitters(self, upsampling: int) -> Emitters[Tensor]:
        """Return them in camera pixels, their mass as multiplicity."""
        place = (self.position + 0.5) / upsampling - 0.5
        return Emitters(self.frame, place, multiplicity=self.mass)


def _taps(sigma: float) -> tuple[list[float], list[float]]:
    """Return half-kernels of a Gaussian and of its negated, scale-normalised second derivative.

    The centre comes first; with both sides the Gaussian sums to 1 and its derivative to 0.
    """
    r = torch.arange(math.ceil(4 * sigma) + 1, dtype=torch.float64)
    gauss = torch.exp(-(r**2) / (2 * sigma**2))
    both_sides = torch.where(r > 0, 2.0, 1.0)
    gauss = gauss / (both_sides * gauss).sum()
    second = (1.0 - r**2 / sigma**2) * gauss
    second = second - (both_sides * second).sum() * gauss
    return gauss.tolist(), second.tolist()


def _filtered(image: Tensor, half: list[float], dim: int) -> Tensor:
    """Filter along one dimension by a symmetric kernel, zeros outside.

    As sums of shifted images: for one channel on a CPU several times faster than a convolution.
    """
    reach, size = len(half) - 1, image.shape[dim]
    padded = F.pad(image, (reach, reach) if dim == 2 else (0, 0, reach, reach))
    result = half[0] * image
    for distance, tap in enumerate(half[1:], start=1):
        pair = padded.narrow(dim, reach - distance, size) + padded.narrow(
            dim, reach + distance, size
        )
        result.add_(pair, alpha=tap)
    return result


def laplacian_of_gaussian(image: Tensor, sigma: float) -> Tensor:
    """Return the scale-normalised, negated Laplacian of a (B, Y, X) image smoothed by `sigma`."""
    gauss, second = _taps(sigma)
    along_y = _filtered(_filtered(image, second, 1), gauss, 2)
    return along_y.add_(_filtered(_filtered(image, gauss, 1), second, 2))


def _highest_around(image: Tensor) -> Tensor:
    """Return the maximum of each 3 x 3 neighbourhood of a (B, Y, X) image."""
    for dim, pad in ((2, (1, 1)), (1, (0, 0, 1, 1))):
        size = image.shape[dim]
        padded = F.pad(image, pad, value=-math.inf)
        sides = torch.maximum(padded.narrow(dim, 0, size), padded.narrow(dim, 2, size))
        image = torch.maximum(image, sides)
    return image


def find_seeds(
    density: Tensor, kernel_sigma: float, threshold: float = SEED_THRESHOLD
) -> tuple[Tensor, Tensor]:
    """Return frame (M,) and fine pixel (M, 2) of the response's local maxima.

    Parameters
    ----------
    density : Tensor
        (B, sY, sX).
    kernel_sigma : float
        In fine pixels; also the scale of the filter.
    threshold : float
        Response under which a maximum is noise, in units of an isolated molecule's response.
    """
    response = laplacian_of_gaussian(density, kernel_sigma)
    # A Gaussian blob of peak 1, filtered at its own scale, answers with 1/2.
    found = (response == _highest_around(response)) & (response > 0.5 * threshold)
    index = _first_of_ties(found).nonzero()
    return index[:, 0], index[:, 1:]


def _first_of_ties(found: Tensor) -> Tensor:
    """Drop a maximum that has another just before it: a blob midway between pixels has several."""
    before = F.pad(found, (1, 1, 1, 0))
    height, width = found.shape[1:]
    rows, left = before[:, :height], before[:, 1:, :width]
    return found & ~(left | rows[:, :, :width] | rows[:, :, 1:-1] | rows[:, :, 2:])


class _Patches:
    """Windows of the fine image around moving components, gathered and scattered as one array."""

    def __init__(self, density: Tensor, reach: int) -> None:
        self.shape = density.shape
        self.padded = F.pad(density, (reach,) * 4)
        self.reach = reach
        self.offsets = torch.arange(-reach, reach + 1)

    def index(self, frame: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Return flat indices (M, W, W) into the padded image and the windows' axes (M, 2, W)."""
        last = torch.tensor(self.shape[1:]) - 1
        middle = position.round().long().clamp(torch.zeros_like(last), last)
        axes = middle[:, :, None] + self.offsets
        height, width = self.padded.shape[1:]
        flat = frame[:, None, None] * (height * width)
        flat = flat + (axes[:, 0, :, None] + self.reach) * width + axes[:, 1, None, :] + self.reach
        return flat, axes


def _expectation_maximisation(
    patches: _Patches, parts: Components, kernel_sigma: float, iterations: int
) -> Components:
    """Share each fine pixel's density among the components that reach it, and update them."""
    share = kernel_share(kernel_sigma)
    minimum = kernel_sigma**2
    maximum = (2.0 * kernel_sigma) ** 2
    image = patches.padded.clamp_min(0.0).flatten()
    position, mass, spread = parts.position, parts.mass, parts.spread
    for _ in range(iterations):
        flat, axes = patches.index(parts.frame, position)
        off = axes - position[:, :, None]
        # The width is bounded: a component must not swallow its neighbours' density.
        width = spread.clamp(minimum, maximum)
        along_y, along_x = torch.exp(-(off**2) / (2 * width[:, :, None])).unbind(1)
        weight = along_y[:, :, None] * (along_x * (mass / width.prod(1).sqrt())[:, None])[:, None]
        total = torch.zeros_like(image).index_add_(0, flat.flatten(), weight.flatten())
        held = weight * (image / total.clamp_min(1e-12))[flat]
        along = torch.stack([held.sum(2), held.sum(1)], dim=1)
        sums = along[:, 0].sum(1).clamp_min(1e-12)
        moved = (along * off).sum(2) / sums[:, None]
        spread = (along * off**2).sum(2) / sums[:, None] - moved**2
        cross = torch.einsum("mij,mi,mj->m", held, *off.unbind(1)) / sums - moved.prod(1)
        position, mass = position + moved, share * sums
    return Components(parts.frame, position, mass, spread, cross)


def _split(parts: Components, kernel_sigma: float) -> Components:
    """Replace each component of mass m >= 1.5 by two of mass m / 2 along its long axis.

    Two equal blobs at +-d along an axis have the variance of one plus d^2 on it.
    """
    heavy = parts.mass >= _SPLIT_MASS
    if not bool(heavy.any()):
        return parts
    some = parts.select(heavy)
    half_sum = 0.5 * some.spread.sum(1)
    half_difference = 0.5 * (some.spread[:, 0] - some.spread[:, 1])
    radius = (half_difference**2 + some.covariance**2).sqrt()
    # The long axis, at half the angle whose cosine and sine are half_difference and covariance over
    # radius. By roots, which round alike in any batch; torch's atan2 does not.
    cosine = torch.where(radius > 0, half_difference / radius, 1.0)
    along_y = (0.5 * (1 + cosine)).clamp_min(0.0).sqrt()
    along_x = torch.copysign((0.5 * (1 - cosine)).clamp_min(0.0).sqrt(), some.covariance)
    single = torch.minimum(half_sum - radius, torch.tensor(1.5 * kernel_sigma**2))
    distance = (half_sum + radius - single).clamp_min((0.4 * kernel_sigma) ** 2).sqrt()
    step = distance[:, None] * torch.stack([along_y, along_x], dim=1)
    halves = [
        replace(
            some,
            position=some.position + sign * step,
            mass=0.5 * some.mass,
            spread=torch.full_like(some.spread, kernel_sigma**2),
            covariance=torch.zeros_like(some.covariance),
        )
        for sign in (-1.0, 1.0)
    ]
    both = concatenate([parts.select(~heavy), *halves])
    return both.select(torch.argsort(both.frame, stable=True))


def find_components(
    density: Tensor,
    kernel_sigma: float,
    seed_threshold: float = SEED_THRESHOLD,
    reach: float = REACH,
) -> Components:
    """Find the emitters of a batch of densities.

    Parameters
    ----------
    density : Tensor
        (B, sY, sX) in units of one molecule's peak.
    kernel_sigma : float
        SD of the density kernel, fine pixels.
    seed_threshold : float
        As in `find_seeds`.
    reach : float
        Half-width of the window of a component, kernel widths. The defaults suit phi's density.

    Returns
    -------
    Components
        Sorted by frame; a mass well above 1 that splitting did not resolve is left as it is, to
        become a localization's multiplicity.
    """
    frame, seed = find_seeds(density, kernel_sigma, seed_threshold)
    patches = _Patches(density, math.ceil(reach * kernel_sigma))
    none, narrow = torch.zeros(len(frame)), torch.full((len(frame), 2), kernel_sigma**2)
    seeds = Components(frame, seed.float(), none + 1, narrow, none)
    parts = _expectation_maximisation(patches, seeds, kernel_sigma, _ITERATIONS)
    parts = parts.select(parts.mass > _MIN_MASS)
    # Up to four molecules a peak. Frames without a heavy component go through the same rounds: how
    # often a frame is updated must not depend on which others share its batch.
    for _ in range(2):
        parts = _split(parts, kernel_sigma)
        parts = _expectation_maximisation(patches, parts, kernel_sigma, _ITERATIONS)
    return parts.select(parts.mass > _MIN_MASS)
