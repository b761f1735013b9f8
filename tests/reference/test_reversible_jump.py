"""Chains over an unknown number of molecules, against the prior, a grid and a known number."""

import numpy as np
import pytest
from scipy.special import expit

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.reference import priors
from napari_smlm_diffusion.reference.evidence import log_evidence
from napari_smlm_diffusion.reference.grid import grid_posterior
from napari_smlm_diffusion.reference.metropolis import sample_posterior
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.reference.patches import Patches
from napari_smlm_diffusion.reference.priors import LogUniform
from napari_smlm_diffusion.reference.reversible_jump import sample_patches
from napari_smlm_diffusion.simulation.light import LognormalPhotons
from napari_smlm_diffusion.simulation.structures import Disc, UniformField

from ..rendering import expected_image

SIGMA = 1.0


def frames_of(rng, places, photons=400.0, background=2.0, shape=(10, 10), copies=1):
    y, x = np.array(places, float).reshape(-1, 2).T
    mean = expected_image(y, x, np.full(len(y), photons), shape, SIGMA, background)
    return rng.poisson(mean, (copies, *shape)).astype(float)


@pytest.mark.parametrize(
    ("photons", "background", "region"),
    [
        (300.0, 5.0, Disc(radius_px=3.0)),
        (LogUniform(100.0, 800.0, shared=False), LogUniform(1.0, 20.0), UniformField(margin_px=1)),
        (LognormalPhotons(mean=300.0, cv=0.4), 5.0, UniformField(margin_px=0)),
    ],
)
def test_without_a_frame_the_chains_draw_from_the_prior(
    rng, monkeypatch, photons, background, region
):
    # Every ratio of every move must be right for this; nothing else could make it so.
    monkeypatch.setattr(Patches, "log_likelihood", lambda self, frames, mean: np.zeros(len(mean)))
    prior = np.array([1.0, 2.0, 4.0, 3.0, 2.0])
    patches = Patches(
        frames=frames_of(rng, [(4, 4)], copies=40),
        psf=Gaussian(SIGMA),
        counts=prior,
        photons=photons,
        background=background,
        region=region,
    )
    drawn = sample_patches(patches, rng, chains=4, draws=16, burn_in=20, thin=5)
    # 160 chains are independent: their scatter is the error of what they agree on.
    chains = drawn.count.reshape(-1, drawn.count.shape[-1])
    share = np.stack([(chains == n).mean(1) for n in range(5)])
    error = share.std(1, ddof=1) / len(chains) ** 0.5
    assert error.max() < 0.02
    assert (np.abs(share.mean(1) - prior / prior.sum()) < 4 * error).all()
    places = drawn.position[~np.isnan(drawn.photons)]
    reference = patches.region.positions(len(places), patches.shape, rng)
    for got, wanted in (
        *zip(places.T, reference.T, strict=True),
        (places.prod(1), reference.prod(1)),
    ):
        assert got.mean() == pytest.approx(wanted.mean(), abs=0.1 * wanted.std())
        assert got.std() == pytest.approx(wanted.std(), rel=0.05)
    light = np.log(drawn.photons[~np.isnan(drawn.photons)])
    wanted = np.log(priors.draw(photons, (20_000,), rng))
    of_chains = np.log(drawn.photons).reshape(len(chains), -1)
    of_chains = np.nanmean(of_chains[~np.isnan(of_chains).all(1)], axis=1)
    error = of_chains.std(ddof=1) / len(of_chains) ** 0.5
    assert error < 0.03
    assert of_chains.mean() == pytest.approx(wanted.mean(), abs=4 * error + 1e-6)
    assert light.std() == pytest.approx(wanted.std(), abs=0.03)
    if isinstance(background, LogUniform):
        level = np.log(drawn.background)
        assert level.mean() == pytest.approx(np.log(20.0) / 2, abs=0.1)
        assert level.std() == pytest.approx(np.log(20.0) / 12**0.5, rel=0.1)
    for name, often in drawn.accepted.items():
        assert often > 0.02, name


def test_one_molecule_has_the_exact_posterior(rng):
    frames = frames_of(rng, [(4.3, 5.2)], photons=150.0)
    region = UniformField(margin_px=0.0)
    patches = Patches(
        frames=frames,
        psf=Gaussian(SIGMA),
        counts=[0, 1],
        photons=150.0,
        background=2.0,
        region=region,
    )
    drawn = sample_patches(patches, rng, chains=40, draws=60, burn_in=60)
    assert drawn.r_hat()[0] < 1.02
    observation = Observation(
        frame=frames[0], psf=Gaussian(SIGMA), background=2.0, region=region, exact=False
    )
    exact = grid_posterior(observation, 150.0)
    got = drawn.position.reshape(-1, 2)
    np.testing.assert_array_less(np.abs(got.mean(0) - exact.mean), 0.1 * exact.sd)
    np.testing.assert_allclose(got.std(0), exact.sd, rtol=0.07)


