import numpy as np
import pytest
from scipy.special import expit, logsumexp
from scipy.stats import chi2

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.reference.evidence import log_evidence
from napari_smlm_diffusion.reference.grid import grid_posterior
from napari_smlm_diffusion.reference.labels import relabel
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.reference.priors import LogUniform
from napari_smlm_diffusion.simulation.structures import Disc, UniformField

SHAPE = (11, 11)
REGION = Disc(radius_px=3.0)


def close(found, exact, floor=0.005):
    """Within four of its own standard errors, and these are small."""
    assert found.error < 0.1
    assert found.log_evidence == pytest.approx(exact, abs=4 * found.error + floor)


@pytest.mark.parametrize(
    ("photons", "background", "region"),
    [
        (200.0, 0.0, REGION),
        (2000.0, 10.0, UniformField(margin_px=1.0)),
        (40.0, 10.0, UniformField(margin_px=0.0)),  # dim: mass all over the field
    ],
)
def test_one_molecule_is_the_grids(photons, background, region, observe, rng):
    observation = observe(
        (5.3, 4.4), rng, photons=photons, background=background, shape=SHAPE, region=region
    )
    exact = grid_posterior(observation, photons)
    found = log_evidence(observation, photons, 1, rng)
    close(found, exact.log_evidence)
    assert found.annealed == pytest.approx(exact.log_evidence, abs=1.0)
    mean = found.weights @ found.sets.positions[:, 0]
    np.testing.assert_allclose(mean, exact.mean, atol=5 * exact.sd.max() / np.sqrt(found.ess))


def test_unknown_photons_are_integrated(observe, rng):
    observation = observe((5.3, 4.4), rng, shape=SHAPE, region=REGION)
    # The rectangle rule over log photons on the grid's evidence; its ends are empty.
    log_n = np.linspace(np.log(100), np.log(400), 60)
    by_grid = [grid_posterior(observation, n).log_evidence for n in np.exp(log_n)]
    exact = logsumexp(by_grid) + np.log(log_n[1] - log_n[0]) - np.log(np.log(4))
    found = log_evidence(observation, LogUniform(100.0, 400.0), 1, rng)
    close(found, exact, floor=0.02)


def test_no_molecule_is_the_background(observe, rng):
    observation = observe(np.empty((0, 2)), rng, shape=SHAPE, background=3.0)
    found = log_evidence(observation, 200.0, 0, rng)
    exact = observation.log_likelihood(np.empty((1, 0, 2)), 200.0)[0]
    assert (found.log_evidence, found.error) == (exact, 0.0)


def half(observation, columns):
    """The same frame and prior density, with half of the columns only."""
    frame = observation.frame[:, columns]
    return Observation(frame, Gaussian(0.92), 0.0, 1.0, UniformField(margin_px=0.0))


def test_two_far_molecules_are_twice_the_product_of_one_each(observe, rng):
    # Their light does not overlap, so the integral over four coordinates falls into two of the
    # grid's; twice, for each of them may be the first.
    field = UniformField(margin_px=0.0)
    observation = observe([[4.6, 4.8], [5.3, 16.4]], rng, shape=(11, 22), region=field)
    parts = [grid_posterior(half(observation, s), 200.0) for s in (slice(11), slice(11, None))]
    # Each half has a prior twice as dense as the whole.
    exact = sum(p.log_evidence for p in parts) + np.log(2) - 2 * np.log(2)
    close(log_evidence(observation, 200.0, 2, rng), exact, floor=0.01)


