import numpy as np
import pytest
import torch

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.optics import forward
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.information import crlb
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.compiled import spot_table
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf
from napari_smlm_diffusion.posterior import newton
from napari_smlm_diffusion.posterior.map import refine_map
from napari_smlm_diffusion.posterior.prior import MoviePrior, PhotonPrior

SIGMA, READ, BACKGROUND, SHAPE = 1.2, 1.0, 10.0, (32, 32)
PSF = Gaussian(SIGMA)
MICROSCOPE = Microscope(
    camera=Camera(offset=0.0, gain=1.0, read_noise=READ), pixel_size_nm=100.0, psf_sigma_nm=120.0
)


def expected(place, photons, background=BACKGROUND, shape=SHAPE):
    place = torch.as_tensor(place, dtype=torch.float64)
    photons = torch.as_tensor(photons, dtype=torch.float64)
    return forward.expected(place, photons, PSF, shape, background).numpy()


def noisy(mean, frames, seed=0):
    rng = np.random.default_rng(seed)
    noise = READ * rng.standard_normal((frames, *mean.shape))
    return (rng.poisson(mean, (frames, *mean.shape)) + noise).astype(np.float32)


def starts(place, frames):
    place = np.asarray(place, float).reshape(-1, 2)
    return Emitters(np.repeat(np.arange(frames), len(place)), np.tile(place, (frames, 1)))


def prior(background=BACKGROUND, free=True, photons=None, density=0.01):
    return MoviePrior(
        photons=photons or PhotonPrior.lognormal(1000, 0.5),
        density=np.full((1, 8, 8), density),
        blocks=((0, 10_000),),
        margin_px=1.0,
        cell_px=4.5,
        background=np.broadcast_to(background, SHAPE),
        background_free=free,
        psf=GaussianPsf(sigma_nm=100 * SIGMA),
    )


def test_an_isolated_molecule_is_found_at_the_bound_and_says_so():
    truth, photons, frames = np.array([15.3, 16.2]), 800.0, 400
    data = noisy(expected(truth[None], [photons]), frames)
    fit = refine_map(starts(truth + 0.4, frames), data, MICROSCOPE).fit
    mine = np.hypot(*(fit.emitters.position - truth).T) < 1
    assert np.array_equal(fit.emitters.frame[mine], np.arange(frames))
    assert mine.mean() > 0.98
    fit = fit.select(mine)
    bound = crlb([truth], photons, PSF, SHAPE, BACKGROUND, READ)
    error = fit.emitters.position - truth
    assert np.abs(error.mean(0)).max() < 4 * bound.y[0] / frames**0.5
    assert np.sqrt(np.mean(error**2)) == pytest.approx(bound.y[0], rel=0.08)
    assert np.std(error / fit.emitters.sd) == pytest.approx(1, abs=0.08)
    assert np.std((fit.emitters.photons - photons) / fit.photons_sd) == pytest.approx(1, abs=0.12)
    assert fit.emitters.photons.mean() == pytest.approx(photons, rel=0.01)
    assert fit.background.mean() == pytest.approx(BACKGROUND, rel=0.01)
    assert fit.emitters.probability.min() > 0.99


def test_a_pair_pays_for_its_neighbour_along_the_line_between_them():
    place = np.array([[15.2, 14.9], [16.9, 16.6]])  # 2.4 px apart, at 45 degrees
    photons, frames = np.array([1500.0, 1200.0]), 150
    data = noisy(expected(place, photons), frames)
    fit = refine_map(starts(place, frames), data, MICROSCOPE, prior()).fit
    inner = np.abs(fit.emitters.position - place.mean(0)).max(1) < 2.5
    fit = fit.select(inner)
    bound = crlb(place, photons, PSF, SHAPE, BACKGROUND, READ)
    assert len(fit.emitters) == 2 * frames
    first = fit.select(fit.emitters.y < 16.05)
    assert np.median(first.emitters.sd[:, 0]) == pytest.approx(bound.y[0], rel=0.1)
    error = first.emitters.position - place[0]
    along, across = error.sum(1) / 2**0.5, (error[:, 0] - error[:, 1]) / 2**0.5
    variance = first.emitters.sd**2
    mean, covariance = variance.sum(1) / 2, first.covariance_yx
    assert np.median(covariance) > 0.02 * np.median(mean)
    assert np.std(along / np.sqrt(mean + covariance)) == pytest.approx(1, abs=0.15)
    assert np.std(across / np.sqrt(mean - covariance)) == pytest.approx(1, abs=0.15)


