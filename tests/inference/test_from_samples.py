import numpy as np
import pytest
from scipy.stats import kstest, t

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.matching import match
from napari_smlm_diffusion.inference.from_samples import RADIUS_PX, rows_from_peaks
from napari_smlm_diffusion.proposals.sample_peaks import Peaks


def peaks(yx, mass=None):
    yx = np.asarray(yx, float).reshape(-1, 2)
    return Peaks(yx[:, 0], yx[:, 1], np.ones(len(yx)) if mass is None else np.asarray(mass, float))


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
    """Pulls of rows that claim little, their matched samples; (claimed, true) of all rows."""
    rng = np.random.default_rng(3)
    pulls, matched, claimed, true = [], [], [], []
    for _ in range(frames):
        scene = Scene(rng)
        rows = rows_from_peaks([peaks(scene.draw(**dishonest)) for _ in range(samples)])
        truth = scene.draw()
        pairs = match(np.stack([rows.y, rows.x], 1), truth, RADIUS_PX)
        hit = np.zeros(len(rows.y), bool)
        hit[pairs.found] = True
        narrow = rows.sd_xy[pairs.found] < RADIUS_PX / 3
        i, j = pairs.found[narrow], pairs.truth[narrow]
        pulls += [*((rows.y[i] - truth[j, 0]) / rows.sd_y[i])]
        pulls += [*((rows.x[i] - truth[j, 1]) / rows.sd_x[i])]
        matched += 2 * [*rows.matched[i]]
        claimed.append(rows.probability)
        true.append(hit)
    return np.array(pulls), np.array(matched), np.concatenate(claimed), np.concatenate(true)


def worst_bin(claimed, true):
    which = np.digitize(claimed, [0.4, 0.6, 0.8])
    gaps = [true[which == i].mean() - claimed[which == i].mean() for i in range(4)]
    return max(gaps, key=abs)


@pytest.fixture(scope="module")
def honest():
    return compare()


def is_honest(pulls, m):
    """Mean 0 +- 0.1 and SD 1 +- 0.07 in units of Student's t with the m - 1 of each row."""
    scale = np.sqrt(np.mean((m - 1) / (m - 3)))
    return abs(pulls.mean()) < 0.1 and abs(pulls.std() / scale - 1) < 0.07


def test_honest_samples_give_pulls_of_students_t(honest):
    pulls, m, _, _ = honest
    assert len(pulls) > 1500
    assert is_honest(pulls, m)
    # Student's t of each row's own m, turned into a uniform number.
    assert kstest(t.cdf(pulls, m - 1), "uniform").pvalue > 0.01


@pytest.mark.parametrize("dishonest", [{"width": 0.6}, {"width": 1.6}, {"shift": 0.12}])
def test_narrow_wide_and_shifted_samples_do_not(dishonest):
    pulls, m, _, _ = compare(frames=20, **dishonest)
    assert not is_honest(pulls, m)


def test_the_probability_of_honest_samples_is_the_share_of_rows_that_are_true(honest):
    _, _, claimed, true = honest
    assert abs(worst_bin(claimed, true)) < 0.08  # twice the error of a bin of 200 rows
    assert abs(true.mean() - claimed.mean()) < 0.03


def test_the_probability_of_samples_that_miss_molecules_is_not():
    _, _, claimed, true = compare(frames=20, thin=0.7)
    assert true.mean() - claimed.mean() > 0.1


def test_the_numbers_of_one_row_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    drawn = rng.normal((5.0, 7.0), (0.1, 0.3), (15, 2))
    rows = rows_from_peaks([peaks(p) for p in drawn] + 5 * [peaks([])])
    assert (rows.samples, rows.source) == (20, "samples:20")
    assert rows.matched.tolist() == [15]
    assert rows.probability[0] == pytest.approx(0.75)
    np.testing.assert_allclose([rows.y[0], rows.x[0]], drawn.mean(0))
    sd = drawn.std(0, ddof=1) * np.sqrt(1 + 1 / 15)
    np.testing.assert_allclose([rows.sd_y[0], rows.sd_x[0]], sd)
    assert rows.sd_xy[0] == pytest.approx(np.sqrt(np.mean(sd**2)))
    assert rows.multiplicity.tolist() == [1]


