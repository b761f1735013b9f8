"""Samples as they arrive, and the variance head's sums: the numbers of the command line."""

import numpy as np
import pytest

from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.localize.plan import prepare
from napari_smlm_diffusion.jobs.localize.run import localize
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.jobs.uncertainty.live_samples import sample
from napari_smlm_diffusion.jobs.uncertainty.sweep import sweep

from ...rendering import expected_image

CAMERA = {"offset": 100.0, "gain": 1.0, "em_gain": 1.0, "qe": 1.0, "read_noise": 1.0}


@pytest.fixture
def stack():
    """Four frames with one bright molecule."""
    light = expected_image([9.0], [12.0], 4000.0, (20, 24), 1.0, background=5.0)
    counts = np.random.default_rng(0).poisson(np.broadcast_to(light, (4, 20, 24))) + 100
    return FrameStack.from_array(counts.astype(np.uint16), pixel_size_nm=100.0, camera_hint=CAMERA)


@pytest.fixture
def settings(tiny_psi_model):
    def make(**values):
        return LocalizeSettings(psf_sigma_nm=100.0, model=str(tiny_psi_model), **values)

    return make


def found_in(stack, settings):
    return [p.info["found"] for p in localize(prepare(stack, settings)) if "found" in p.info]


def test_batches_change_no_digit_and_agree_with_the_command_line(stack, settings):
    wanted = settings(samples=9, steps=2, seed=3, frames="1:2", roi="2:18,3:19")
    steps = list(sample(stack, wanted))
    done, live = [step.done for step in steps], steps[1].info["live"]
    (found,) = found_in(stack, wanted)
    assert done == [0, 0, 3, 5, 7, 9, 9]
    np.testing.assert_array_equal(live.sums["density_samples"], found.density_samples)
    np.testing.assert_array_equal(live.sums["variance_samples"], found.variance_samples)
    assert live.tables[0].equals(found.table)


@pytest.mark.parametrize(("stop", "enough"), [(5, False), (9, True)])
def test_closed_between_two_batches_it_keeps_what_the_samples_tell(stack, settings, stop, enough):
    job = sample(stack, settings(samples=16, steps=2, frames="1:2"))
    live = [next(job), next(job)][1].info["live"]
    while next(job).done < stop:
        pass
    count = live.counts[0]
    job.close()
    assert stop <= count < 16
    assert (count >= 8) is enough
    assert (0 in live.tables) is enough
    if enough:
        assert set(live.tables[0]["uncertainty_source"]) == {f"samples:{count}"}


def test_the_head_alone_gives_the_sums_of_localize(stack, settings):
    steps = list(sweep(stack, settings()))
    (swept,) = (step.info["results"] for step in steps if "results" in step.info)
    assert steps[-1].done == 4 and swept.count == 0
    (found,) = found_in(stack, settings())
    np.testing.assert_array_equal(swept.density, found.density)
    np.testing.assert_array_equal(swept.variance, found.variance)
