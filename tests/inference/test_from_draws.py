"""Localizations from draws of posteriors that are known: Gaussian, of the Fisher information."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.stats import f as f_distribution
from scipy.stats import kstest

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.density import DensityScale, density_image
from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.inference.from_draws import answer_from_draws
from napari_smlm_diffusion.optics import forward
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf
from napari_smlm_diffusion.posterior.draws import CELL_PX, Draws
from napari_smlm_diffusion.proposals.localizer import FrameBlock

K, SHAPE, PIXEL, READ = 64, (16, 20), 100.0, 1.5
SCALE = DensityScale(4, 1.25)
MICROSCOPE = Microscope(
    camera=Camera(offset=0.0, gain=1.0, qe=0.5, read_noise=READ),
    pixel_size_nm=PIXEL,
    psf=GaussianPsf(sigma_nm=130.0),
)
# Two molecules 2.2 px apart, on a line between the axes, and one alone.
STEP = 2.2 / np.sqrt(2)
TRUTH = np.array([(6.2, 5.1), (6.2 + STEP, 5.1 + STEP), (8.3, 14.4)])
PHOTONS, BACKGROUND = np.array([1200.0, 900.0, 700.0]), 12.0


class Movie(NamedTuple):
    """T frames of the same molecules, and what K draws from each one's posterior say."""

    draws: Draws
    block: FrameBlock


