import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.reference.evidence import log_evidence
from napari_smlm_diffusion.reference.grid import grid_posterior
from napari_smlm_diffusion.reference.maps import density_maps
from napari_smlm_diffusion.reference.metropolis import papers_chain, sample_posterior
from napari_smlm_diffusion.simulation.structures import Disc

SMALL = dict(shape=(11, 11), region=Disc(radius_px=3.0))


@pytest.fixture(scope="module")
def single(observe):
    return observe((4.7, 5.4), np.random.default_rng(3), **SMALL)


@pytest.fixture(scope="module")
def draws(single):
    return sample_posterior(single, 200.0, 1, np.random.default_rng(4), chains=16)


@pytest.fixture(scope="module")
def close_pair(observe):
    return observe([[4.6, 4.6], [5.4, 5.8]], np.random.default_rng(5), **SMALL)


def test_one_molecule_is_the_grids(single, draws):
    exact = grid_posterior(single, 200.0)
    assert draws.r_hat < 1.03
    assert draws.ess.min() > 500
    error = exact.sd / np.sqrt(draws.ess[0])
    np.testing.assert_array_less(np.abs(draws.mean[0] - exact.mean), 4 * error)
    np.testing.assert_allclose(draws.sd[0], exact.sd, rtol=4 / np.sqrt(2 * draws.ess.min()))
    assert 0.15 < draws.acceptance.mean() < 0.6


def test_its_maps_are_the_grids(single, draws):
    found, exact = (p.density_maps(4, 1.25) for p in (draws, grid_posterior(single, 200.0)))
    seen = exact.sd > 0.01
    rms = np.sqrt(np.mean((found.sd - exact.sd)[seen] ** 2) / np.mean(exact.sd[seen] ** 2))
    assert rms < 0.1
    np.testing.assert_allclose(found.mean, exact.mean, atol=0.03)


def test_a_close_pair_is_what_importance_sampling_says(close_pair):
    # Two methods that share no more than the likelihood. Moments that have no order of molecules:
    # the middle, and the square of the distance.
    rng = np.random.default_rng(6)
    chains = sample_posterior(close_pair, 200.0, 2, rng, chains=16)
    assert chains.r_hat < 1.04
    other = log_evidence(close_pair, 200.0, 2, rng)

    def invariants(p):
        apart = np.sum((p[..., 0, :] - p[..., 1, :]) ** 2, axis=-1)
        return np.concatenate([p.mean(axis=-2), apart[..., None]], axis=-1).reshape(-1, 3)

    drawn, weighted = invariants(chains.positions), invariants(other.sets.positions)
    mean = other.weights @ weighted
    sd = np.sqrt(other.weights @ (weighted - mean) ** 2)
    error = sd * np.sqrt(1 / chains.ess.min() + 1 / other.ess)
    np.testing.assert_array_less(np.abs(drawn.mean(axis=0) - mean), 4 * error)
    np.testing.assert_allclose(drawn.std(axis=0), sd, rtol=0.1)


@pytest.mark.slow
def test_two_molecules_have_no_order(close_pair):
    # Chains that start with the molecules the other way round find the same density.
    start = np.tile([[4.6, 4.6], [5.4, 5.8]], (16, 1, 1))
    one, other = (
        sample_posterior(
            close_pair, 200.0, 2, np.random.default_rng(seed), chains=16, draws=500, start=s
        )
        for seed, s in ((7, start), (8, start[:, ::-1]))
    )
    maps = [c.density_maps(4, 1.25) for c in (one, other)]
    assert np.abs(maps[0].mean - maps[1].mean).max() < 0.06
    # Relabelling gives both the same first molecule or the other; the density does not know.
    flat = one.positions.reshape(-1, 2, 2)
    swapped = density_maps(flat[:, ::-1], one.shape, 4, 1.25)
    np.testing.assert_allclose(swapped.sd, maps[0].sd, atol=1e-7)


def test_chains_that_have_not_mixed_are_found(observe, draws):
    # One molecule to place and two spots far apart: chains of small steps stay where they begin.
    observation = observe([[5.0, 5.0], [14.0, 14.0]], np.random.default_rng(9))
    start = np.array([[[5.0, 5.0]], [[14.0, 14.0]]])
    stuck = papers_chain(
        observation,
        200.0,
        1,
        np.random.default_rng(1),
        chains=2,
        steps=600,
        burn_in=100,
        beta=1.0,
        start=start,
    )
    assert stuck.r_hat > 1.5
    assert stuck.ess.max() < 20
    assert draws.r_hat < 1.03


def test_the_published_chain_is_tempered_and_too_wide(single):
    rng = np.random.default_rng(10)
    chains = papers_chain(single, 200.0, 1, rng, chains=4, steps=6000)
    assert chains.r_hat < 1.02
    ratio = chains.sd[0] / grid_posterior(single, 200.0).sd
    np.testing.assert_allclose(ratio, 1 / np.sqrt(0.2), rtol=0.1)


@pytest.mark.slow
def test_the_published_chain_with_beta_one_is_the_posterior(single):
    chains = papers_chain(
        single, 200.0, 1, np.random.default_rng(11), chains=16, steps=3000, beta=1.0
    )
    exact = grid_posterior(single, 200.0)
    np.testing.assert_allclose(chains.sd[0], exact.sd, rtol=0.08)


def test_published_numbers_are_the_defaults(single):
    chains = papers_chain(single, 200.0, 1, np.random.default_rng(12), steps=1010)
    assert chains.positions.shape == (1, 10, 1, 2)  # burn-in 10^3


def test_the_same_seed_is_the_same_chain(single):
    one, other = (
        sample_posterior(
            single, 200.0, 1, np.random.default_rng(2), chains=2, draws=20, burn_in=20, thin=2
        )
        for _ in range(2)
    )
    assert one.positions.shape == (2, 20, 1, 2)
    np.testing.assert_array_equal(one.positions, other.positions)
    np.testing.assert_allclose(
        one.log_likelihood.ravel(),
        single.log_likelihood(one.positions.reshape(-1, 1, 2), 200.0),
        atol=1e-3,
    )


def test_draws_stay_in_the_region(observe, rng):
    # A molecule just outside the disc: the posterior leans on the edge.
    region = Disc(radius_px=2.0)
    observation = observe((5.0, 7.1), rng, shape=(11, 11), region=region)
    chains = sample_posterior(observation, 200.0, 1, rng, draws=300, burn_in=300)
    assert observation.inside(chains.positions).all()
    exact = grid_posterior(observation, 200.0)
    np.testing.assert_allclose(chains.mean[0], exact.mean, atol=0.03)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (dict(count=0), "count must be 1 or more, got 0"),
        (dict(photons=-5.0), "photons must be above 0"),
        (dict(draws=0), "draws must be 1 or more"),
        (dict(start=np.zeros((8, 1, 2))), "inside the region"),
        (dict(start=np.zeros((1, 2))), r"\(8, 1, 2\)"),
    ],
)
def test_refused(values, message, single, rng):
    arguments = dict(photons=200.0, count=1) | values
    with pytest.raises(InputError, match=message):
        sample_posterior(single, arguments.pop("photons"), arguments.pop("count"), rng, **arguments)


def test_a_published_chain_without_steps_is_refused(single, rng):
    with pytest.raises(InputError, match="draws must be 1 or more, got 0"):
        papers_chain(single, 200.0, 1, rng, steps=1000)
    with pytest.raises(InputError, match="beta"):
        papers_chain(single, 200.0, 1, rng, beta=0.0)
