"""A round Gaussian spot, integrated over each pixel (Smith et al. 2010, eq. 4 and A4)."""

import math

import torch
from torch import Tensor

from napari_smlm_diffusion.errors import InputError


class Gaussian:
    """The product of two one-dimensional Gaussians.

    Parameters
    ----------
    sigma_px : float or Tensor
        Standard deviation, camera pixels; a tensor broadcasts against the molecules.

    Raises
    ------
    InputError
        If a number is not above 0.
    """

    axes = ("y", "x")
    z_range_nm = None

    def __init__(self, sigma_px: float | Tensor) -> None:
        if not isinstance(sigma_px, Tensor) and not 0 < sigma_px < math.inf:
            raise InputError(f"the SD of a Gaussian PSF must be above 0 px, got {sigma_px}")
        self._sigma = sigma_px

    @property
    def radius_px(self) -> int:
        """Three standard deviations: 99.5 % of the light."""
        return math.ceil(3 * float(torch.as_tensor(self._sigma, dtype=torch.float64).max()))

    @property
    def sigma_px(self) -> float:
        """Its SD; of several widths their mean."""
        return float(torch.as_tensor(self._sigma, dtype=torch.float64).mean())

    def image(self, offset: Tensor, radius_px: int | None = None) -> Tensor:
        """See `PSF.image`."""
        y, x = (self._shares(edges, c) for edges, c in self._window(offset, radius_px))
        return y[..., :, None] * x[..., None, :]

    def image_and_derivatives(
        self, offset: Tensor, radius_px: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `PSF.image_and_derivatives`."""
        axes = self._window(offset, radius_px)
        y, x = (self._shares(edges, c) for edges, c in axes)
        dy, dx = (self._slopes(edges, c) for edges, c in axes)
        # Both products in one: along y the slope and then the share, along x the other way round.
        along_y, along_x = torch.stack([dy, y], dim=-2), torch.stack([x, dx], dim=-2)
        slopes = along_y[..., :, None] * along_x[..., None, :]
        return y[..., :, None] * x[..., None, :], slopes

    def profiles(self, position: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """See `Separable.profiles`."""
        # Both axes in one pass, as far as the longer side reaches: training draws frames by it.
        centre = position[..., :2].movedim(-1, 0)
        y, x = self._shares(_edges(max(shape), 0, centre), centre)
        return y[..., : shape[0]], x[..., : shape[1]]

    def slopes(self, position: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """See `Separable.slopes`."""
        y, x = (self._slopes(_edges(n, 0, c), c) for n, c in zip(shape, _yx(position), strict=True))
        return y, x

    def power_spectrum(self, ky: Tensor, kx: Tensor) -> Tensor:
        """Return |OTF|^2 of the spot and the pixel at waves in radians per pixel.

        `ky` and `kx` broadcast against each other. Waves beyond the Nyquist frequency are folded.
        """
        folded = []
        for k in (ky, kx):
            waves = torch.stack([k + 2 * math.pi * order for order in (-1, 0, 1)])
            pixel = torch.sinc(waves / (2 * math.pi))
            folded.append((torch.exp(-((self._sigma * waves) ** 2)) * pixel**2).sum(0))
        return folded[0] * folded[1]

    def _window(self, offset: Tensor, radius_px: int | None) -> list[tuple[Tensor, Tensor]]:
        radius = self.radius_px if radius_px is None else radius_px
        return [(_edges(2 * radius + 1, radius, c), c) for c in _yx(offset)]

    def _shares(self, edges: Tensor, centre: Tensor) -> Tensor:
        """Share of the light between edges along one axis; 1 less what falls outside."""
        return 0.5 * torch.diff(torch.erf(self._scaled(edges, centre)), dim=-1)

    def _slopes(self, edges: Tensor, centre: Tensor) -> Tensor:
        """Derivative of `_shares` by the centre, per pixel."""
        sigma = self._per_edge()
        at_edges = torch.exp(-(self._scaled(edges, centre) ** 2)) / (
            math.sqrt(2.0 * math.pi) * sigma
        )
        return -torch.diff(at_edges, dim=-1)

    def _scaled(self, edges: Tensor, centre: Tensor) -> Tensor:
        return (edges - centre[..., None]) / (math.sqrt(2.0) * self._per_edge())

    def _per_edge(self) -> float | Tensor:
        return self._sigma[..., None] if isinstance(self._sigma, Tensor) else self._sigma


def _yx(position: Tensor) -> tuple[Tensor, Tensor]:
    return position[..., 0], position[..., 1]


def _edges(pixels: int, middle: int, like: Tensor) -> Tensor:
    """Borders of a row of pixels, counted from the centre of pixel `middle`."""
    return torch.arange(pixels + 1, dtype=like.dtype, device=like.device) - middle - 0.5
