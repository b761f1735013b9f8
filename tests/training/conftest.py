"""Trainings in small: seconds instead of minutes, and the same on every machine."""

import pytest
import torch

from napari_smlm_diffusion.diffusion.psi import Psi
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.networks.settings import PhiSettings, PsiSettings, SamplingSettings
from napari_smlm_diffusion.simulation.prior import PAPERS
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stages.distil import distilled_sampling
from napari_smlm_diffusion.training.stages.phi import PhiStage

SMALL = PhiSettings(channels=8, dilations=(1, 2), up_channels=(8, 4), refinements=0)
SMALL_PSI = PsiSettings(width=4, multipliers=(1, 1, 1), encoder_width=8)


@pytest.fixture(autouse=True)
def one_thread():
    """Sums of one thread have one order: then a training can be the same to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def few_frames(quick_validation):
    """Every training here."""


@pytest.fixture
def small():
    """Make settings of a training that takes a second."""

    def make(**values):
        standard = {
            "name": "small",
            "start_from": None,
            "prior": PAPERS,
            "network": SMALL,
            "psi": SMALL_PSI,
            "frame_size": 20,
            "batch": 4,
            "steps": 8,
            "warmup_steps": 2,
            "validate_every": 4,
            "learning_rate": 2e-3,
        }
        return TrainingSettings(**{**standard, **values})

    return make


@pytest.fixture
def phi_stage():
    """Make the stage phi of settings, with the weights that every training of them begins with."""

    def make(settings):
        torch.manual_seed(settings.seed)
        return PhiStage(settings.network.build(), settings.network.kernel_sigma)

    return make


@pytest.fixture
def student(tiny_psi_model):
    """A Psi to be taught to sample in three steps, made to answer more than zero."""
    model = load_model(tiny_psi_model)
    settings = model.card.psi.model_copy(
        update={"sampling": distilled_sampling(SamplingSettings(), 3)}
    )
    torch.manual_seed(0)
    unet = settings.build({"phi": model.card.phi})
    with torch.no_grad():
        unet.exit.weight.normal_(0, 0.1)
    return Psi(model.phi, model.variance, unet, settings)
