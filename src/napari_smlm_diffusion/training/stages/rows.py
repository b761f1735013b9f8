"""Fit the localization head: simulate, localize, match with the truth, maximise the likelihood."""

from collections.abc import Generator
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.inference.head import bounded_step, features
from napari_smlm_diffusion.networks.deepstorm import DeepStorm
from napari_smlm_diffusion.networks.localization_head import LocalizationHead
from napari_smlm_diffusion.networks.settings import LocalizationHeadSettings, PhiSettings
from napari_smlm_diffusion.networks.variance import VarianceHead
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.proposals.candidates import find_candidates
from napari_smlm_diffusion.proposals.photon_fit import fit_photons
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.training.distributed import Processes
from napari_smlm_diffusion.training.metrics import MATCH_RADIUS_PX, match_candidates
from napari_smlm_diffusion.training.pairs import draw_pairs
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stage import Built, Parts, Stage

# Frames simulated: about 60,000 candidates of the general prior.
_FRAMES, _FRAME_SIZE = 2400, 40
_FRAMES_AT_ONCE = 8
_STEPS = 4000
_FEWEST = 100
_AT_A_STEP = 2048
# Share of the candidates that are not fitted, to see whether the claims hold for others.
_HELD_OUT = 0.1


class RowsStage(Stage):
    """The localization head: fitted to candidates of simulated frames, in minutes."""

    name = "rows"
    needs = ("phi", "variance")
    writes = ("rows",)

    def __init__(self, phi: DeepStorm, head: VarianceHead) -> None:
        super().__init__()
        self._phi, self._head = phi, head
        self._predictor = LocalizationHead()

    @classmethod
    def begin(cls, settings: TrainingSettings, built: Built, resume: bool) -> Self:
        """Begin from nothing; there is nothing to resume, and the folder stays empty."""
        del settings, resume
        return cls(built.load("phi"), built.load("variance"))

    def run(
        self, settings: TrainingSettings, folder: Path, resume: bool, processes: Processes
    ) -> Generator[Progress, None, dict[str, Any]]:
        """Simulate, localize and fit, in the first process."""
        del folder, resume
        with processes.waiting():
            if not processes.leads:
                return {}
            # Not the seed of the other stages: these must be frames phi was not trained on.
            generator = torch.Generator().manual_seed(settings.seed + 1_000_003)
            size = settings.frame_size if "disc" in settings.prior.structures else _FRAME_SIZE
            candidates = yield from collect_candidates(
                self._phi, self._head, settings.prior, settings.network, _FRAMES, size, generator
            )
            torch.manual_seed(settings.seed)
            self._predictor = LocalizationHead()
            numbers = yield from fit_head(self._predictor, candidates, generator)
            matched = candidates[-1]
            return {"rows": len(matched), "matched": float(matched.mean()), **numbers}

    def finish(self, settings: TrainingSettings) -> Parts:
        """Return the head."""
        del settings
        return {"rows": (LocalizationHeadSettings(), self._predictor.state_dict())}


def collect_candidates(
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
        Features (M, D, F), bound (M, D), phi's error (M, D), step (M, D), matched (M,); the errors
        are phi - truth in camera pixels and 0 where unmatched.
    """
    kept: list[tuple[Tensor, ...]] = []
    total = -(-frames // _FRAMES_AT_ONCE)
    low, high = prior.psf_sigma_px
    for i in range(total):
        # One PSF width for a batch, as in a movie.
        sigma = low + (high - low) * float(torch.rand(1, generator=generator))
        here = prior.model_copy(update={"psf_sigma_px": (sigma, sigma)})
        pairs = draw_pairs(here, _FRAMES_AT_ONCE, size, network.scale, generator)
        found = find_candidates(
            phi, head, pairs.effective, pairs.read_variance, Gaussian(sigma), network.scale
        )
        fit = fit_photons(pairs.effective, pairs.read_variance, Gaussian(sigma), found.emitters)
        matched = match_candidates(found, pairs, MATCH_RADIUS_PX)
        hit = matched >= 0
        emitters = found.emitters
        truth = pairs.position[emitters.frame, matched.clamp_min(0)]
        kept.append(
            (
                features(found, fit, sigma, network.kernel_sigma),
                fit.bound,
                (emitters.position - truth) * hit[:, None],
                bounded_step(fit.step),
                hit.float(),
            )
        )
        yield Progress(
            done=i + 1, total=total, message="simulating frames for the localization head"
        )
    return tuple(torch.cat(parts) for parts in zip(*kept, strict=True))


def head_loss(predictor: LocalizationHead, candidates: tuple[Tensor, ...]) -> Tensor:
    """Gaussian likelihood of the errors of matched candidates, cross-entropy of being matched."""
    numbers, bound, error, step, hit = candidates
    log_ratio, share, logit = predictor(numbers)
    log_sd = bound.log() + log_ratio
    squared = (error + share * step).square()
    nll = log_sd + 0.5 * squared * torch.exp(-2.0 * log_sd)
    located = (nll * hit[:, None]).sum() / (2.0 * hit.sum()).clamp_min(1.0)
    exists = torch.nn.functional.binary_cross_entropy_with_logits(logit, hit)
    return located + exists


def fit_head(
    predictor: LocalizationHead, candidates: tuple[Tensor, ...], generator: torch.Generator
) -> Generator[Progress, None, dict[str, float]]:
    """Fit the predictor in place.

    Returns
    -------
    dict
        ``loss``, the mean over the last tenth of the steps, and ``pull_sd``, the SD of error over
        claim of the last frames' matched candidates, which were not fitted: 1 if honest.

    Raises
    ------
    InputError
        If there are too few candidates to learn from.
    """
    count = len(candidates[-1])
    if count < _FEWEST:
        raise InputError(
            f"phi found {count} molecules in the simulated frames, at least {_FEWEST} are "
            "needed to learn what they are worth; train the density (the stage phi) longer"
        )
    count = round((1.0 - _HELD_OUT) * count)
    others = tuple(column[count:] for column in candidates)
    flat = candidates[0][:count].flatten(0, 1)
    predictor.mean.copy_(flat.mean(0))
    predictor.scale.copy_(flat.std(0).clamp_min(1e-3))
    optimizer = torch.optim.AdamW(predictor.parameters(), lr=3e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    recent = 0.0
    for step in range(_STEPS):
        chosen = torch.randint(count, (_AT_A_STEP,), generator=generator)
        loss = head_loss(predictor, tuple(column[chosen] for column in candidates))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(predictor.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if step >= 0.9 * _STEPS:
            recent += float(loss.detach()) / (0.1 * _STEPS)
        if step % 100 == 99:
            yield Progress(done=step + 1, total=_STEPS, message="fitting the localization head")
    return {"loss": recent, "pull_sd": _pull_sd(predictor, others)}


@torch.no_grad()
def _pull_sd(predictor: LocalizationHead, candidates: tuple[Tensor, ...]) -> float:
    numbers, bound, error, step, hit = candidates
    log_ratio, share, _ = predictor(numbers)
    pull = (error + share * step) / (bound * log_ratio.exp())
    matched = pull[hit > 0]
    return float(matched.square().mean().sqrt())
