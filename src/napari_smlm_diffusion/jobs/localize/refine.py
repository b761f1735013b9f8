"""What a run's settings say of refining, checked before anything is read, and what proposes."""

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.inference.estimator import Estimator
from napari_smlm_diffusion.inference.refined_draws import DEFAULT_SCALE, RefinedByDraws
from napari_smlm_diffusion.inference.refined_map import RefinedByMap
from napari_smlm_diffusion.inference.refining import Refining
from napari_smlm_diffusion.jobs.localize.settings import SPOTS, LocalizeSettings
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.posterior.prior import MoviePrior
from napari_smlm_diffusion.posterior.refiner import Refiner
from napari_smlm_diffusion.proposals.diffusion_samples import asked_sampling
from napari_smlm_diffusion.proposals.localizer import (
    Localizer,
    localizer_of,
    localizer_without_model,
)
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.proposals.psi import PsiLocalizer

# Samples of psi that are proposed for each frame, where the settings do not say how many.
PSI_SAMPLES = 8


def check_refining(settings: LocalizeSettings) -> None:
    """Refuse what does not go together.

    Raises `InputError` for draws of a run that draws none, and for samples where they would neither
    be counted nor be proposals.
    """
    refine, proposal = settings.refine, settings.proposal
    if settings.keep_draws and refine != "posterior":
        raise InputError(
            f"there are draws to keep where refine is posterior, not {refine}",
            field=("keep_draws", "refine"),
        )
    if proposal == "psi" and refine != "posterior":
        raise InputError(
            f"samples of psi are proposals for draws from the posterior, not for {refine}; without "
            "refining, their number is given as samples",
            field=("proposal", "refine"),
        )
    if proposal == SPOTS and settings.samples:
        raise InputError(
            f"the proposal is {SPOTS}, which draws no samples", field=("proposal", "samples")
        )
    if refine == "none":
        return
    if settings.samples and proposal != "psi":
        raise InputError(
            "the uncertainty of a refined run does not come from samples of psi; they may be its "
            "proposals",
            field=("samples", "proposal"),
        )
    how = ("sample_frames", "keep_samples")
    if idle := [name for name in how if getattr(settings, name) not in (None, False)]:
        raise InputError("a refined run keeps no samples", field=("refine", *idle))


def make_estimator(
    settings: LocalizeSettings, localizer: Localizer, prior: MoviePrior | None
) -> Estimator:
    """Return what does the work of a run: what proposes, and what refines it."""
    return Estimator(localizer, settings.batch, refining=_refining(settings, localizer, prior))


def localizer_for(
    settings: LocalizeSettings, model: Model | None, origin: tuple[int, int]
) -> Localizer:
    """Return what proposes; `origin` is the camera pixel (y0, x0) at which the frames begin.

    Raises `InputError` if the model has not what it takes.
    """
    if model is None:
        return localizer_without_model(SPOTS)
    if settings.proposal == "psi":
        sampling = asked_sampling(model, sampler=settings.sampler, steps=settings.steps)
        samples = settings.samples or PSI_SAMPLES
        return PsiLocalizer(model, samples, sampling, settings.seed, origin)
    if settings.proposal == "auto":
        return localizer_of(model)
    if "phi" not in model.networks:
        raise InputError(f"model {model.card.name} has no phi", field=("proposal", "model"))
    return PhiLocalizer(model)


def _refining(
    settings: LocalizeSettings, localizer: Localizer, prior: MoviePrior | None
) -> Refining | None:
    if settings.refine == "map":
        return RefinedByMap()
    if settings.refine == "posterior" and prior is not None:
        return RefinedByDraws(
            _chains(settings),
            prior,
            settings.draws,
            settings.seed,
            localizer.scale or DEFAULT_SCALE,
            settings.keep_draws,
        )
    return None


def _chains(settings: LocalizeSettings) -> Refiner:
    # Compiled: it takes a second to import.
    from napari_smlm_diffusion.posterior.chains.refine import Chains

    return Chains(threads=settings.threads)