def movie(frames, width=1.0, shift=(0.0, 0.0), sigma_nm=130.0):
    """Frames of spots of this SD, whose draws are those of the posterior, but for two lies."""
    rng = np.random.default_rng(0)
    psf = GaussianPsf(sigma_nm=sigma_nm).build(PIXEL)
    place, bright = (torch.from_numpy(v.copy()) for v in (TRUTH, PHOTONS))
    own = MICROSCOPE.build_psf()
    mean = forward.expected(place, bright, own, SHAPE, BACKGROUND)
    slopes = forward.jacobian(place, bright, own, SHAPE)
    seen = forward.expected(place, bright, psf, SHAPE, BACKGROUND).numpy()
    theta = np.concatenate([TRUTH.ravel(), PHOTONS, [BACKGROUND]])
    found, levels, expected, effective = [], [], [], []
    for _ in range(frames):
        frame = rng.poisson(seen) + rng.normal(0, READ, SHAPE)
        score, information = forward.score_and_information(
            slopes, torch.from_numpy(frame) - mean, 1 / (mean + READ**2)
        )
        covariance = np.linalg.inv(information.numpy())
        best = theta + covariance @ score.numpy()
        spread = rng.multivariate_normal(np.zeros(len(theta)), covariance, K)
        drawn = best + width * spread
        drawn[:, :6] += np.tile(shift, 3)
        found.append(drawn)
        levels.append(drawn[:, -1])
        images = [
            forward.expected(
                torch.from_numpy(d[:6].reshape(3, 2)), torch.from_numpy(d[6:9]), own, SHAPE, d[9]
            )
            for d in drawn
        ]
        expected.append(np.mean([i.numpy() for i in images], axis=0))
        effective.append(frame)
    drawn = np.stack(found)
    emitters = Emitters(
        np.repeat(np.arange(frames), 3 * K),
        drawn[:, :, :6].reshape(-1, 2),
        drawn[:, :, 6:9].ravel(),
    )
    draw = np.tile(np.repeat(np.arange(K), 3), frames)
    cells = np.ones((frames, -(-SHAPE[0] // CELL_PX), -(-SHAPE[1] // CELL_PX)))
    one = np.ones(SHAPE)
    draws = Draws(
        emitters, draw, K, np.stack(levels), one, np.float32(expected), chains=4, cells_r_hat=cells
    )
    return Movie(draws, FrameBlock(np.float32(effective)))


def answer(of, **options):
    return answer_from_draws(of.draws, of.block, MICROSCOPE, SCALE, **options)


def errors(table, truth=TRUTH):
    """Errors of x and y in nm (N, 2), their covariances, and which molecule each is."""
    frames = table["frame"].max() + 1
    xy = table[["x_nm", "y_nm"]].to_numpy()
    true = np.tile(truth[:, ::-1], (frames, 1)) * PIXEL
    pairs = match_frames(table["frame"], xy, np.repeat(np.arange(frames), len(truth)), true, 125.0)
    some = table.iloc[pairs.found]
    covariance = np.empty((len(some), 2, 2))
    for i, axis in enumerate("xy"):
        covariance[:, i, i] = some[f"uncertainty_{axis}_nm"] ** 2
    covariance[:, 0, 1] = covariance[:, 1, 0] = some["covariance_xy_nm2"]
    return xy[pairs.found] - true[pairs.truth], covariance, pairs.truth % len(truth)


def is_honest(error, covariance):
    """Whether Mahalanobis distances are those of Hotelling's T^2 with K draws."""
    square = np.einsum("ni,nij,nj->n", error, np.linalg.inv(covariance), error)
    p = f_distribution.cdf(square * (K - 2) / (2 * (K - 1)), 2, K - 2)
    return kstest(p, "uniform").pvalue > 0.01


@pytest.fixture(scope="module")
def honest():
    of = movie(150)
    return of, answer(of)


def test_honest_draws_give_mahalanobis_distances_of_hotelling(honest):
    error, covariance, _ = errors(honest[1].table)
    assert len(error) > 440
    assert is_honest(error, covariance)


@pytest.mark.parametrize(
    "dishonest", [{"width": 0.75}, {"width": 1.4}, {"shift": (0.08, 0.0)}, {"shift": (0.0, 0.08)}]
)
def test_narrow_wide_and_shifted_draws_do_not(dishonest):
    error, covariance, _ = errors(answer(movie(100, **dishonest)).table)
    assert not is_honest(error, covariance)


def test_along_the_line_to_a_neighbour_the_error_is_larger_and_is_claimed_to_be(honest):
    error, covariance, which = errors(honest[1].table)
    pair, along = which < 2, np.array([1.0, 1.0]) / np.sqrt(2)
    for direction in (along, along[::-1] * (1, -1)):
        claimed = np.einsum("i,nij,j->n", direction, covariance, direction)[pair]
        pull = (error[pair] @ direction) / np.sqrt(claimed)
        assert pull.std() == pytest.approx(1.0, abs=0.12)
    assert (error[pair] @ along).std() > 1.25 * (error[pair] @ (along * (1, -1))).std()
    # Axes that know nothing of each other do not claim it.
    flat = covariance * np.eye(2)
    assert (error[pair] @ along).std() > 1.12 * np.sqrt(np.mean(flat[pair].sum((1, 2)) / 2))


def test_photons_and_background_are_those_of_the_draws_with_their_errors(honest):
    table = honest[1].table
    which = errors(table)[2]
    assert len(which) == len(table)
    pull = (table["photons"] * 0.5 - PHOTONS[which]) / (table["uncertainty_photons"] * 0.5)
    assert abs(pull.mean()) < 0.2
    assert pull.std() == pytest.approx(1.0, abs=0.12)
    pull = (table["background"] * 0.5 - BACKGROUND) / (table["uncertainty_background"] * 0.5)
    assert pull.std() == pytest.approx(1.0, abs=0.15)
    # The bound is that of each molecule with its neighbours: the draws are as wide.
    ratio = table["uncertainty_xy_nm"] / table["crlb_xy_nm"]
    assert ratio.median() == pytest.approx(1.0, abs=0.06)
    assert set(table["uncertainty_source"]) == {"posterior:64"}


def test_the_p_value_of_the_fit_is_uniform_where_the_model_is_right(honest):
    p = honest[1].table["fit_p"]
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.median(answer(movie(40, sigma_nm=160.0)).table["fit_p"]) < 0.02


def test_density_is_the_mean_of_the_draws_and_variance_their_variance(honest):
    of, found = honest
    here = of.draws.emitters.frame == 3
    place, draw = of.draws.emitters.position[here], of.draws.draw[here]
    images = [density_image(*place[draw == k].T, SHAPE, 4, 1.25) for k in range(K)]
    np.testing.assert_allclose(found.images["density"][3], np.mean(images, axis=0), atol=2e-3)
    variance = np.var(images, axis=0, ddof=1)
    np.testing.assert_allclose(found.images["variance"][3], variance, atol=2e-3)
    assert found.table["density_sd"].max() <= np.sqrt(found.images["variance"].max())


def test_the_residual_of_a_right_model_is_a_little_below_one(honest):
    mean = honest[1].images["residual"].mean()
    # Ten unknowns have followed the noise of 320 pixels.
    assert mean == pytest.approx(1 - 10 / 320, abs=0.02)


def test_where_chains_do_not_agree_what_was_proposed_stays(honest):
    of, found = honest
    cells = np.ones_like(of.draws.cells_r_hat)
    cells[:, :, 1] = 3.0  # of the molecule that is alone
    disagreeing = of._replace(draws=replace(of.draws, cells_r_hat=cells))
    proposed = found.table.drop(columns=["fit_p", "covariance_xy_nm2"])
    proposed = proposed.assign(uncertainty_source="head", x_nm=proposed["x_nm"] + 20)
    mixed = answer(disagreeing, proposed=proposed).table
    localizations.validate(mixed)
    assert len(mixed) == len(found.table)
    which = errors(mixed)[2]
    np.testing.assert_array_equal(mixed["uncertainty_source"] == "head", which == 2)
    np.testing.assert_array_equal(mixed["fit_p"].isna(), which == 2)
    # Chains that agree everywhere leave nothing of it.
    assert answer(of, proposed=proposed).table.equals(found.table)


def test_what_is_unlikely_is_no_localization_and_frames_may_be_empty():
    of = movie(3)
    kept = (of.draws.draw % 3 == 0) | (of.draws.emitters.position[:, 1] < 10)
    kept &= of.draws.emitters.frame != 1
    thin = replace(of.draws, emitters=of.draws.emitters.select(kept), draw=of.draws.draw[kept])
    found = answer(of._replace(draws=thin), origin=(100, 200), keep=True)
    assert found.table["frame"].tolist() == [0, 0, 2, 2]
    assert (found.table["x_nm"] > 20_000).all()
    assert len(found.draws) == kept.sum()
    assert set(found.draws["chain"]) == {0, 1, 2, 3}
    more = answer(of._replace(draws=thin), min_probability=0.3).table
    assert len(more) == 6
    assert more["probability"].min() == pytest.approx(22 / 64)


def test_the_answer_of_a_frame_depends_on_nothing_but_that_frame(honest):
    of, found = honest
    here = of.draws.emitters.frame == 5
    emitters = of.draws.emitters.select(here)
    draws = of.draws
    alone = Draws(
        replace(emitters, frame=np.zeros(here.sum(), np.intp)), draws.draw[here], K,
        draws.background[5:6], draws.field, draws.expected[5:6], 4, draws.cells_r_hat[5:6],
    )  # fmt: skip
    block = FrameBlock(of.block.effective[5:6], 5)
    again = answer(Movie(alone, block)).table
    same = found.table[found.table["frame"] == 5].reset_index(drop=True)
    for name in same:
        if same[name].dtype == np.float64:
            np.testing.assert_allclose(again[name], same[name], rtol=1e-5, err_msg=name)


def test_a_pixel_without_a_likelihood_says_nothing():
    of = movie(2)
    seen = of.block.effective.copy()
    seen[:, 6, 5] = np.nan
    found, before = answer(of._replace(block=FrameBlock(seen))), answer(of)
    assert np.isnan(found.images["residual"]).sum() == 2
    for name in found.table.columns.drop("fit_p"):
        assert (found.table[name] == before.table[name]).all(), name
    assert found.table["fit_p"].between(0, 1).all()
