import numpy as np
import pytest
from scipy.stats import kstest, t

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.matching import match, match_frames
from napari_smlm_diffusion.inference.centres import cells_of
from napari_smlm_diffusion.inference.from_samples import (
    RADIUS_PX,
    localizations_from_peaks,
    recurring,
)
from napari_smlm_diffusion.inference.matched import match_samples


def localized(samples, mass=1.0):
    """Localizations from the (M, 2) places of the peaks of each sample."""
    places = [np.asarray(places, float).reshape(-1, 2) for places in samples]
    position = np.concatenate([np.empty((0, 2)), *places])
    frame = np.repeat(np.arange(len(places)), [len(p) for p in places])
    mass = np.resize(np.asarray(mass, float), len(position))
    return localizations_from_peaks(Emitters(frame, position, multiplicity=mass), len(places))


class Scene:
    """A posterior over sets: molecules that may be there, some of them one or two."""

    def __init__(self, rng, size=40, count=24):
        self.rng = rng
        self.centre = rng.uniform(0, size, (count, 2))
        self.sd = np.exp(rng.uniform(np.log(0.1), np.log(0.6), (count, 2)))
        self.exists = rng.uniform(0.3, 1.0, count)
        self.two = np.where(rng.random(count) < 0.3, rng.uniform(0.1, 0.9, count), 0.0)
        angle, half = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.15, 0.5, count)
        self.step = half[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1)

    def draw(self, width=1.0, shift=0.0, thin=1.0):
        rng, shape = self.rng, self.centre.shape
        here = rng.random(len(self.exists)) < thin * self.exists
        two = here & (rng.random(len(self.two)) < self.two)
        noise = [width * self.sd * rng.standard_normal(shape) for _ in range(2)]
        one = (self.centre + noise[0])[here & ~two]
        pair = [(self.centre + s * self.step + e)[two] for s, e in zip((-1, 1), noise, strict=True)]
        return np.concatenate([one, *pair]) + shift


def compare(samples=40, frames=60, **dishonest):
    """Pulls of those that claim little, their matched samples; (claimed, true) of all."""
    rng = np.random.default_rng(3)
    pulls, matched, claimed, true = [], [], [], []
    for _ in range(frames):
        scene = Scene(rng)
        found = localized([scene.draw(**dishonest) for _ in range(samples)])
        truth = scene.draw()
        pairs = match(found.position, truth, RADIUS_PX)
        hit = np.zeros(len(found), bool)
        hit[pairs.found] = True
        narrow = np.sqrt((found.sd[pairs.found] ** 2).mean(1)) < RADIUS_PX / 3
        i, j = pairs.found[narrow], pairs.truth[narrow]
        pulls.append((found.position[i] - truth[j]) / found.sd[i])
        matched.append(np.rint(found.probability[i] * samples).repeat(2))
        claimed.append(found.probability)
        true.append(hit)
    return np.concatenate(pulls).ravel(), *map(np.concatenate, (matched, claimed, true))


def worst_bin(claimed, true):
    which = np.digitize(claimed, [0.4, 0.6, 0.8])
    gaps = [true[which == i].mean() - claimed[which == i].mean() for i in range(4)]
    return max(gaps, key=abs)


@pytest.fixture(scope="module")
def honest():
    return compare()


def is_honest(pulls, m):
    """Mean 0 +- 0.1 and SD 1 +- 0.07 in units of Student's t with the m - 1 of each."""
    scale = np.sqrt(np.mean((m - 1) / (m - 3)))
    return abs(pulls.mean()) < 0.1 and abs(pulls.std() / scale - 1) < 0.07


def test_honest_samples_give_pulls_of_students_t(honest):
    pulls, m, _, _ = honest
    assert len(pulls) > 1500
    assert is_honest(pulls, m)
    # Student's t of each one's own m, turned into a uniform number.
    assert kstest(t.cdf(pulls, m - 1), "uniform").pvalue > 0.01


@pytest.mark.parametrize("dishonest", [{"width": 0.6}, {"width": 1.6}, {"shift": 0.12}])
def test_narrow_wide_and_shifted_samples_do_not(dishonest):
    pulls, m, _, _ = compare(frames=20, **dishonest)
    assert not is_honest(pulls, m)


def test_the_probability_of_honest_samples_is_the_share_of_localizations_that_are_true(honest):
    _, _, claimed, true = honest
    assert abs(worst_bin(claimed, true)) < 0.08  # twice the error of a bin of 200
    assert abs(true.mean() - claimed.mean()) < 0.03


def test_the_probability_of_samples_that_miss_molecules_is_not():
    _, _, claimed, true = compare(frames=20, thin=0.7)
    assert true.mean() - claimed.mean() > 0.1


def test_the_numbers_of_one_localization_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    drawn = rng.normal((5.0, 7.0), (0.1, 0.3), (15, 2))
    found = localized([*drawn, *5 * [[]]])
    assert found.probability.tolist() == [0.75]
    np.testing.assert_allclose(found.position, [drawn.mean(0)])
    np.testing.assert_allclose(found.sd, [drawn.std(0, ddof=1) * np.sqrt(1 + 1 / 15)])
    assert found.multiplicity.tolist() == [1]


