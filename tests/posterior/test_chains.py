import itertools

import numpy as np
import pytest
from scipy.stats import kstest

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.posterior.chains.refine import Chains
from napari_smlm_diffusion.posterior.prior import PhotonPrior

NOTHING = []


def emitters(molecules):
    return Emitters(np.zeros(len(molecules), np.intp), molecules[:, :2], molecules[:, 2])


def refine(world, frames, starts=None, draws=32, seed=0, shown=None, **options):
    starts = [NOTHING] * len(frames) if starts is None else starts
    chains = Chains(**{"rounds": 1, "burn_in": 60, "thin": 8, "sweeps": 0, **options})
    return chains(
        starts,
        np.asarray(frames),
        0,
        world.microscope,
        world.prior,
        draws=draws,
        seed=seed,
        shown=shown,
    )


def test_without_likelihood_the_prior_is_drawn(worlds):
    # Dense enough that splits, mergers and pairs are at work; hidden, so that nothing is learned.
    world = worlds((16, 12), 0.05, PhotonPrior.lognormal(800, 0.4), 10.0)
    frame = np.full((1, *world.shape), np.nan, np.float32)
    drawn = refine(world, frame, draws=4000, thin=4, burn_in=100)
    number = np.bincount(drawn.draw, minlength=4000)
    mean = world.density * world.area
    # About every third draw of a chain is independent.
    error = np.sqrt(3 * mean / 4000)
    assert number.mean() == pytest.approx(mean, abs=4 * error)
    assert number.var() == pytest.approx(mean, rel=0.15)
    some = drawn.emitters.select(slice(None, None, 40))
    for place, size in ((some.y, 16), (some.x, 12)):
        assert kstest((place + 1.5) / (size + 2), "uniform").pvalue > 1e-3
    light = np.log(some.photons)
    expected = np.log(world.photons.quantile([0.05, 0.25, 0.5, 0.75, 0.95]))
    np.testing.assert_allclose(
        np.quantile(light, [0.05, 0.25, 0.5, 0.75, 0.95]), expected, atol=0.08
    )


def test_from_the_truth_and_from_nothing_it_is_the_same(worlds):
    world = worlds((24, 24), 0.03, PhotonPrior.lognormal(1000, 0.3), 20.0)
    rng = np.random.default_rng(1)
    truth = [world.molecules(rng) for _ in range(4)]
    frames = [world.frame(rng, molecules) for molecules in truth]
    from_nothing = refine(world, frames, draws=64)
    from_truth = refine(world, frames, [[emitters(one)] for one in truth], draws=64, seed=1)
    for t in range(4):
        number, light = [], []
        for drawn in (from_nothing, from_truth):
            one = drawn.emitters.frame == t
            number.append(one.sum() / 64)
            light.append(drawn.emitters.photons[one].sum() / 64)
        assert number[0] == pytest.approx(number[1], abs=0.5)
        assert light[0] == pytest.approx(light[1], rel=0.02)


def ranks(world, frames, truth, **options):
    """Rank of the truth among the draws, from 0 to 1, for each frame and quantity."""
    drawn = refine(world, frames, draws=39, **options)
    number = drawn.emitters.frame * 39 + drawn.draw
    edges = np.searchsorted(number, np.arange(39 * len(frames) + 1))
    columns = np.column_stack([drawn.emitters.position, drawn.emitters.photons])
    sets = [columns[a:b] for a, b in itertools.pairwise(edges)]
    values = [[quantity(one) for one in sets] for quantity in QUANTITIES.values()]
    values = np.reshape(values, (len(QUANTITIES), len(frames), 39))
    known = [[quantity(one) for one in truth] for quantity in QUANTITIES.values()]
    known = np.array(known)[..., None]
    same = (values == known).sum(-1)
    jitter = np.random.default_rng(0).uniform(0, 1 + same)
    return ((values < known).sum(-1) + jitter) / 40


