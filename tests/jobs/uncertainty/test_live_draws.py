"""Draws from the posterior as they arrive: the posterior that a run draws from."""

import numpy as np
import pytest

from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.localize.plan import prepare
from napari_smlm_diffusion.jobs.localize.run import localize
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.jobs.uncertainty.live_draws import draw
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf
from napari_smlm_diffusion.posterior.prior import MoviePrior, PhotonPrior

from ...rendering import expected_image

CAMERA = {"offset": 100.0, "gain": 1.0, "em_gain": 1.0, "qe": 1.0, "read_noise": 1.0}
SHAPE = (20, 24)


@pytest.fixture
def prior():
    return MoviePrior(
        photons=PhotonPrior.lognormal(4000, 0.3),
        density=np.full((1, 24, 28), 0.003),
        blocks=((0, 4),),
        margin_px=2.0,
        cell_px=1.0,
        background=np.full(SHAPE, 5.0),
        background_free=True,
        psf=GaussianPsf(sigma_nm=100.0),
    )


@pytest.fixture
def stack():
    """Four frames with one bright molecule and a dim one."""
    light = expected_image([9.0], [12.0], 4000.0, SHAPE, 1.0, background=5.0)
    light = light + expected_image([15.0], [5.0], 2000.0, SHAPE, 1.0)
    counts = np.random.default_rng(0).poisson(np.broadcast_to(light, (4, *SHAPE))) + 100
    return FrameStack.from_array(counts.astype(np.uint16), pixel_size_nm=100.0, camera_hint=CAMERA)


@pytest.fixture
def settings():
    def make(**values):
        asked = {"refine": "posterior", "proposal": "spots", "draws": 32, **values}
        return LocalizeSettings(psf_sigma_nm=100.0, **asked)

    return make


def live_of(steps):
    (live,) = (step.info["live"] for step in steps if "live" in step.info)
    return live


def test_parts_are_of_the_posterior_that_a_run_draws_from(stack, settings, prior):
    wanted = settings(frames="1:2", draws=64)
    steps = list(draw(stack, wanted, prior=prior))
    assert [step.done for step in steps[2:]] == [8, 16, 24, 32, 40, 48, 56, 64]
    live = live_of(steps)
    plan = prepare(stack, wanted, prior)
    (found,) = [p.info["found"] for p in localize(plan) if "found" in p.info]
    got = live.tables[0]
    assert len(got) == len(found.table) == 2
    assert set(got["uncertainty_source"]) == {"posterior:64"}
    error = found.table["uncertainty_xy_nm"].max()
    for name in ("y_nm", "x_nm"):
        np.testing.assert_allclose(got[name], found.table[name], atol=0.7 * error)
    np.testing.assert_allclose(got["uncertainty_xy_nm"], found.table["uncertainty_xy_nm"], rtol=0.4)
    for name in ("density", "residual"):
        seen, due = live.sums[name], getattr(found, name)
        assert np.corrcoef(seen.ravel(), due.ravel())[0, 1] > 0.95
    assert live.agreeing > 0.8


def test_a_region_is_that_of_the_field(stack, settings, prior):
    (whole,) = live_of(list(draw(stack, settings(frames="0:1"), prior=prior))).tables.values()
    job = draw(stack, settings(frames="0:1", roi="4:16,6:20"), prior=prior)
    live = live_of(list(job))
    (part,) = live.tables.values()
    assert live.images[0].shape == (1, 48, 56) and live.images[2].shape == (1, 12, 14)
    assert len(part) == 1
    bright = whole.loc[whole["photons"].idxmax()]
    assert part["y_nm"][0] == pytest.approx(bright["y_nm"], abs=3)
    assert part["x_nm"][0] == pytest.approx(bright["x_nm"], abs=3)
    place = live.molecules[:, 1:3]
    near = np.hypot(*(place - [900.0, 1200.0]).T) < 30
    assert np.bincount(live.molecules[near, 0].astype(int), minlength=32).tolist() == [1] * 32


def test_closed_between_two_parts_it_keeps_what_there_is(stack, settings, prior):
    job = draw(stack, settings(frames="1:3"), prior=prior)
    live = live_of([next(job), next(job)])
    while next(job).done < 48:
        pass
    job.close()
    assert (live.counts, live.frames) == ([32, 16], 1)
    # Of 16 draws some chains may not agree yet: these localizations are the proposal's.
    sources = {t: set(table["uncertainty_source"]) for t, table in live.tables.items()}
    assert sources[0] == {"posterior:32"}
    assert "posterior:16" in sources[1]