def test_fewer_than_eight_matched_samples_claim_no_uncertainty():
    for m, known in ((7, False), (8, True)):
        rows = rows_from_peaks([peaks((5.0 + 0.1 * k, 5.0)) for k in range(m)])
        assert np.isfinite(rows.sd_y).all() == known
        assert rows.probability.tolist() == [1.0]


def test_peaks_that_recur_in_a_fifth_of_the_samples_are_a_row_and_others_are_none():
    always, sometimes = (5.0, 5.0), (12.0, 5.0)
    for count, rows in ((4, 2), (3, 1)):
        samples = [peaks([always, sometimes])] * count + [peaks(always)] * (20 - count)
        assert len(rows_from_peaks(samples).y) == rows
    assert len(rows_from_peaks(samples, min_share=0.1).y) == 2


@pytest.mark.parametrize("distance", [0.4, 0.7, 1.0, 1.5])
def test_two_molecules_within_the_radius_of_each_other_are_two_rows(distance):
    rng = np.random.default_rng(1)
    truth = np.array([(6.0, 6.0), (6.0, 6.0 + distance)])
    samples = [peaks(truth + 0.08 * rng.standard_normal((2, 2))) for _ in range(40)]
    rows = rows_from_peaks(samples)
    found = np.stack([rows.y, rows.x], 1)[np.argsort(rows.x)]
    np.testing.assert_allclose(found, truth, atol=0.07)
    np.testing.assert_array_equal(rows.probability, 1.0)
    assert (rows.sd_x < 0.13).all()


def test_one_uncertain_molecule_does_not_become_several_rows():
    rng = np.random.default_rng(2)
    rows = rows_from_peaks([peaks(rng.normal(6.0, 0.45, 2)) for _ in range(64)])
    assert len(rows.y) == 1
    assert rows.probability[0] > 0.9


def test_one_or_two_gives_as_many_rows_as_it_may_be_and_the_mean_number():
    rng = np.random.default_rng(4)
    two, one = [(6.0, 5.5), (6.0, 6.5)], [(6.0, 6.0)]
    samples = [
        peaks(np.array(places) + 0.1 * rng.standard_normal((len(places), 2)))
        for places in 30 * [two] + 30 * [one]
    ]
    rows = rows_from_peaks(samples)
    assert len(rows.y) == 2
    assert rows.probability.sum() == pytest.approx(1.5, abs=0.01)


def test_rows_do_not_depend_on_the_order_of_samples_or_on_what_is_far_away():
    rng = np.random.default_rng(5)
    scene = Scene(rng, count=100)  # dense: 6 molecules on 10 x 10 px
    drawn = [scene.draw() for _ in range(16)]
    rows = rows_from_peaks([peaks(p) for p in drawn])
    again = rows_from_peaks([peaks(p[::-1]) for p in drawn[::-1]])
    for name in ("y", "x", "sd_y", "sd_x", "probability", "multiplicity"):
        np.testing.assert_array_equal(getattr(again, name), getattr(rows, name))

    elsewhere = [p + np.array([200.0, 0.0]) for p in drawn[::-1]]
    both = rows_from_peaks([peaks(np.concatenate(p)) for p in zip(drawn, elsewhere, strict=True)])
    np.testing.assert_allclose(both.y[: len(rows.y)], rows.y, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(both.matched[: len(rows.y)], rows.matched)


def test_multiplicity_is_what_the_peaks_hold():
    rows = rows_from_peaks([peaks([(5, 5), (9, 9)], mass) for mass in 9 * [(2.1, 0.6)]])
    assert rows.multiplicity.tolist() == [2, 1]


def test_samples_without_peaks_have_no_rows():
    assert len(rows_from_peaks([peaks([])] * 4).y) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "at least one posterior sample"),
        (([peaks([])], 0.0), "radius must be above 0 px, got 0"),
        (([peaks([])], 1.25, 0.0), r"in \(0, 1\], got 0"),
        (([peaks([])], 1.25, 1.2), r"in \(0, 1\], got 1.2"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        rows_from_peaks(*arguments)
