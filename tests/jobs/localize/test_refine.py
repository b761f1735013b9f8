"""What goes together in a run that is refined, and what does not."""

import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.localize.refine import check_refining
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"keep_draws": True}, "keep_draws"),
        ({"keep_draws": True, "refine": "map"}, "keep_draws"),
        ({"proposal": "psi"}, "proposal"),
        ({"proposal": "psi", "refine": "map"}, "proposal"),
        ({"proposal": "spots", "samples": 4}, "samples"),
        ({"refine": "posterior", "samples": 4}, "samples"),
        ({"refine": "posterior", "proposal": "psi", "keep_samples": True}, "keep_samples"),
        ({"refine": "posterior", "proposal": "psi", "sample_frames": "0:2"}, "sample_frames"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(given, field):
    with pytest.raises(InputError) as caught:
        check_refining(LocalizeSettings(**given))
    assert field in caught.value.remarks[0].fields


@pytest.mark.parametrize(
    "given",
    [
        {"samples": 4},
        {"proposal": "spots"},
        {"refine": "map", "proposal": "spots"},
        {"refine": "posterior", "keep_draws": True, "draws": 16},
        {"refine": "posterior", "proposal": "psi", "samples": 4, "steps": 3},
    ],
)
def test_what_goes_together_passes(given):
    check_refining(LocalizeSettings(**given))
