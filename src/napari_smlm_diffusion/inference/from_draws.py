"""Localizations, density and residuals of frames from draws of their posterior.

The molecules of the draws take the road of those of samples (see `from_samples`), with photons and
background as they were drawn. Where the chains that drew do not agree, what was proposed stays.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.density import DensityScale, to_fine
from napari_smlm_diffusion.emitters import Columns, Emitters, concatenate
from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.inference.from_samples import RADIUS_PX, recurring
from napari_smlm_diffusion.inference.refining import Answer
from napari_smlm_diffusion.inference.table import at_fine_pixels, make_table
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.posterior.draws import CELL_PX, LARGEST_R_HAT, Draws
from napari_smlm_diffusion.posterior.predictive import fit_p, squared_residuals
from napari_smlm_diffusion.proposals.localizer import FrameBlock, as_tensors
from napari_smlm_diffusion.proposals.photon_fit import PhotonFit, score_photons

# Half side of the window of a p-value, in SDs of the spot: beyond, there is little of it to judge.
_JUDGED = 2.0

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Found(Columns):
    """M localizations of a few frames, and what the draws say besides; camera pixels."""

    emitters: Emitters[np.ndarray]
    background: Array
    covariance_xy: Array
    photons_sd: Array
    background_sd: Array
    density_sd: Array
    fit_p: Array


def answer_from_draws(
    draws: Draws,
    block: FrameBlock,
    microscope: Microscope,
    scale: DensityScale,
    *,
    origin: tuple[int, int] = (0, 0),
    min_probability: float = 0.5,
    proposed: pd.DataFrame | None = None,
    keep: bool = False,
) -> Answer:
    """Return what draws say of frames.

    Parameters
    ----------
    draws : Draws
        Of the frames of the block.
    block : FrameBlock
    microscope : Microscope
        With the PSF and the read noise that the frames were found to have; its maps are cropped.
    scale : DensityScale
        Of the density and its variance.
    origin : (y0, x0)
        Camera pixel of the full image at which the frames begin.
    min_probability : float
        Below it there is no localization.
    proposed : DataFrame, optional
        Localizations of the same frames that stay where the chains do not agree, which their
        `uncertainty_source` tells; without, those of the draws do.
    keep : bool
        Return the molecules of the draws too.
    """
    # Compiled: it takes a second to import.
    from napari_smlm_diffusion.optics.psf.compiled import spot_table

    effective = block.frames
    noise = np.broadcast_to(np.square(microscope.camera.effective_read_noise), effective.shape[1:])
    square = squared_residuals(effective, draws.expected, noise)
    radius = int(np.ceil(_JUDGED * microscope.psf_sigma_px))
    tables = spot_table(microscope.build_psf()), spot_table(Gaussian(scale.kernel_sigma))
    parts, densities = [], []
    for t in range(len(effective)):
        found, density = _of_frame(draws, t, scale, tables, (square[t], noise), radius)
        parts.append(found.select(found.emitters.probability >= min_probability))
        densities.append(density)
    found = concatenate(parts)

    fit, sd = _fit(found, draws, effective, microscope), found.density_sd
    source = f"posterior:{draws.count}"
    table = make_table(fit, sd, microscope, block.first, origin=origin, source=source)
    photons = microscope.camera.photons_per_effective
    table = table.assign(
        covariance_xy_nm2=found.covariance_xy * microscope.pixel_size_nm**2,
        uncertainty_photons=found.photons_sd * photons,
        uncertainty_background=found.background_sd * photons,
        fit_p=found.fit_p,
    )
    if proposed is not None:
        table = _where_chains_agree(table, proposed, draws, microscope, block.first, origin)
    return Answer(
        localizations.sort(table),
        {
            "density": np.stack([mean for mean, _ in densities]),
            "variance": np.stack([variance for _, variance in densities]),
            "residual": square,
        },
        _kept(draws, microscope, block.first, origin) if keep else None,
    )


def _of_frame(
    draws: Draws,
    t: int,
    scale: DensityScale,
    tables: tuple[Any, Any],
    seen: tuple[Array, Array],
    radius: int,
) -> tuple[_Found, tuple[Array, Array]]:
    """Return localizations, and mean and variance of the density, of one frame.

    `tables` are those of the spot and of the density's kernel, `seen` is the squared residual of
    the frame and the read variance.
    """
    from napari_smlm_diffusion.posterior.moments import draw_moments

    shape = (draws.field.shape[0], draws.field.shape[1])
    here = slice(*np.searchsorted(draws.emitters.frame, (t, t + 1)))
    drawn, draw = draws.emitters.select(here), draws.draw[here]
    at = np.clip(np.rint(drawn.position[:, :2]).astype(np.intp), 0, np.array(shape) - 1)
    background = draws.background[t, draw] * draws.field[at[:, 0], at[:, 1]]

    peaks = Emitters(draw, drawn.position.astype(np.float64))
    more = np.column_stack([drawn.photons, background])
    every = recurring(peaks, draws.count, more)
    every = every.select(every.emitters.inside(shape))
    place, size = every.emitters.position, every.emitters.position.shape[1]

    fine = to_fine(drawn.position[:, :2], scale.upsampling)
    fine_shape = (shape[0] * scale.upsampling, shape[1] * scale.upsampling)
    ones, photons = np.full(len(draw), 1 / scale.kernel_share), drawn.photons.astype(np.float64)
    density = draw_moments(tables[1], fine, ones, draw, draws.count, fine_shape)
    _, light = draw_moments(tables[0], drawn.position[:, :2], photons, draw, draws.count, shape)
    p = fit_p(seen[0], draws.expected[t], light, seen[1], place[:, :2], radius)
    found = _Found(
        replace(every.emitters, frame=np.full(len(place), t), photons=every.mean[:, size]),
        background=every.mean[:, size + 1],
        covariance_xy=every.covariance[:, 0, 1],
        photons_sd=np.sqrt(every.covariance[:, size, size]),
        background_sd=np.sqrt(every.covariance[:, size + 1, size + 1]),
        density_sd=at_fine_pixels(np.sqrt(density[1]), place, scale.upsampling),
        fit_p=p,
    )
    return found, density


def _fit(
    found: _Found, draws: Draws, effective: NDArray[np.float32], microscope: Microscope
) -> PhotonFit:
    """Return the localizations with their Cramer-Rao bounds."""
    level = draws.background.mean(axis=1)[:, None, None] * draws.field
    images = (torch.from_numpy(np.float32(image)) for image in (level, draws.expected))
    place, photons = (
        torch.from_numpy(np.float32(v)) for v in (found.emitters.position, found.emitters.photons)
    )
    emitters = Emitters(torch.from_numpy(found.emitters.frame), place, photons)
    frames = as_tensors(effective, microscope)
    with torch.inference_mode():
        fit = score_photons(*frames, microscope.build_psf(), emitters, *images)
    known: PhotonFit = fit.each(Tensor.numpy)
    return replace(known, emitters=found.emitters, background=found.background)


def _where_chains_agree(
    table: pd.DataFrame,
    proposed: pd.DataFrame,
    draws: Draws,
    microscope: Microscope,
    first: int,
    origin: tuple[int, int],
) -> pd.DataFrame:
    """Put what was proposed in place of localizations in cells whose chains do not agree.

    A molecule that both tables have is that of the table in whose cell its draws lie.
    """

    def places(of: pd.DataFrame) -> Array:
        return of[["y_nm", "x_nm"]].to_numpy() / microscope.pixel_size_nm - origin

    def unsure(of: pd.DataFrame) -> NDArray[np.bool_]:
        cells = draws.cells_r_hat
        cell = np.floor((places(of) + 0.5) / CELL_PX).astype(np.intp)
        y, x = np.clip(cell, 0, np.array(cells.shape[1:]) - 1).T
        return ~(cells[of["frame"].to_numpy() - first, y, x] <= LARGEST_R_HAT)

    gone, new = unsure(table), unsure(proposed)
    if not (gone.any() or new.any()):
        return table
    pairs = match_frames(
        proposed["frame"], places(proposed), table["frame"], places(table), RADIUS_PX
    )
    new[pairs.found] = gone[pairs.truth]
    parts = [part for part in (table[~gone], proposed[new]) if len(part)]
    # A frame whose chains agree nowhere has the columns of the others.
    mixed = pd.concat(parts, ignore_index=True) if parts else table[:0]
    return mixed.reindex(columns=table.columns)


def _kept(
    draws: Draws, microscope: Microscope, first: int, origin: tuple[int, int]
) -> pd.DataFrame:
    """Return the molecules of the draws as `results.draws_file` has them."""
    y, x = ((draws.emitters.position[:, :2] + origin) * microscope.pixel_size_nm).T
    return pd.DataFrame(
        {
            "frame": draws.emitters.frame.astype(np.int64) + first,
            "draw": draws.draw.astype(np.int32),
            "chain": (draws.draw % draws.chains).astype(np.int32),
            "x_nm": x.astype(np.float64),
            "y_nm": y.astype(np.float64),
            "photons": draws.emitters.photons * microscope.camera.photons_per_effective,
        }
    )
