import numpy as np
import pytest
from scipy.signal import lfilter

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.reference.diagnostics import effective_sample_size, r_hat


def autoregressive(phi, chains, draws, rng):
    noise = rng.standard_normal((chains, draws + 500))
    return lfilter([1.0], [1.0, -phi], noise, axis=1)[:, 500:]


def test_independent_draws_have_mixed(rng):
    draws = rng.standard_normal((4, 1000))
    assert r_hat(draws) < 1.01
    assert effective_sample_size(draws) == pytest.approx(4000, rel=0.1)


@pytest.mark.parametrize(("phi", "scatter"), [(0.5, 0.02), (0.9, 0.05), (0.97, 0.09)])
def test_effective_sample_size_of_a_known_process(phi, scatter, rng):
    # AR(1): sum of autocorrelations (1 + phi) / (1 - phi). The estimate itself scatters; over 25
    # seeds its mean was within 2 % of this.
    found = effective_sample_size(autoregressive(phi, 8, 8000, rng))
    assert found == pytest.approx(64_000 * (1 - phi) / (1 + phi), rel=4 * scatter)


def test_antithetic_draws_are_worth_more(rng):
    assert effective_sample_size(autoregressive(-0.5, 4, 2000, rng)) > 12_000


def spoiled(how, rng):
    draws = rng.standard_normal((4, 500))
    if how == "one chain elsewhere":
        draws[2] += 1.0
    elif how == "one chain too wide":
        draws[2] *= 2.5
    elif how == "a drift":
        draws += np.linspace(0, 1.5, 500)
    elif how == "heavy tails, elsewhere":
        draws = rng.standard_cauchy((4, 500))
        draws[1] += 2.0
    return draws


@pytest.mark.parametrize(
    "how", ["one chain elsewhere", "one chain too wide", "a drift", "heavy tails, elsewhere"]
)
def test_chains_that_have_not_mixed_are_found(how, rng):
    assert r_hat(spoiled("nothing", rng)) < 1.02
    assert r_hat(spoiled(how, rng)) > 1.03


def test_chains_that_disagree_are_worth_little(rng):
    assert effective_sample_size(spoiled("one chain elsewhere", rng)) < 200


def test_ranks_do_not_feel_the_scale(rng):
    draws = rng.standard_normal((3, 300))
    assert r_hat(draws) == pytest.approx(r_hat(np.exp(draws) + 5), abs=0.02)
    assert effective_sample_size(draws) == pytest.approx(effective_sample_size(np.exp(draws)))


def test_chains_that_stand_still():
    draws = np.repeat([[0.0], [1.0]], 50, axis=1)
    assert r_hat(draws) == np.inf
    assert effective_sample_size(draws) == 0
    assert r_hat(np.zeros((2, 50))) == 1


@pytest.mark.parametrize("draws", [np.zeros((2, 7)), np.zeros(100), np.full((2, 20), np.nan)])
def test_refused(draws):
    with pytest.raises(InputError, match="at least 8 draws"):
        r_hat(draws)
