"""What goes together in a run that is refined, and what does not."""

import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.localize.refine import check_refining
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"proposal": "spots", "samples": 4}, "samples"),
        ({"refine": "map", "samples": 4}, "samples"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(given, field):
    with pytest.raises(InputError) as caught:
        check_refining(LocalizeSettings(**given))
    assert field in caught.value.remarks[0].fields


@pytest.mark.parametrize(
    "given", [{"samples": 4}, {"proposal": "spots"}, {"refine": "map", "proposal": "spots"}]
)
def test_what_goes_together_passes(given):
    check_refining(LocalizeSettings(**given))