def test_evidence_decides_how_many_there_are():
    place = np.array([[10.0, 10.0], [10.5, 12.8], [22.0, 20.0]])
    data = noisy(expected(place, [1200.0, 1000.0, 900.0]), 20)

    def found(start, frames=20, seen=data, **more):
        return refine_map(starts(start, frames), seen, MICROSCOPE, prior(**more)).fit.emitters

    for start in (place, [], [[10.2, 11.3]], [*place, [22.3, 20.4], [5.0, 25.0], [10.2, 11.4]]):
        emitters = found(start)
        assert np.mean(np.bincount(emitters.frame, minlength=20) == 3) > 0.9
        sure = emitters.probability > 0.9
        for one in place:
            near = np.hypot(*(emitters.position[sure] - one).T) < 0.5
            assert len(np.unique(emitters.frame[sure][near])) == 20
    empty = noisy(np.full(SHAPE, BACKGROUND), 50)
    assert len(found([[8.0, 9.0]], 50, empty)) < 5
    # Dim light is a molecule where molecules are many and dim, nothing where they are few.
    dim = noisy(expected([[16.0, 16.0]], [70.0]), 40)
    likely = found([], 40, dim, density=0.05, photons=PhotonPrior.lognormal(70, 0.3))
    unlikely = found([], 40, dim, density=1e-6, photons=PhotonPrior.lognormal(3000, 0.3))
    assert len(likely) > 30 > 10 > len(unlikely)


def test_the_background_of_the_prior_is_its_shape_or_all_of_it():
    field = 5 + 20 * np.exp(-((np.arange(32) - 12) ** 2) / 18)[:, None] * np.ones(32)
    place = [[12.0, 15.0]]

    def fit(level, free):
        data = noisy(level * field + expected(place, [1000.0], 0.0), 60)
        found = refine_map(starts(place, 60), data, MICROSCOPE, prior(field, free)).fit
        return found.select(np.hypot(*(found.emitters.position - place[0]).T) < 0.7)

    free, fixed = fit(1.5, True), fit(1.0, False)
    assert free.background.mean() == pytest.approx(1.5 * field[12, 15], rel=0.02)
    assert free.emitters.photons.mean() == pytest.approx(1000, rel=0.03)
    assert free.background_sd.min() > 0.01
    np.testing.assert_allclose(fixed.background, field[np.round(fixed.emitters.y).astype(int), 15])
    assert fixed.background_sd.max() < 1e-4
    assert fixed.emitters.photons.mean() == pytest.approx(1000, rel=0.03)


def test_masked_pixels_tell_nothing():
    place = np.array([[15.0, 15.0], [24.0, 9.0]])
    data = noisy(expected(place, [1000.0, 800.0]), 2)
    mask = np.ones(SHAPE, bool)
    mask[16, 14], mask[5, 5] = False, False
    broken = data.copy()
    broken[:, ~mask] = 5000.0
    kept = broken.copy()
    once = refine_map(starts(place, 2), broken, MICROSCOPE, prior(), mask=mask)
    again = refine_map(starts(place, 2), data, MICROSCOPE, prior(), mask=mask)
    assert once.expected.tobytes() == again.expected.tobytes()
    assert np.array_equal(broken, kept)
    near = np.hypot(*(once.fit.emitters.position[:, None] - place).transpose(2, 0, 1)).min(0)
    assert near.max() < 0.3


def test_the_same_bytes_for_any_threads_and_batch():
    rng = np.random.default_rng(4)
    place = rng.uniform(0, 31, (30, 2))
    data = noisy(expected(place, np.full(30, 700.0)), 6)
    all_of = starts(place[:20], 6)
    threads = torch.get_num_threads()
    whole = refine_map(all_of, data, MICROSCOPE)
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        late = Emitters(np.repeat([0, 1], 20), all_of.position[:40])
        part = refine_map(late, data[4:], MICROSCOPE, first_frame=4)
    finally:
        torch.set_num_threads(threads)
    last = whole.fit.select(whole.fit.emitters.frame >= 4)
    for name in ("position", "photons", "sd", "probability"):
        one, two = (getattr(fit.emitters, name) for fit in (last, part.fit))
        assert one.tobytes() == two.tobytes()
    assert whole.expected[4:].tobytes() == part.expected.tobytes()


def test_the_score_is_the_slope_of_the_log_posterior():
    place, photons = np.array([[3.0, 5.2], [5.1, 6.6], [-0.8, 12.0]]), np.array([900.0, 300, 500])
    frame = noisy(expected(place, photons), 1)[0].astype(float)
    known = np.ones(SHAPE, bool)
    known[4, 5] = False
    flat = np.array([0.0, -1.0, -2.0, -1.0] * 20)
    scene = newton.Scene(
        frame, np.full(SHAPE, READ**2), known, np.full(SHAPE, BACKGROUND), spot_table(PSF),
        flat, 0.0, 0.15, np.zeros((1, 1)), 100.0, 1.0,
    )  # fmt: skip
    molecules = np.column_stack([np.log(1.1 * photons), place + 0.2])
    members, box = np.arange(3), (0, 32, 0, 32)
    newton.shine(scene, molecules, members, 1.0)
    score, information, _ = newton._system(scene, molecules, members)
    np.testing.assert_allclose(information, information.T)
    assert np.linalg.eigvalsh(information).min() > 0
    for i in range(3):
        for p in range(1, 3):
            slopes = []
            for step in (1e-4, -1e-4):
                newton.shine(scene, molecules, members, -1.0)
                molecules[i, p] += step
                newton.shine(scene, molecules, members, 1.0)
                slopes.append(newton._log_posterior(scene, molecules, members, box))
                newton.shine(scene, molecules, members, -1.0)
                molecules[i, p] -= step
                newton.shine(scene, molecules, members, 1.0)
            assert (slopes[0] - slopes[1]) / 2e-4 == pytest.approx(score[3 * i + p], rel=2e-3)
