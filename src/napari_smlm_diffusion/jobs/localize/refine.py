"""What a run's settings say of refining, checked before anything is read, and what proposes."""

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.inference.estimator import Estimator
from napari_smlm_diffusion.inference.refined_map import RefinedByMap
from napari_smlm_diffusion.jobs.localize.settings import SPOTS, LocalizeSettings
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.proposals.localizer import (
    Localizer,
    localizer_of,
    localizer_without_model,
)
from napari_smlm_diffusion.proposals.phi import PhiLocalizer


def check_refining(settings: LocalizeSettings) -> None:
    """Refuse samples where they would not be used; raises `InputError`."""
    if settings.proposal == SPOTS and settings.samples:
        raise InputError(
            f"the proposal is {SPOTS}, which draws no samples", field=("proposal", "samples")
        )
    if settings.refine != "none" and settings.samples:
        raise InputError(
            "the uncertainty of a refined run does not come from samples of psi",
            field=("samples", "refine"),
        )


def make_estimator(settings: LocalizeSettings, localizer: Localizer) -> Estimator:
    """Return what does the work of a run: what proposes, and what refines it."""
    refining = RefinedByMap() if settings.refine == "map" else None
    return Estimator(localizer, settings.batch, refining=refining)


def localizer_for(settings: LocalizeSettings, model: Model | None) -> Localizer:
    """Return what proposes.

    Raises `InputError` if the model has not what it takes.
    """
    if model is None:
        return localizer_without_model(SPOTS)
    if settings.proposal == "auto":
        return localizer_of(model)
    if "phi" not in model.networks:
        raise InputError(f"model {model.card.name} has no phi", field=("proposal", "model"))
    return PhiLocalizer(model)
