"""How good phi is, in numbers that a user understands, on a few seeded frames."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.networks.deepstorm import DeepStorm
from napari_smlm_diffusion.optics.information import crlb
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.proposals.candidates import Candidates, find_candidates
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.training.pairs import Pairs, draw_pairs
from napari_smlm_diffusion.training.settings import TrainingSettings

# "A true emitter lies within this distance and is this localization's own": `probability`.
MATCH_RADIUS_PX = 1.25
_SEED = 20_240_608
# PSF widths within the prior's range, and frames and isolated molecules for each.
_WIDTHS, _FRAMES, _ALONE = 4, 8, 100
# Isolated molecules are so far apart, in SDs of the PSF; at most so many frames hold them.
_APART, _MOST_FRAMES = 8.0, 16
# A molecule that cannot be located this well (pixels) is often not found, and its error cut off
# by the search radius.
_DIMMEST_BOUND_PX = MATCH_RADIUS_PX / 5


def match_candidates(found: Candidates, pairs: Pairs, radius: float) -> Tensor:
    """Return, for each of M candidates, the index of its true emitter in its frame, or -1."""
    emitters, truth = found.emitters, pairs.emitters
    place = (pairs.photons > 0).nonzero()[:, 1]
    hits = match_frames(
        emitters.frame.numpy(),
        emitters.position.numpy(),
        truth.frame.numpy(),
        truth.position.numpy(),
        radius,
    )
    matched = torch.full((len(emitters),), -1)
    matched[torch.from_numpy(hits.found)] = place[torch.from_numpy(hits.truth)]
    return matched


class PhiMetrics:
    """What phi finds, on frames as it is trained on and on isolated molecules.

    ``jaccard`` counts molecules within 1.25 px as found. ``rmse_over_crlb`` compares the rms error
    of isolated molecules, per axis, with the rms of their Cramer-Rao bounds: 1 is perfect. With
    some 400 of them it is known to 4 %, but from one validation to the next it changes only by what
    phi has learned.
    """

    def __init__(self, phi: DeepStorm, settings: TrainingSettings) -> None:
        self._phi, self._scale = phi, settings.network.scale
        generator = Generator().manual_seed(_SEED)
        self._crowded: list[Pairs] = []
        self._alone: list[tuple[Pairs, NDArray[np.float64]]] = []
        low, high = settings.prior.psf_sigma_px
        for part in range(_WIDTHS if low < high else 1):
            sigma = low + (high - low) * (part + 0.5) / _WIDTHS
            prior = settings.prior.model_copy(update={"psf_sigma_px": (sigma, sigma)})
            frames = _FRAMES if low < high else _FRAMES * _WIDTHS
            crowded = draw_pairs(prior, frames, settings.frame_size, self._scale, generator)
            self._crowded.append(crowded)
            alone = self._isolated(prior, frames // _FRAMES, settings.frame_size, generator)
            self._alone.append((alone, bounds(alone)))

    def _isolated(self, prior: Prior, times: int, size: int, generator: Generator) -> Pairs:
        sigma = prior.psf_sigma_px[0]
        if prior.structures == ("disc",):  # elsewhere phi has never seen one
            one = prior.model_copy(update={"disc_count": (1, 1)})
            return draw_pairs(one, times * _ALONE, size, self._scale, generator)
        side = max(1, int(size / (_APART * sigma)))
        frames = min(_MOST_FRAMES, -(-_ALONE // side**2)) * times

        def place(_: float) -> tuple[Tensor, Tensor]:
            lattice = (torch.arange(side) + 0.5) * size / side - 0.5
            y, x = torch.meshgrid(lattice, lattice, indexing="ij")
            shift = torch.rand(2, side**2, generator=generator) - 0.5
            return y.flatten() + shift[0], x.flatten() + shift[1]

        return draw_pairs(prior, frames, size, self._scale, generator, place)

    def _find(self, pairs: Pairs) -> Candidates:
        psf = Gaussian(float(pairs.psf_sigma_px[0]))
        return find_candidates(
            self._phi, None, pairs.effective, pairs.read_variance, psf, self._scale
        )

    def __call__(self) -> dict[str, float]:
        """Return the numbers of phi as it is now."""
        hits = found = true = 0
        for pairs in self._crowded:
            candidates = self._find(pairs)
            matched = match_candidates(candidates, pairs, MATCH_RADIUS_PX)
            inside = _inside(pairs)
            mine = (matched < 0) | inside[candidates.emitters.frame, matched.clamp_min(0)]
            hits += int((mine & (matched >= 0)).sum())
            found, true = found + int(mine.sum()), true + int(inside.sum())
        error = bound = 0.0
        for pairs, limits in self._alone:
            candidates = self._find(pairs)
            matched = match_candidates(candidates, pairs, MATCH_RADIUS_PX)
            which = candidates.emitters.frame, matched.clamp_min(0)
            limit = torch.from_numpy(limits)[which]
            clear = (matched >= 0) & (limit.square().mean(-1).sqrt() < _DIMMEST_BOUND_PX)
            off = candidates.emitters.position - pairs.position[which]
            error += float(off[clear].square().sum())
            bound += float(limit[clear].square().sum())
        numbers = {"jaccard": hits / max(1, found + true - hits)}
        if bound:  # an early phi finds nothing
            numbers["rmse_over_crlb"] = (error / bound) ** 0.5
        return numbers


def _inside(pairs: Pairs) -> Tensor:
    """(B, M) which emitters there are, and within the frame."""
    height, width = pairs.effective.shape[1:]
    limit = torch.tensor([height, width]) - 0.5
    inside = ((pairs.position > -0.5) & (pairs.position < limit)).all(-1)
    return inside & (pairs.photons > 0)


def bounds(pairs: Pairs) -> NDArray[np.float64]:
    """(B, M, 2) Cramer-Rao bounds in y and x, pixels, of emitters that do not overlap."""
    result = np.full((*pairs.photons.shape, 2), np.inf)
    shape = (pairs.effective.shape[1], pairs.effective.shape[2])
    for i, j in (pairs.photons > 0).nonzero().tolist():
        limit = crlb(
            pairs.position[i, j][None],
            [float(pairs.photons[i, j])],
            Gaussian(float(pairs.psf_sigma_px[i])),
            shape,
            float(pairs.background[i]),
            float(pairs.read_variance[i].sqrt()),
        )
        result[i, j] = limit.position[0]
    return result
