import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.stats import kstest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.simulation.structures import Disc, Filaments, Tubes, UniformField

SHAPE = (40, 60)
STRUCTURES = [UniformField(margin_px=2), Disc(), Filaments(margin_px=2), Tubes(margin_px=2)]


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.kind)
def test_as_many_as_asked_in_the_margin_and_no_further(structure, rng):
    positions = structure.positions(3000, SHAPE, rng)
    assert positions.shape == (3000, 2)
    assert np.all(positions >= -2.5)
    assert np.all(positions < np.array(SHAPE) + 1.5)
    assert structure.positions(0, SHAPE, rng).shape == (0, 2)


@pytest.mark.parametrize("structure", [UniformField(margin_px=2), Filaments(margin_px=2, count=50)])
def test_the_margin_is_used(structure, rng):
    y, x = structure.positions(3000, SHAPE, rng).T
    assert min(y.min(), x.min()) < -1.5
    assert y.max() > 40.5
    assert x.max() > 60.5


def test_field_is_uniform(rng):
    y, x = UniformField(margin_px=1).positions(5000, SHAPE, rng).T
    assert kstest(y, "uniform", (-1.5, 42)).pvalue > 1e-3
    assert kstest(x, "uniform", (-1.5, 62)).pvalue > 1e-3


def test_disc_is_uniform_and_central(rng):
    y, x = Disc(radius_px=7).positions(5000, (20, 20), rng).T
    radius = np.hypot(y - 9.5, x - 9.5)
    assert radius.max() <= 7
    assert kstest((radius / 7) ** 2, "uniform").pvalue > 1e-3
    assert kstest(np.arctan2(y - 9.5, x - 9.5), "uniform", (-np.pi, 2 * np.pi)).pvalue > 1e-3


def nearest(positions):
    return np.median(cKDTree(positions).query(positions, k=2)[0][:, 1])


def test_filaments_are_lines(rng):
    # Of n points on a line the next is 1 / n away, of n in the plane 1 / sqrt(n).
    thin = Filaments(width_px=0.0, count=5).positions(4000, SHAPE, rng)
    field = UniformField().positions(4000, SHAPE, rng)
    assert nearest(thin) < 0.15 * nearest(field)
    wide = Filaments(width_px=5.0, count=5).positions(4000, SHAPE, rng)
    assert nearest(wide) > 5 * nearest(thin)


def test_filaments_are_arcs_no_tighter_than_asked(rng):
    for _ in range(10):
        y, x = Filaments(count=1, width_px=0, bend_radius_px=15).positions(200, SHAPE, rng).T
        # A circle is linear in its coefficients: y^2 + x^2 = a y + b x + c.
        design = np.stack([y, x, np.ones_like(y)], axis=1)
        (a, b, c), residual, *_ = np.linalg.lstsq(design, y**2 + x**2)
        assert residual[0] < 1e-9 * np.sum((y**2 + x**2) ** 2)
        assert np.sqrt(c + (a**2 + b**2) / 4) >= 15 - 1e-6


def test_tubes_of_a_bundle_lie_side_by_side():
    straight = {"bundles": 1, "spread_rad": 0, "bend_radius_px": 1e9}
    seed = 5  # the bundle is drawn first: both have the same middle line
    line = Tubes(tubes=1, diameter_px=0, **straight)
    line = line.positions(100, SHAPE, np.random.default_rng(seed))
    three = Tubes(tubes=3, spacing_px=2.0, diameter_px=0.4, **straight)
    positions = three.positions(6000, SHAPE, np.random.default_rng(seed))

    normal = np.linalg.svd(line - line.mean(0), full_matrices=False)[2][1]
    across = (positions - line.mean(0)) @ normal
    tube = np.rint(across / 2)
    assert set(tube) == {-1.0, 0.0, 1.0}
    # A cylinder from the side: half the diameter at most, SD d / sqrt(8).
    beside = across - 2 * tube
    assert np.abs(beside).max() == pytest.approx(0.2, abs=1e-3)
    assert beside.std() == pytest.approx(0.4 / np.sqrt(8), rel=0.03)


def test_a_structure_that_misses_the_frame_says_so(rng):
    tubes = Tubes(bundles=1, tubes=2, spacing_px=1000, spread_rad=0, bend_radius_px=1e9)
    with pytest.raises(InputError, match="Tubes: hardly any of it lies in frames"):
        tubes.positions(10, SHAPE, rng)
