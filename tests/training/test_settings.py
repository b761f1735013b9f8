"""What a training is asked for: defaults, refusals, and no torch to check them."""

import subprocess
import sys
from typing import get_args

import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models.card import load_card
from napari_smlm_diffusion.models.library import resolve, shipped_names
from napari_smlm_diffusion.networks.settings.psi import GIVEN, RecipeName, SamplerName
from napari_smlm_diffusion.training import settings as module
from napari_smlm_diffusion.training.settings import TrainingSettings


def test_a_form_can_check_settings_without_torch():
    code = (
        "import sys; from napari_smlm_diffusion.training.settings import TrainingSettings;"
        "TrainingSettings(); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_names_are_those_of_the_rooms_that_load_torch():
    from napari_smlm_diffusion.diffusion.recipe import RECIPES
    from napari_smlm_diffusion.diffusion.samplers import SAMPLERS
    from napari_smlm_diffusion.networks.deepstorm import UPSAMPLING

    assert set(get_args(SamplerName)) == set(SAMPLERS)
    assert set(get_args(RecipeName)) == set(GIVEN) == set(RECIPES)
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
        (
            {"prior": {"photons": (500, 100)}},
            r"prior.photons must be 0.01 .* got \(500, 100\)",
        ),
        (
            {"prior": {"background": (0, float("inf"))}},
            r"background must be 0 .* \(0, inf\)",
        ),
        ({"prior": {"read_noise": (float("nan"), 1)}}, r"read_noise must .* got \(nan, 1\)"),
        ({"prior": {"photons": (100, 1e9)}}, "high <= 1e\\+07"),
        ({"prior": {"psf_sigma_px": (0, 1)}}, "psf_sigma_px must be 0.01 <= low"),
        ({"prior": {"structures": ()}}, "structures must have one of uniform, "),
        ({"prior": {"psf_sigma_px": (1, 9)}}, "spot of 54 px, which does not fit a frame of 48"),
        ({"prior": {"structures": ("disc",), "disc_radius_px": 30}}, "disc.*allowed is up to 24"),
        ({"prior": {"density_per_px2": (0, 10)}}, r"molecules in a frame of 48 px: at most 8,000"),
        ({"frame_size": 8}, "frame_size must be greater than or equal to 16, got 8"),
        ({"psi": {"recipe": "magic"}}, "psi.recipe must be 'residual', 'papers',.* got magic"),
        (
            {"psi": {"sampling": {"sampler": "dice"}}},
            "sampling.sampler must be .* got dice",
        ),
        ({"psi": {"sampling": {"steps": 1}}}, "sampling.steps must be .* equal to 2, got 1"),
        ({"psi": {"width": 25, "multipliers": (1, 2, 4)}}, "3 attention heads cannot share"),
        ({"network": {"upsampling": 8}}, "network.upsampling is 8, allowed is 4"),
        ({"network": {"dilations": (1, 0)}}, r"network.dilations.1 must be .* equal to 1, got 0"),
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
    with pytest.raises(InputError, match=r"psf_sigma_px.*density_per_px2.*network.upsampling"):
        TrainingSettings(
            prior={"psf_sigma_px": (1, 9), "density_per_px2": (0, 50)}, network={"upsampling": 8}
        )
    with pytest.raises(InputError, match=r"prior.photons.*psi.recipe.*steps"):
        TrainingSettings(prior={"photons": (5, 1)}, psi={"recipe": "magic"}, steps=0)


def test_settings_of_trainings_of_older_versions_can_be_read():
    records = [
        record["settings"]
        for name in shipped_names()
        for record in load_card(resolve(name)).stages.values()
        if "settings" in record
    ]
    assert any("row_scale" in settings.get("psi", {}) for settings in records)
    for settings in records:
        before = settings.get("psi", {}).get("row_scale")
        scale = TrainingSettings(**settings).psi.sd_scale
        assert (scale and scale.model_dump(mode="json")) == before
