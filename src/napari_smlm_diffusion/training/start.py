"""What a training starts from: weights of another model, and the architecture that comes with them.

The shipped "general" model is the usual start: it has seen most microscopes, and learns one more in
a fraction of the time that a network from nothing needs.
"""

from torch import Tensor

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.card import load_card
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.networks.settings import SamplingSettings
from napari_smlm_diffusion.training.settings import TrainingSettings


def prepared(settings: TrainingSettings) -> TrainingSettings:
    """Return the settings with the architecture of `start_from` where they say nothing of one.

    Raises
    ------
    InputError
        If there is no such model, or its phi is built differently from what the settings ask for.
    """
    if settings.start_from is None:
        return settings
    card = load_card(resolve(settings.start_from, "start_from"))
    given = settings.model_fields_set
    if "network" in given and settings.network != card.phi:
        raise InputError(
            f"the networks of {settings.start_from} are {card.phi}, and {settings.network} "
            "are asked for; leave these out, or start from nothing",
            field=("network", "start_from"),
        )
    psi = settings.psi if "psi" in given or card.psi is None else card.psi
    if "psi" not in given and "distil" in card.stages:
        # Its few steps are good for the distilled weights only.
        psi = psi.model_copy(update={"sampling": SamplingSettings()})
    return settings.model_copy(update={"network": card.phi, "psi": psi})


def weights(settings: TrainingSettings, network: str) -> dict[str, Tensor]:
    """Return the weights of phi or the variance head in `start_from`; nothing without one."""
    if settings.start_from is None:
        return {}
    tensors, _ = checkpoint.load(resolve(settings.start_from, "start_from"))
    return checkpoint.part(tensors, network)
