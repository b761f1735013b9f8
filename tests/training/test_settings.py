"""What a training is asked for: defaults, refusals, and no torch to check them."""

import subprocess
import sys

import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.training import settings as module
from napari_smlm_diffusion.training.settings import TrainingSettings


def test_a_form_can_check_settings_without_torch():
    code = (
        "import sys; from napari_smlm_diffusion.training.settings import TrainingSettings;"
        "TrainingSettings(); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_names_are_those_of_the_rooms_that_load_torch():
    from napari_smlm_diffusion.diffusion.samplers import SAMPLERS
    from napari_smlm_diffusion.networks.deepstorm import UPSAMPLING

    assert set(module.SAMPLER_NAMES) == set(SAMPLERS)
    assert module.UPSAMPLING == UPSAMPLING


def test_fine_tuning_the_general_model_is_the_default_and_learns_gently():
    settings = TrainingSettings()
    assert settings.start_from == "general"
    assert settings.rate < TrainingSettings(start_from="none").rate
    assert TrainingSettings(start_from="none").start_from is None
    assert TrainingSettings(learning_rate=1e-2).rate == 1e-2


def test_settings_survive_their_own_json():
    settings = TrainingSettings(start_from=None, patience=3, precision="bfloat16")
    assert TrainingSettings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"prior": {"photons": (500, 100)}}, r"photons is \(500, 100\), allowed is 0 <= low"),
        ({"prior": {"background": (0, float("inf"))}}, r"background is \(0, inf\), allowed"),
        ({"prior": {"read_noise": (float("nan"), 1)}}, r"read_noise is \(nan, 1\)"),
        ({"prior": {"photons": (100, 1e9)}}, "high <= 1e\\+07"),
        ({"prior": {"psf_sigma_px": (0, 1)}}, "low end must be above 0"),
        ({"prior": {"structures": ()}}, "structures is empty, allowed are uniform"),
        ({"prior": {"psf_sigma_px": (1, 9)}}, "spot of 54 px, which does not fit a frame of 48"),
        ({"prior": {"structures": ("disc",), "disc_radius_px": 30}}, "disc.*allowed is up to 24"),
        ({"prior": {"density_per_px2": (0, 10)}}, r"molecules in a frame of 48 px: at most 8,000"),
        ({"frame_size": 8}, "frame_size must be greater than or equal to 16, got 8"),
        ({"psi": {"recipe": "magic"}}, "psi.recipe is 'magic', allowed are residual, papers"),
        ({"psi": {"sampling": {"sampler": "dice"}}}, "'dice', allowed are ancestral"),
        ({"psi": {"sampling": {"steps": 1}}}, "sampling.steps is 1, allowed are 2 and more"),
        ({"psi": {"width": 25, "multipliers": (1, 2, 4)}}, "3 attention heads cannot share"),
        ({"network": {"upsampling": 8}}, "network.upsampling is 8, allowed is 4"),
        ({"network": {"dilations": (1, 0)}}, r"network.dilations is \(1, 0\), allowed"),
        ({"workers": -1}, "workers must be greater than or equal to 0, got -1"),
        ({"minutes": float("nan")}, "minutes must be .*got nan"),
        ({"device": "abacus"}, "device must be 'auto', 'cpu', 'cuda' or 'mps', got abacus"),
        ({"precision": "float8"}, "precision must be 'auto', 'float32' or 'bfloat16'"),
        ({"name": "../mine"}, "name: .*got ../mine"),
        ({"frames": 8}, "frames is unknown"),
    ],
)
def test_what_cannot_be_simulated_or_built_is_named_with_what_is_allowed(values, words):
    with pytest.raises(InputError, match=words) as caught:
        TrainingSettings(**values)
    assert len(str(caught.value)) < 700


def test_all_that_is_wrong_is_named_at_once():
    with pytest.raises(InputError, match=r"psf_sigma_px.*density_per_px2.*recipe"):
        TrainingSettings(
            prior={"psf_sigma_px": (1, 9), "density_per_px2": (0, 50)}, psi={"recipe": "magic"}
        )
