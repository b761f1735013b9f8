"""Refined runs are calibrated as they are used: a prior for each movie, localizations of draws."""

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.calibrate import refined
from napari_smlm_diffusion.jobs.calibrate.card_words import calibration_words
from napari_smlm_diffusion.jobs.calibrate.plan import prepare
from napari_smlm_diffusion.jobs.calibrate.run import calibrate, judge
from napari_smlm_diffusion.jobs.calibrate.settings import JUDGED_FRAMES, CalibrateSettings
from napari_smlm_diffusion.models.card import load_card
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf
from napari_smlm_diffusion.posterior.prior import MoviePrior, PhotonPrior
from napari_smlm_diffusion.simulation.prior import Prior

# Movies of one kind, of which a prior can be told.
DENSITY, PHOTONS, CV, BACKGROUND, SIGMA_PX = 0.012, 1500.0, 0.3, 5.0, 1.1
KNOWN = Prior(
    psf_sigma_px=(SIGMA_PX, SIGMA_PX),
    photons=(PHOTONS, PHOTONS),
    photon_cv=(CV, CV),
    background=(BACKGROUND, BACKGROUND),
    background_gradient=(0.0, 0.0),
    read_noise=(1.0, 1.0),
    density_per_px2=(DENSITY, DENSITY),
    structures=("uniform",),
)


def plan_of(model, refine, frames, **more):
    options = {"model": str(model), "refine": refine, "frames": frames, "samples": 16, "seed": 3}
    settings = CalibrateSettings(**{**options, **more})
    return replace(prepare(settings), prior=KNOWN)


@pytest.fixture
def told(monkeypatch):
    """Tell the prior that movies are drawn from, in place of what is learned of each."""

    def tell(too_wide=1.0):
        def prior(effective, microscope, seed):
            size = effective.shape[1]
            return MoviePrior(
                photons=PhotonPrior.lognormal(PHOTONS, CV),
                density=np.full((1, size + 8, size + 8), DENSITY),
                blocks=((0, len(effective)),),
                margin_px=4.0,
                cell_px=1.0,
                background=np.full((size, size), BACKGROUND),
                background_free=True,
                psf=GaussianPsf(sigma_nm=too_wide * microscope.psf_sigma_px * 100.0),
            )

        monkeypatch.setattr(refined, "learned", prior)

    return tell


def judged(plan):
    for progress in calibrate(plan):
        last = progress
    assert last.done == last.total == plan.count
    return judge(plan, last.info["data"], 0.0)


MOVIES = 4


@pytest.fixture
def right(tiny_psi_model, told):
    """Return the plan, and movies refined with the prior that they were drawn from."""
    plan = plan_of(tiny_psi_model, "posterior", 20 * JUDGED_FRAMES)
    told()
    return plan, [refined.movie_numbers(plan, index) for index in range(MOVIES)]


def pull_sd(movies):
    return np.concatenate([movie.scores for movie in movies]).std()


def test_draws_are_honest_with_the_right_prior_and_not_with_a_wrong_one(right, told):
    plan, movies = right
    assert pull_sd(movies) == pytest.approx(1, abs=0.12)
    _, claimed2, error2, _ = np.sum([movie.spread for movie in movies], axis=0)
    assert (claimed2 / error2) ** 0.5 == pytest.approx(1, abs=0.15)
    bound = np.sum([movie.bound for movie in movies], axis=0)
    assert 0.95 < (bound[1] / bound[0]) ** 0.5 < 1.2
    ranks = np.concatenate([m.ranks[q] for m in movies for q in ("x of isolated", "y of isolated")])
    assert np.mean(np.abs(ranks - 0.5) < 0.45) == pytest.approx(0.9, abs=0.06)
    told(too_wide=1.5)
    assert pull_sd([refined.movie_numbers(plan, index) for index in range(2)]) > 1.3


def test_a_movie_is_known_by_seed_and_number_and_judged_as_one(right, monkeypatch):
    plan, movies = right
    again = refined.movie_numbers(plan, 2)
    np.testing.assert_equal(vars(again), vars(movies[2]))
    assert not np.array_equal(movies[0].scores, movies[1].scores)
    assert again.covariates["PSF"] == pytest.approx(SIGMA_PX)
    assert len(again.tarp) == JUDGED_FRAMES
    monkeypatch.setattr(
        "napari_smlm_diffusion.jobs.calibrate.run.movie_numbers",
        lambda plan, index: replace(movies[index % MOVIES], frame=index),
    )
    result = judged(plan)
    content = json.loads(json.dumps(result.to_dict()))
    assert (content["frames"], content["refine"], content["movie_frames"]) == (160, "posterior", 32)
    assert "20 movies of 8 frames, 16 samples each" in result.text()
    assert "their prior is learned" in result.text()


def test_a_prior_is_learned_of_each_movie(tiny_psi_model):
    plan = plan_of(tiny_psi_model, "posterior", 20 * JUDGED_FRAMES)
    known = refined.movie_numbers(plan, 0).covariates
    assert known["photons"] == pytest.approx(PHOTONS, rel=0.15)
    assert known["PSF"] == pytest.approx(SIGMA_PX, rel=0.05)
    assert known["background"] == pytest.approx(BACKGROUND, rel=0.2)


def test_the_map_is_judged_frame_by_frame_by_its_localizations(tiny_model):
    sparse = KNOWN.model_copy(update={"density_per_px2": (0.003, 0.003)})
    result = judged(replace(plan_of(tiny_model, "map", 40), prior=sparse, size=24))
    whole = result.report.whole
    assert next(r.name for r in whole.results) == "pulls of localizations"
    assert whole.number("pulls of localizations", "sd").value == pytest.approx(1, abs=0.15)
    assert whole.number("SD over CRLB", "ratio").value == pytest.approx(1, abs=0.1)
    assert "refined: map" in result.text()
    assert "localizations alone" in result.text()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"refine": "posterior", "frames": 150}, "20 movies of 8 frames at least, 160 frames"),
        ({"refine": "map", "steps": 4}, "refine map draws none"),
        ({"refine": "best"}, "refine"),
    ],
)
def test_settings_that_are_refused(wrong, says):
    with pytest.raises(InputError, match=says):
        CalibrateSettings(**wrong)


def test_only_samples_can_be_recalibrated(tiny_psi_model):
    settings = CalibrateSettings(model=str(tiny_psi_model), refine="map")
    with pytest.raises(InputError, match="not for refine map"):
        prepare(settings, recalibrating=True)


def test_a_card_says_of_refined_runs_too(tiny_psi_model):
    card = load_card(tiny_psi_model)
    told = {"refined": {"refine": "posterior", "verdict": "calibrated: 11 of 11 pass."}}
    words = calibration_words(card.model_copy(update={"calibration": told}))
    assert "Refined runs (posterior): calibrated: 11 of 11 pass." in words
