"""Fit the row predictor: simulate, localize, match with the truth, maximise the likelihood."""

from collections.abc import Generator

import torch
from torch import Tensor

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.inference.head import bounded_step, features
from napari_smlm_diffusion.networks.deepstorm import DeepStorm
from napari_smlm_diffusion.networks.localization_head import LocalizationHead
from napari_smlm_diffusion.networks.settings import PhiSettings
from napari_smlm_diffusion.networks.variance import VarianceHead
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.proposals.candidates import Candidates, find_candidates
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.training.pairs import Pairs, draw_pairs

# "A true emitter lies within this distance and is this row's": the meaning of `probability`.
MATCH_RADIUS_PX = 1.25
_FRAMES_AT_ONCE = 8
_STEPS = 4000
_FEWEST_ROWS = 100
_ROWS_A_STEP = 2048
# Share of the rows that are not fitted, to see whether the claims hold for others.
_HELD_OUT = 0.1


def match_candidates(found: Candidates, pairs: Pairs, radius: float) -> Tensor:
    """Return, for each of M candidates, the index of its true emitter in its frame, or -1."""
    frame, emitter = (pairs.photons > 0).nonzero(as_tuple=True)
    truth = torch.stack([pairs.y[frame, emitter], pairs.x[frame, emitter]], 1)
    centres = torch.stack([found.y, found.x], 1)
    hits = match_frames(
        found.parts.frame.numpy(), centres.numpy(), frame.numpy(), truth.numpy(), radius
    )
    matched = torch.full((len(found.y),), -1)
    matched[torch.from_numpy(hits.found)] = emitter[torch.from_numpy(hits.truth)]
    return matched


def collect_rows(
    phi: DeepStorm,
    head: VarianceHead | None,
    prior: Prior,
    network: PhiSettings,
    frames: int,
    size: int,
    generator: torch.Generator,
) -> Generator[Progress, None, tuple[Tensor, ...]]:
    """Localize simulated frames and return what is known of each candidate.

    Returns
    -------
    tuple of Tensor
        Features (2, M, F), bound (2, M), phi's error (2, M), step (2, M), matched (M,); the errors
        are phi - truth in camera pixels and 0 where unmatched.
    """
    kept: list[tuple[Tensor, ...]] = []
    total = -(-frames // _FRAMES_AT_ONCE)
    low, high = prior.psf_sigma_px
    for i in range(total):
        # One PSF width for a batch, as in a movie.
        sigma = low + (high - low) * float(torch.rand(1, generator=generator))
        here = prior.model_copy(update={"psf_sigma_px": (sigma, sigma)})
        pairs = draw_pairs(
            here, _FRAMES_AT_ONCE, size, network.upsampling, network.kernel_sigma, generator
        )
        found = find_candidates(
            phi,
            head,
            pairs.effective,
            pairs.read_variance,
            Gaussian(sigma),
            network.upsampling,
            network.kernel_sigma,
        )
        matched = match_candidates(found, pairs, MATCH_RADIUS_PX)
        hit = matched >= 0
        frame = found.parts.frame
        true_y, true_x = (c[frame, matched.clamp_min(0)] for c in (pairs.y, pairs.x))
        error = torch.stack([found.y - true_y, found.x - true_x]) * hit
        kept.append(
            (
                features(found, sigma, network.kernel_sigma, network.upsampling),
                torch.stack([found.fit.crlb_y, found.fit.crlb_x]),
                error,
                bounded_step(found.fit.step_y, found.fit.step_x),
                hit.float(),
            )
        )
        yield Progress(done=i + 1, total=total, message="simulating frames for the row predictor")
    # Features and the axis pairs join along the candidates, which are their second dimension.
    return tuple(
        torch.cat(parts, dim=min(1, parts[0].dim() - 1)) for parts in zip(*kept, strict=True)
    )


def row_loss(predictor: LocalizationHead, rows: tuple[Tensor, ...]) -> Tensor:
    """Gaussian likelihood of the errors of matched rows, and cross-entropy of being matched."""
    numbers, bound, error, step, hit = rows
    log_ratio, share, logit = predictor(numbers)
    log_sd = bound.log() + log_ratio
    squared = (error + share * step).square()
    nll = log_sd + 0.5 * squared * torch.exp(-2.0 * log_sd)
    located = (nll * hit).sum() / (2.0 * hit.sum()).clamp_min(1.0)
    exists = torch.nn.functional.binary_cross_entropy_with_logits(logit, hit)
    return located + exists


def fit_rows(
    predictor: LocalizationHead, rows: tuple[Tensor, ...], generator: torch.Generator
) -> Generator[Progress, None, dict[str, float]]:
    """Fit the predictor in place.

    Returns
    -------
    dict
        ``loss``, the mean over the last tenth of the steps, and ``pull_sd``, the SD of error over
        claim of the last frames' matched rows, which were not fitted: 1 if honest.

    Raises
    ------
    InputError
        If there are too few rows to learn from.
    """
    count = rows[-1].shape[0]
    if count < _FEWEST_ROWS:
        raise InputError(
            f"phi found {count} molecules in the simulated frames, at least {_FEWEST_ROWS} are "
            "needed to learn what they are worth; train the density (the stage phi) longer"
        )
    count = round((1.0 - _HELD_OUT) * count)
    others = tuple(r[count:] if r.dim() == 1 else r[:, count:] for r in rows)
    flat = rows[0][:, :count].flatten(0, 1)
    predictor.mean.copy_(flat.mean(0))
    predictor.scale.copy_(flat.std(0).clamp_min(1e-3))
    optimizer = torch.optim.AdamW(predictor.parameters(), lr=3e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    recent = 0.0
    for step in range(_STEPS):
        chosen = torch.randint(count, (_ROWS_A_STEP,), generator=generator)
        batch = tuple(r[chosen] if r.dim() == 1 else r[:, chosen] for r in rows)
        loss = row_loss(predictor, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(predictor.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if step >= 0.9 * _STEPS:
            recent += float(loss.detach()) / (0.1 * _STEPS)
        if step % 100 == 99:
            yield Progress(done=step + 1, total=_STEPS, message="fitting the row predictor")
    return {"loss": recent, "pull_sd": _pull_sd(predictor, others)}


@torch.no_grad()
def _pull_sd(predictor: LocalizationHead, rows: tuple[Tensor, ...]) -> float:
    numbers, bound, error, step, hit = rows
    log_ratio, share, _ = predictor(numbers)
    pull = (error + share * step) / (bound * log_ratio.exp())
    matched = pull[:, hit > 0]
    return float(matched.square().mean().sqrt())
