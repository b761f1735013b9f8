import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.stats import kstest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.simulation.structures import (
    Clusters,
    Disc,
    Filaments,
    Nanorulers,
    Tubes,
    UniformField,
)

SHAPE = (40, 60)
FIELD = np.array(SHAPE)
IN_FRAME = [kind(margin_px=2) for kind in (UniformField, Filaments, Tubes, Clusters, Nanorulers)]
STRUCTURES = [*IN_FRAME, Disc()]


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


def test_filaments_are_bent_as_asked():
    radius, curvature = 50.0, []
    for seed in range(300):
        straight, bent = (
            Filaments(count=1, width_px=0, bend_radius_px=r).lay_out(
                50, FIELD, np.random.default_rng(seed)
            )(50)
            for r in (1e12, radius)
        )
        along, across = np.linalg.svd(straight - straight.mean(0), full_matrices=False)[2]
        place, moved = (straight - straight.mean(0)) @ along, (bent - straight) @ across
        square, *_ = fit = np.polyfit(place, moved, 2)
        np.testing.assert_allclose(np.polyval(fit, place), moved, atol=1e-6)
        curvature.append(2 * square)
    # The SD of a normal variable is known to 1 / sqrt(2 n).
    assert np.std(curvature) * radius == pytest.approx(1, abs=4 / np.sqrt(600))


def test_a_range_is_drawn_for_each_part(rng):
    widths = Filaments(count=(2, 3), width_px=(0.0, 5.0), bend_radius_px=1e9)
    spread = set()
    for _ in range(20):
        with_widths = widths.lay_out(400, 1e4 * FIELD, rng)(400)
        # Thousands of pixels apart: each filament stands alone, most of it within its width.
        spread.add(round(nearest(with_widths), 3))
    assert len(spread) > 15
    with pytest.raises(InputError, match=r"count must have its low end first, got \(3, 2\)"):
        Filaments(count=(3, 2))


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


def test_a_ruler_has_three_marks_in_a_row_at_equal_distances(rng):
    marks = Nanorulers(distance_px=(0.3, 3.0)).lay_out(30, FIELD, rng)(60)
    np.testing.assert_array_equal(marks[:30], marks[30:])  # each once before any is used again
    first, second, third = np.moveaxis(marks[:30].reshape(10, 3, 2), 1, 0)
    np.testing.assert_allclose(second, (first + third) / 2, atol=1e-9)
    steps = np.linalg.norm(second - first, axis=1)
    assert 0.3 <= steps[0] <= 3.0
    np.testing.assert_allclose(steps, steps[0])


def test_clusters_stay_where_they_are_while_their_molecules_change(rng):
    field, dots = 1000 * FIELD, Clusters(molecules=4, radius_px=(0.5, 0.5))
    # 20 molecules at a time: 5 clusters, however many molecules there are in all.
    draw = dots.lay_out(20, field, rng)
    trees = [cKDTree(draw(500)) for _ in range(2)]
    assert max(tree.query(other.data)[0].max() for tree, other in (trees, trees[::-1])) < 3
    near = trees[0].query_ball_point(trees[0].data, 10, return_length=True)
    assert np.sum(1 / near) == pytest.approx(5)
