"""Denoising a field of any size: overlapping tiles, merged at every step.

Finished samples of two tiles cannot be blended: where they disagree, half a molecule would stand on
either side. Merged after every evaluation, over one noise field, the tiles agree on one answer.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_smlm_diffusion.compute.tiles import HALO
from napari_smlm_diffusion.diffusion.psi import Condition, Psi
from napari_smlm_diffusion.networks.deepstorm import UPSAMPLING


@dataclass(frozen=True)
class _Tile:
    """A tile in fine pixels, its condition, and its weight in the merged field."""

    rows: slice
    columns: slice
    condition: Condition
    weight: Tensor


class Field:
    """One frame ready to be denoised.

    Parameters
    ----------
    psi : Psi
        The model.
    inputs : Tensor
        (1, 3, Y, X) network input of the frame.
    """

    @torch.inference_mode()
    def __init__(self, psi: Psi, inputs: Tensor) -> None:
        self._psi = psi
        height, width = inputs.shape[2:]
        self.shape = (height * UPSAMPLING, width * UPSAMPLING)
        multiple = psi.unet.multiple // UPSAMPLING
        self._padded = tuple(UPSAMPLING * (n + -n % multiple) for n in (height, width))
        device = next(psi.unet.parameters()).device
        inputs = inputs.to(device)
        self._tiles = []
        total = torch.zeros(self._padded, device=device)
        self._centre = torch.zeros(self._padded, device=device)
        self._spread = torch.zeros(self._padded, device=device)
        for y0, y1, wy in spans(height, psi.settings.tile, psi.settings.overlap):
            for x0, x1, wx in spans(width, psi.settings.tile, psi.settings.overlap):
                condition = self._condition(inputs, (y0, y1), (x0, x1))
                size = condition.padded
                weight = torch.ones(size, device=device)
                weight[: len(wy) * UPSAMPLING, : len(wx) * UPSAMPLING] = torch.outer(
                    wy.repeat_interleave(UPSAMPLING), wx.repeat_interleave(UPSAMPLING)
                ).to(device)
                rows = slice(y0 * UPSAMPLING, y0 * UPSAMPLING + size[0])
                columns = slice(x0 * UPSAMPLING, x0 * UPSAMPLING + size[1])
                self._tiles.append(_Tile(rows, columns, condition, weight))
                total[rows, columns] += weight
                scaling = condition.scaling
                self._centre[rows, columns] += weight * scaling.centre[0]
                self._spread[rows, columns] += weight * scaling.spread[0]
        self._total = total
        self._centre /= total
        self._spread /= total

    @property
    def padded(self) -> tuple[int, int]:
        """Size of the noisy images, fine pixels."""
        return self._padded[0], self._padded[1]

    @property
    def guess(self) -> Tensor:
        """What is diffused for phi's density: the centre of a guided start."""
        whole = torch.zeros_like(self._centre)
        for tile in self._tiles:
            whole[tile.rows, tile.columns] += tile.weight * tile.condition.guess[0]
        return whole / self._total

    def density(self, target: Tensor) -> Tensor:
        """Return (B, sY, sX) densities of what was diffused, without the padding."""
        density = self._centre + self._spread * target
        return density[:, : self.shape[0], : self.shape[1]]

    @torch.inference_mode()
    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        """Return D(z; sigma) of (B, H, W) noisy images of the padded size."""
        if len(self._tiles) == 1:
            return self._psi.denoise(noisy, sigma, self._tiles[0].condition)
        merged = torch.zeros_like(noisy)
        for tile in self._tiles:
            part = noisy[:, tile.rows, tile.columns]
            merged[:, tile.rows, tile.columns] += tile.weight * self._psi.denoise(
                part, sigma, tile.condition
            )
        return merged / self._total

    def _condition(
        self, inputs: Tensor, rows: tuple[int, int], columns: tuple[int, int]
    ) -> Condition:
        """Look at a tile with a halo, so that phi sees what it would see in the whole frame."""
        y0, x0 = max(0, rows[0] - HALO), max(0, columns[0] - HALO)
        region = inputs[:, :, y0 : rows[1] + HALO, x0 : columns[1] + HALO]
        features, y_hat, variance = self._psi.look(region)
        coarse = (..., slice(rows[0] - y0, rows[1] - y0), slice(columns[0] - x0, columns[1] - x0))
        fine = tuple(
            part if part is ... else slice(part.start * UPSAMPLING, part.stop * UPSAMPLING)
            for part in coarse
        )
        return self._psi.condition(region[coarse], features[coarse], y_hat[fine], variance[fine])


def spans(size: int, tile: int, overlap: int) -> list[tuple[int, int, Tensor]]:
    """Cut a length into overlapping tiles.

    Parameters
    ----------
    size, tile, overlap : int
        Camera pixels.

    Returns
    -------
    list of (start, stop, weight)
        `weight` (stop - start,) ramps over the overlaps; the weights of all tiles sum to 1.
    """
    if size <= tile:
        return [(0, size, torch.ones(size))]
    step = tile - overlap
    starts = [*range(0, size - tile, step), size - tile]
    raw = []
    for start in starts:
        ramp = torch.ones(tile)
        rise = (torch.arange(overlap) + 0.5) / overlap
        if start > 0:
            ramp[:overlap] = rise
        if start < size - tile:
            ramp[tile - overlap :] = rise.flip(0)
        raw.append(ramp)
    total = torch.zeros(size)
    for start, ramp in zip(starts, raw, strict=True):
        total[start : start + tile] += ramp
    return [
        (start, start + tile, ramp / total[start : start + tile])
        for start, ramp in zip(starts, raw, strict=True)
    ]