def test_two_close_molecules_are_the_four_dimensional_sum(observe):
    rng = np.random.default_rng(21)
    truth = np.array([[3.6, 3.5], [4.3, 4.6]])
    observation = observe(truth, rng, shape=(9, 9), region=Disc(radius_px=2.5))
    found = log_evidence(observation, 200.0, 2, rng)
    # An even lattice around one order of the molecules, its spacing 0.7 of their posterior's SDs.
    # The two orders overlap. A share of each set, which falls smoothly from one order to the
    # other and adds up to 1 over both, counts every set once; the other order is as much again.
    sets = found.sets.positions
    order = relabel(sets, truth)[..., None]
    flat = np.take_along_axis(sets, order, axis=1).reshape(-1, 4)
    mean = found.weights @ flat
    root = np.linalg.cholesky(np.cov(flat.T, aweights=found.weights))
    axis = 0.7 * np.arange(-9, 10)
    lattice = np.stack(np.meshgrid(*[axis] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    lattice = lattice[np.linalg.norm(lattice, axis=1) < 6.0]
    sets = (mean + lattice @ root.T).reshape(-1, 2, 2)
    swapped = np.linalg.solve(root, (sets[:, ::-1].reshape(-1, 4) - mean).T)
    share = expit(0.5 * (np.sum(swapped**2, axis=0) - np.sum(lattice**2, axis=1)))
    log_l = observation.log_likelihood(sets, 200.0)
    log_l[~observation.inside(sets).all(axis=1)] = -np.inf
    cell = 0.7**4 * np.prod(np.diag(root))
    exact = logsumexp(log_l, b=share) + np.log(2 * cell / observation.area_px**2)
    close(found, exact)


def test_three_molecules_and_photons_of_their_own(observe, rng):
    # A narrow range of photons is a known number, whatever the photons are shared with.
    places = [[3.0, 4.0], [5.5, 6.5], [6.8, 4.2]]
    observation = observe(places, rng, shape=SHAPE, region=REGION)
    known = log_evidence(observation, 200.0, 3, rng)
    own = log_evidence(observation, LogUniform(199.5, 200.5, shared=False), 3, rng, population=400)
    assert own.sets.log_photons.shape[1] == 3
    difference = own.log_evidence - known.log_evidence
    assert difference == pytest.approx(0.0, abs=4 * np.hypot(own.error, known.error) + 0.05)


def odds_of_two(observation, rng, **settings):
    """Log odds of two molecules of 200 photons against one of 400."""
    one, two = (
        log_evidence(observation, photons, count, rng, **settings)
        for count, photons in ((1, 400.0), (2, 200.0))
    )
    return two.log_evidence - one.log_evidence


def test_shape_alone_tells_two_from_one(observe, rng):
    # Two molecules 2.2 px apart are two by their shape; one of twice the photons is one.
    pair = observe([[5.0, 3.9], [5.0, 6.1]], rng, shape=SHAPE, region=REGION)
    one = observe((5.0, 5.0), rng, photons=400.0, shape=SHAPE, region=REGION)
    assert odds_of_two(pair, rng, population=64, draws=400) > np.log(999)
    assert odds_of_two(one, rng, population=64, draws=400) < 0


def test_the_error_is_the_scatter_of_repetitions(observe):
    observation = observe([[5.2, 5.0], [4.8, 5.6]], np.random.default_rng(3), shape=(9, 9))
    runs = [
        log_evidence(observation, 200.0, 2, np.random.default_rng(s), population=64, draws=400)
        for s in range(12)
    ]
    scatter = np.std([run.log_evidence for run in runs], ddof=1)
    claimed = np.sqrt(np.mean([run.error**2 for run in runs]))
    # 12 repetitions know a standard deviation to 21 %.
    assert 0.5 < scatter / claimed < 1.8


def calibrated(hit, log_odds):
    """Score test of intercept 0 and slope 1 in logistic recalibration, at 1 %."""
    p = expit(log_odds)
    terms = np.stack([np.ones_like(log_odds), log_odds])
    score = terms @ (hit - p)
    statistic = score @ np.linalg.solve((terms * p * (1 - p)) @ terms.T, score)
    return bool(chi2.sf(statistic, 2) > 0.01)


@pytest.mark.parametrize(
    ("frames", "dishonest", "settings"),
    [
        (60, ("bold", "for two", "for one"), dict(population=40, draws=150)),
        # Timid probabilities are told from honest ones only by many frames.
        pytest.param(
            300,
            ("bold", "timid", "for two", "for one"),
            dict(population=64, draws=300),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_probabilities_are_honest(frames, dishonest, settings, observe):
    # One of 400 photons or two of 200, fifty-fifty, on a disc of 1.2 px: only the shape can tell.
    rng = np.random.default_rng(5)
    region = Disc(radius_px=1.2)
    hit, log_odds = np.empty(frames), np.empty(frames)
    for i in range(frames):
        count = int(rng.integers(1, 3))
        places = region.positions(count, (9, 9), rng)
        observation = observe(places, rng, photons=400.0 / count, shape=(9, 9), region=region)
        hit[i] = count == 2
        log_odds[i] = odds_of_two(observation, rng, **settings)
    assert calibrated(hit, log_odds)
    wrong = {
        "bold": 4 * log_odds,
        "timid": log_odds / 4,
        "for two": log_odds + 2,
        "for one": log_odds - 2,
    }
    for name in dishonest:
        assert not calibrated(hit, wrong[name]), name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (dict(count=5), "count must be 0 to 4, got 5"),
        (dict(photons=0.0), "photons must be above 0"),
        (dict(population=3), "population must be 20 or more, got 3"),
        (dict(draws=3), "draws must be 100 or more, got 3"),
    ],
)
def test_refused(values, message, observe, rng):
    observation = observe((4.0, 4.0), rng, shape=(9, 9))
    given = dict(photons=200.0, count=1, rng=rng, population=20, draws=100)
    with pytest.raises(InputError, match=message):
        log_evidence(observation, **(given | values))


def test_photons_out_of_order_are_refused():
    with pytest.raises(InputError, match="0 < low < high, got 400"):
        LogUniform(400.0, 100.0)
