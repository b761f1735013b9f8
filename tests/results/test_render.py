"""Pictures of chosen rows: the fast one is the slow one, and both lie where the density lies."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.density import density_image
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.fine_grid import FineGrid
from napari_smlm_diffusion.results.render import (
    LivePicture,
    gaussians,
    kernel_picture,
    uncertainty_picture,
)

PIXEL = 108.0


def table_at(y_nm, x_nm, sd_nm=10.0):
    n = len(y_nm)
    table = localizations.empty().reindex(range(n))
    for column in localizations.COLUMNS:
        if column.required:
            table[column.name] = {"float64": 1.0, "int64": 0, "str": ""}[column.dtype]
    return localizations.validate(
        table.assign(
            y_nm=np.asarray(y_nm, float),
            x_nm=np.asarray(x_nm, float),
            uncertainty_x_nm=sd_nm,
            uncertainty_y_nm=sd_nm,
        )
    )


@functools.cache
def scattered(n, seed=0):
    rng = np.random.default_rng(seed)
    return table_at(rng.uniform(-2, 12, n) * PIXEL, rng.uniform(-2, 22, n) * PIXEL)


GRID = FineGrid(shape=(40, 80), pixel_size_nm=PIXEL, upsampling=4)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.integers(0, 9))
def test_the_live_picture_is_that_of_a_histogram_from_scratch(shares, seed):
    # Steps small and large, up and down: both ways of drawing are taken.
    table = scattered(200, seed)
    rng = np.random.default_rng(seed)
    live = LivePicture(table, GRID)
    shown = np.zeros(200, bool)
    edges = [(np.arange(n + 1) - 2) * PIXEL / 4 for n in GRID.shape]  # of the fine pixels
    for share in shares:
        kept = rng.random(200) < share
        assert live.show(kept) == np.count_nonzero(kept != shown)
        shown = kept
        rows = table[kept]
        expected, *_ = np.histogram2d(rows["y_nm"], rows["x_nm"], [e + 0.0 for e in edges])
        np.testing.assert_array_equal(live.counts, expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.integers(0, 9))
def test_the_live_kernel_picture_is_that_from_scratch(shares, seed):
    table = scattered(200, seed)
    rng = np.random.default_rng(seed)
    live = LivePicture(table, GRID, 1.25)
    kept = np.zeros(200, bool)
    for share in shares:
        # From a single row, which is stamped, to all rows, which are smoothed.
        kept = kept ^ (rng.random(200) < share**4)
        live.show(kept)
        np.testing.assert_allclose(live.image, kernel_picture(live.counts, 1.25), atol=2e-6)


def test_the_mask_given_may_change_afterwards():
    live = LivePicture(scattered(50), GRID)
    kept = np.zeros(50, bool)
    live.show(kept)
    kept[:] = True
    live.show(kept)
    before = live.counts.copy()
    kept[:] = False
    live.show(np.ones(50, bool))
    np.testing.assert_array_equal(live.counts, before)


@pytest.mark.parametrize("upsampling", [1, 2, 4])
def test_kernel_picture_is_the_density(upsampling):
    # Molecules at centres of fine pixels, where the histogram knows all about them.
    rng = np.random.default_rng(1)
    fine_y, fine_x = rng.integers(0, 9 * upsampling, 30), rng.integers(0, 7 * upsampling, 30)
    y, x = ((f + 0.5) / upsampling - 0.5 for f in (fine_y, fine_x))
    grid = FineGrid(
        shape=(9 * upsampling, 7 * upsampling), pixel_size_nm=PIXEL, upsampling=upsampling
    )
    live = LivePicture(table_at(y * PIXEL, x * PIXEL), grid)
    live.show(np.ones(30, bool))
    expected = density_image(y, x, (9, 7), upsampling, 1.25)
    np.testing.assert_allclose(kernel_picture(live.counts, 1.25), expected, atol=2e-3)


@pytest.mark.parametrize("threads", [2, 3])
def test_kernel_picture_has_no_seams(threads):
    counts = np.random.default_rng(0).poisson(1.0, (150, 200))
    picture = kernel_picture(counts, 1.25, threads)
    np.testing.assert_array_equal(picture, kernel_picture(counts, 1.25, 1))
    np.testing.assert_allclose(picture.T, kernel_picture(counts.T, 1.25), rtol=1e-5)
    np.testing.assert_allclose(
        picture[40:110, 30:170],
        kernel_picture(counts[30:120, 20:180], 1.25)[10:-10, 10:-10],
        rtol=1e-6,
    )


def test_one_row_peaks_at_one():
    counts = np.zeros((21, 21), int)
    counts[10, 10] = 1
    picture = kernel_picture(counts, 1.25)
    assert picture.max() == picture[10, 10] == pytest.approx(1.0, abs=1e-6)


def test_a_gaussian_has_its_place_width_and_volume():
    y, x, sd_y, sd_x = 20.3, 31.8, 2.5, 1.6
    image = gaussians([y], [x], [sd_y], [sd_x], (45, 60)).astype(float)
    assert image.sum() == pytest.approx(1.0, abs=3e-4)
    rows, columns = np.indices(image.shape)
    mean = [(image * at).sum() / image.sum() for at in (rows, columns)]
    assert mean == pytest.approx([y, x], abs=1e-3)
    variance = [
        (image * (at - m) ** 2).sum() / image.sum()
        for at, m in zip((rows, columns), mean, strict=True)
    ]
    # The pixels, of variance 1/12, widen it; its ends are cut off.
    assert variance == pytest.approx([sd_y**2 + 1 / 12, sd_x**2 + 1 / 12], rel=3e-3)


@given(st.integers(0, 999))
def test_gaussians_add_up_and_nothing_wraps_around(seed):
    rng = np.random.default_rng(seed)
    y, x = rng.uniform(-8, 20, 12), rng.uniform(-8, 26, 12)
    sd_y, sd_x = rng.uniform(0.0, 4.0, 12), rng.uniform(0.0, 4.0, 12)
    together = gaussians(y, x, sd_y, sd_x, (12, 18))
    # In a wide image nothing is lost; the small one is a part of it.
    wide = sum(
        gaussians([a + 40], [b + 40], [c], [d], (92, 98))
        for a, b, c, d in zip(y, x, sd_y, sd_x, strict=True)
    )
    np.testing.assert_allclose(together, wide[40:52, 40:58], atol=1e-6)
    assert wide.sum() == pytest.approx(12, rel=1e-3)


def test_rows_of_unknown_uncertainty_are_drawn_as_wide_as_the_others():
    y, x = np.full(3, 5 * PIXEL), np.array([3, 10, 17]) * PIXEL
    picture = uncertainty_picture(table_at(y, x, [20.0, np.nan, 20.0]), GRID)
    one, two = picture[:, 4:24], picture[:, 32:52]
    np.testing.assert_allclose(one, two, atol=1e-6)
    assert picture.sum() == pytest.approx(3, rel=1e-3)


@pytest.mark.parametrize("upsampling", [1, 2, 4])
def test_a_covering_grid_holds_every_row_and_no_more(upsampling):
    table = scattered(100, 3)
    grid = FineGrid.covering(table, PIXEL, upsampling)
    live = LivePicture(table, grid)
    live.show(np.ones(100, bool))
    assert live.counts.sum() == 100
    for axis in (0, 1):
        edges = live.counts.sum(axis=1 - axis).reshape(-1, upsampling).sum(axis=1)[[0, -1]]
        assert (edges > 0).all()


@pytest.mark.parametrize("upsampling", [1, 2, 4])
def test_world_coordinates_of_a_row_are_those_of_its_pixel(upsampling):
    table = scattered(100, 4)
    grid = FineGrid(
        shape=(16 * upsampling, 26 * upsampling),
        pixel_size_nm=PIXEL,
        upsampling=upsampling,
        origin_px=(-3, -3),
    )
    place = np.unravel_index(grid.index(table["y_nm"], table["x_nm"]), grid.shape)
    for index, start, name in zip(place, grid.translate_nm, ("y_nm", "x_nm"), strict=True):
        away = table[name] - (start + index * grid.scale_nm)
        assert np.abs(away).max() <= grid.scale_nm / 2 * (1 + 1e-9)
        assert np.abs(away).max() > grid.scale_nm / 2 * 0.8


def test_an_empty_table_has_a_picture():
    table = localizations.empty()
    grid = FineGrid.covering(table, PIXEL, 2)
    live = LivePicture(table, grid)
    assert live.show(np.zeros(0, bool)) == 0
    assert uncertainty_picture(table, grid).sum() == 0


def test_a_row_far_outside_is_refused():
    with pytest.raises(InputError, match="too many for a picture"):
        FineGrid.covering(table_at([0, 1e9], [0, 1e9]), PIXEL, 4)


def test_a_stack_has_no_grid():
    names = {"pixel_size_nm": PIXEL, "upsampling": 4, "origin_px": [0, 0]}
    assert FineGrid.of_image(names, (8, 12)).scale_nm == 27
    with pytest.raises(InputError, match=r"axes \(Y, X\)"):
        FineGrid.of_image(names, (3, 8, 12))
    with pytest.raises(InputError, match="does not say its upsampling"):
        FineGrid.of_image({"pixel_size_nm": PIXEL, "origin_px": [0, 0]}, (8, 12))