@pytest.mark.slow
def test_a_known_number_has_the_posterior_of_metropolis(rng):
    frames = frames_of(rng, [(4.0, 4.0), (4.6, 6.0)], photons=200.0)
    region = UniformField(margin_px=0.0)
    patches = Patches(
        frames=frames, psf=Gaussian(SIGMA), counts=[0, 0, 1], photons=200.0, background=2.0,
        region=region,
    )  # fmt: skip
    drawn = sample_patches(patches, rng, chains=8, draws=300, burn_in=300)
    observation = Observation(
        frame=frames[0], psf=Gaussian(SIGMA), background=2.0, region=region, exact=False
    )
    known = sample_posterior(observation, 200.0, 2, rng, chains=8, draws=500)
    # The left one and the right one, whatever their order in the chain.
    got, wanted = (
        np.sort(drawn.position[0, ..., 1], axis=-1),
        np.sort(known.positions[..., 1], axis=-1),
    )
    got, wanted = got.reshape(-1, 2), wanted.reshape(-1, 2)
    spread = wanted.std(0)
    np.testing.assert_allclose(got.mean(0), wanted.mean(0), atol=0.15 * spread.max())
    np.testing.assert_allclose(got.std(0), spread, rtol=0.12)


@pytest.mark.slow
def test_the_number_has_the_probability_of_the_evidence(rng):
    region = UniformField(margin_px=0.0)
    for distance in (0.6, 1.0):
        places = [(4.5, 4.5 - distance / 2), (4.5, 4.5 + distance / 2)]
        frames = frames_of(rng, places, photons=120.0)
        bright = LogUniform(60.0, 500.0, shared=False)
        patches = Patches(
            frames=frames, psf=Gaussian(SIGMA), counts=[0, 1, 1], photons=bright, background=2.0,
            region=region,
        )  # fmt: skip
        drawn = sample_patches(patches, rng, chains=8, draws=500, burn_in=300)
        observation = Observation(
            frame=frames[0], psf=Gaussian(SIGMA), background=2.0, region=region, exact=False
        )
        one, two = (log_evidence(observation, bright, k, rng) for k in (1, 2))
        wanted = expit(two.log_evidence - one.log_evidence)
        error = wanted * (1 - wanted) * np.hypot(one.error, two.error)
        got = drawn.count_probability(2)[0, 2]
        assert got == pytest.approx(wanted, abs=0.06 + 3 * error)


def test_maps_and_diagnostics_are_per_patch(rng):
    frames = np.concatenate(
        [frames_of(rng, [(4.0, 4.0)], photons=500.0), frames_of(rng, [], photons=500.0)]
    )
    patches = Patches(
        frames=frames, psf=Gaussian(SIGMA), counts=[1, 1, 1], photons=500.0, background=2.0
    )
    drawn = sample_patches(patches, rng, chains=4, draws=40, burn_in=100)
    assert drawn.position.shape == (2, 4, 40, 2, 2)
    np.testing.assert_allclose(drawn.count_probability(2), [[0, 1, 0], [1, 0, 0]], atol=0.02)
    mean, sd = drawn.density_maps((10, 10), 4, 1.25)
    assert mean.shape == sd.shape == (2, 40, 40)
    assert np.unravel_index(mean[0].argmax(), (40, 40)) == pytest.approx((17.5, 17.5), abs=1.5)
    assert mean[1].max() < 0.05 < sd[0].max()
    assert drawn.effective_sample_size().shape == drawn.r_hat().shape == (2,)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"frames": np.zeros((4, 4))}, "patches are"),
        ({"counts": [1.0]}, "prior probabilities"),
        ({"photons": LogUniform(1, 2)}, "shared=False"),
        ({"photons": -1.0}, "photons must be above 0"),
    ],
)
def test_what_is_wrong_is_named(values, words):
    good = {"frames": np.zeros((1, 4, 4)), "psf": Gaussian(1.0), "counts": [1, 1], "photons": 10.0}
    with pytest.raises(InputError, match=words):
        Patches(**{**good, **values})