def nearest(molecules):
    gap = np.hypot(*(molecules[:, None, :2] - molecules[None, :, :2]).T)
    np.fill_diagonal(gap, 40.0)
    return gap.min(initial=40.0)


QUANTITIES = {
    "number": len,
    "light": lambda m: m[:, 2].sum(),
    "nearest": nearest,
    "position": lambda m: m[:, 0].sum(),
    "corner": lambda m: np.sum((m[:, 0] < 7.5) & (m[:, 1] < 7.5)),
}


@pytest.mark.parametrize("width, passes", [(1.0, True), (1.25, False)])
def test_simulation_based_calibration(worlds, width, passes):
    photons = PhotonPrior.lognormal(500, 0.4)
    world = worlds((16, 16), 0.025, photons, 5.0)
    rng = np.random.default_rng(3)
    truth = [world.molecules(rng) for _ in range(150)]
    frames = [world.frame(rng, molecules) for molecules in truth]
    # Someone who is wrong about the spot must be found out.
    judged = worlds((16, 16), 0.025, photons, 5.0, sigma_px=1.2 * width)
    found = ranks(judged, frames, truth, burn_in=40, thin=4)
    p = [kstest(of_quantity, "uniform").pvalue for of_quantity in found]
    assert (min(p) > 0.01 / len(p)) == passes


def test_the_same_bytes_whatever_the_threads_and_the_frames_beside(world):
    rng = np.random.default_rng(0)
    frames = np.array([world.frame(rng, world.molecules(rng)) for _ in range(3)])
    alone = [refine(world, frames, threads=n) for n in (1, 4)]
    for drawn in alone[1:]:
        np.testing.assert_array_equal(drawn.emitters.position, alone[0].emitters.position)
        np.testing.assert_array_equal(drawn.expected, alone[0].expected)
    last = Chains(rounds=1, burn_in=60, thin=8, sweeps=0)(
        [NOTHING], frames[2:], 2, world.microscope, world.prior, draws=32, seed=0
    )
    mine = alone[0].emitters.of_frame(2)
    np.testing.assert_array_equal(last.emitters.position, mine.position)


def test_a_hidden_pixel_says_nothing(world):
    rng = np.random.default_rng(5)
    frame = world.frame(rng, world.molecules(rng))
    shown = np.ones(world.shape, bool)
    shown[8, 8] = False
    hot = frame.copy()
    hot[8, 8] = 1e5
    one, other = (refine(world, [f], shown=shown).emitters for f in (frame, hot))
    np.testing.assert_array_equal(one.position, other.position)
    nan = frame.copy()
    nan[8, 8] = np.nan
    np.testing.assert_array_equal(refine(world, [nan]).emitters.position, one.position)


def test_chains_that_cannot_agree_say_so(worlds):
    # Far too short, from two starts that differ: crowded, and one of them empty.
    world = worlds((24, 24), 0.1, PhotonPrior.lognormal(300, 0.5), 50.0)
    rng = np.random.default_rng(7)
    molecules = world.molecules(rng)
    frame = world.frame(rng, molecules)
    starts = [[emitters(molecules), emitters(molecules[:0])]]
    drawn = refine(world, [frame], starts, draws=4, burn_in=0, thin=1)
    assert drawn.r_hat[0] > 1.2


def test_fewer_draws_than_chains_are_refused(world):
    with pytest.raises(InputError, match="draws"):
        refine(world, np.zeros((1, 16, 16), np.float32), draws=3)


def test_the_expected_frame_is_that_of_the_draws(worlds):
    world = worlds((16, 16), 0.02, PhotonPrior.lognormal(800, 0.4), 10.0, read_noise=2.0)
    rng = np.random.default_rng(2)
    frames = [world.frame(rng, world.molecules(rng)) for _ in range(8)]
    drawn = refine(world, frames)
    # Light that is there is expected, and no variance of the read noise.
    assert drawn.expected.mean() == pytest.approx(np.mean(frames), rel=0.02)