def test_fewer_than_eight_matched_samples_claim_no_uncertainty():
    for m, known in ((7, False), (8, True)):
        found = localized([(5.0 + 0.1 * k, 5.0) for k in range(m)])
        assert np.isfinite(found.sd[:, 0]).all() == known
        assert found.probability.tolist() == [1.0]


def test_peaks_that_recur_in_a_fifth_of_the_samples_are_a_localization_and_others_are_none():
    always, sometimes = (5.0, 5.0), (12.0, 5.0)
    for count, expected in ((4, 2), (3, 1)):
        samples = [[always, sometimes]] * count + [always] * (20 - count)
        assert len(localized(samples)) == expected


@pytest.mark.parametrize("distance", [0.4, 0.7, 1.0, 1.5])
def test_two_molecules_within_the_radius_of_each_other_are_two_localizations(distance):
    rng = np.random.default_rng(1)
    truth = np.array([(6.0, 6.0), (6.0, 6.0 + distance)])
    found = localized([truth + 0.08 * rng.standard_normal((2, 2)) for _ in range(40)])
    np.testing.assert_allclose(found.position[np.argsort(found.x)], truth, atol=0.07)
    np.testing.assert_array_equal(found.probability, 1.0)
    assert (found.sd[:, 1] < 0.13).all()


def test_one_uncertain_molecule_does_not_become_several():
    rng = np.random.default_rng(2)
    found = localized([rng.normal(6.0, 0.45, 2) for _ in range(64)])
    assert len(found) == 1
    assert found.probability[0] > 0.9


def test_one_or_two_gives_as_many_localizations_as_it_may_be_and_the_mean_number():
    rng = np.random.default_rng(4)
    two, one = [(6.0, 5.5), (6.0, 6.5)], [(6.0, 6.0)]
    samples = [
        np.array(places) + 0.1 * rng.standard_normal((len(places), 2))
        for places in 30 * [two] + 30 * [one]
    ]
    found = localized(samples)
    assert len(found) == 2
    assert found.probability.sum() == pytest.approx(1.5, abs=0.01)


def test_localizations_do_not_depend_on_the_order_of_samples_or_on_what_is_far_away():
    rng = np.random.default_rng(5)
    scene = Scene(rng, count=100)  # dense: 6 molecules on 10 x 10 px
    drawn = [scene.draw() for _ in range(16)]
    found = localized(drawn)
    again = localized([p[::-1] for p in drawn[::-1]])
    for name in ("position", "sd", "probability", "multiplicity"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))

    elsewhere = [p + np.array([200.0, 0.0]) for p in drawn[::-1]]
    both = localized([np.concatenate(p) for p in zip(drawn, elsewhere, strict=True)])
    near = both.select(slice(len(found)))
    np.testing.assert_allclose(near.y, found.y, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(near.probability, found.probability)


def test_multiplicity_is_what_the_peaks_hold():
    found = localized(9 * [[(5, 5), (9, 9)]], mass=(2.1, 0.6))
    assert found.multiplicity.tolist() == [2, 1]


def test_samples_without_peaks_have_no_localizations():
    assert len(localized([[]] * 4)) == 0


def test_without_samples_there_is_nothing_to_say():
    with pytest.raises(InputError, match="samples must be 1 or more"):
        localized([])


@pytest.mark.parametrize("density", [0.05, 0.3, 1.0])
def test_the_compiled_matching_is_that_of_the_truth(density):
    rng = np.random.default_rng(6)
    size, samples = 12.0, 9
    centres = rng.uniform(-1, size, (int(density * size**2), 2))
    points = rng.uniform(0, size, (samples * len(centres), 2))
    sample = rng.integers(0, samples, len(points))
    which, peak = match_samples(centres, cells_of(points, 1.5), sample, samples, RADIUS_PX)
    every = np.repeat(np.arange(samples), len(centres))
    pairs = match_frames(every, np.tile(centres, (samples, 1)), sample, points, RADIUS_PX)
    ours = {*zip(which.tolist(), peak.tolist(), strict=True)}
    assert ours == {*zip((pairs.found % len(centres)).tolist(), pairs.truth.tolist(), strict=True)}
    assert len(ours) == len(which)


def test_values_of_the_peaks_are_averaged_with_their_covariance():
    rng = np.random.default_rng(7)
    true = np.array([[0.04, 0.02, 5.0], [0.02, 0.03, -3.0], [5.0, -3.0, 4e3]])
    drawn = rng.multivariate_normal([5.0, 7.0, 900.0], true, 40)
    found = recurring(Emitters(np.arange(40), drawn[:, :2]), 50, drawn[:, 2:])
    np.testing.assert_allclose(found.mean[0], drawn.mean(0))
    np.testing.assert_allclose(found.covariance[0], np.cov(drawn.T) * (1 + 1 / 40))
    np.testing.assert_allclose(found.emitters.sd[0] ** 2, np.diag(found.covariance[0])[:2])
    assert found.emitters.probability.tolist() == [0.8]
    assert found.emitters.multiplicity.tolist() == [1]
