"""Fourier ring correlation: held against what theory says of points of known precision."""

import numpy as np
import pandas as pd
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.postprocessing.fourier_ring import (
    RingSettings,
    correlation,
    resolution_nm,
    ring_correlation,
)

FIELD, FRAMES = 4000.0, 400
ALONE = RingSettings(unlinked=True)


@pytest.fixture
def points(table_of, dataset_of):
    """Molecules anywhere, each seen `mean` times on average with errors of SD `sigma`."""

    def make(mean=16, sigma=10.0, molecules=800, seed=0, each=1):
        rng = np.random.default_rng(seed)
        place = rng.uniform(0, FIELD, (molecules, 2))
        molecule = np.repeat(np.arange(molecules), rng.poisson(mean / each, molecules))
        frame = rng.integers(0, FRAMES - each, len(molecule))
        # `each` frames in a row
        molecule = np.repeat(molecule, each)
        frame = np.repeat(frame, each) + np.tile(np.arange(each), len(frame))
        xy = place[molecule] + sigma * rng.standard_normal((len(molecule), 2))
        return dataset_of(table_of(xy, sigma, frame), FRAMES)

    return make


def predicted(mean, sigma):
    """Resolution where m exp(-(2 pi sigma q)^2), m rows of a molecule in each half, is 1/6."""
    return 2 * np.pi * sigma / np.sqrt(np.log(6 * mean / 2))


@pytest.mark.parametrize(("mean", "sigma"), [(16, 10.0), (6, 10.0), (16, 25.0)])
def test_the_resolution_is_what_precision_and_labels_allow(mean, sigma, points, finish):
    found = finish(ring_correlation(points(mean, sigma), ALONE))
    expected = predicted(mean, sigma)
    assert found.resolution_nm == pytest.approx(expected, rel=0.04)
    assert abs(found.resolution_nm - expected) < 4 * found.resolution_error_nm
    assert found.resolution_error_nm < 0.05 * expected
    assert found.side_nm >= 0.99 * FIELD


@pytest.mark.slow
def test_the_error_is_the_spread(points, finish):
    found = [finish(ring_correlation(points(8, 20.0, seed=s), ALONE)) for s in range(10)]
    spread = np.std([each.resolution_nm for each in found], ddof=1)
    claimed = np.mean([each.resolution_error_nm for each in found])
    # Somewhat more than the spread, as a jackknife of a quantity of the second order is.
    assert 0.3 < spread / claimed < 1.5


def test_noise_has_no_resolution(table_of, dataset_of, finish):
    rng = np.random.default_rng(0)
    table = table_of(rng.uniform(0, FIELD, (5000, 2)), 10.0, rng.integers(0, FRAMES, 5000))
    found = finish(ring_correlation(dataset_of(table), ALONE))
    # The edge of the field is structure, of a few rings.
    assert np.abs(found.curve[20:]).max() < 0.1
    assert not found.resolution_nm < 100


def test_identical_halves_correlate_fully(points, finish):
    rng = np.random.default_rng(1)
    transforms = rng.standard_normal((2, 30, 5))
    same = np.concatenate([transforms, transforms])  # blocks 0 and 1 again as 2 and 3
    gram = np.einsum("aim,bim->abi", same, same)
    curve = correlation(gram, np.array([[1.0, 1.0, -1.0, -1.0]]))
    np.testing.assert_allclose(curve, 1.0)


def test_rows_of_one_time_on_are_not_two_observations(table_of, dataset_of, finish):
    """Each molecule shines once, for four frames: cut by a block's end it would seem seen twice."""
    rng = np.random.default_rng(0)
    place = np.repeat(rng.uniform(0, FIELD, (1500, 2)), 4, axis=0)
    frame = np.repeat(rng.integers(0, FRAMES - 4, 1500), 4) + np.tile(np.arange(4), 1500)
    dataset = dataset_of(table_of(place + rng.normal(0, 10, place.shape), 10.0, frame), FRAMES)
    linked, alone = (
        finish(ring_correlation(dataset, RingSettings(unlinked=v, blocks=40)))
        for v in (False, True)
    )
    band = slice(*np.searchsorted(linked.frequency, [1 / 200, 1 / 80]))
    assert abs(linked.curve[band].mean()) < 0.03
    assert alone.curve[band].mean() > 0.05


def test_a_coarse_pixel_is_said(points, finish):
    found = finish(ring_correlation(points(), RingSettings(unlinked=True, fine_pixel_nm=25.0)))
    assert np.isnan(found.resolution_nm)
    assert "take finer pixels" in found.text()
    assert found.to_dict()["resolution_nm"] is None


def test_a_large_field_is_judged_by_its_fullest_part(points, table_of, dataset_of, finish):
    dataset = points(sigma=10.0)
    moved = dataset.table.assign(x_nm=dataset.table["x_nm"] + 30_000)
    stray = table_of([[0, 0]] * 3, 10.0, [0, 1, 2])
    both = pd.concat([stray, moved], ignore_index=True)
    found = finish(ring_correlation(dataset_of(both, FRAMES), ALONE))
    assert found.side_nm < 11_000
    assert found.rows > 0.95 * len(moved)
    assert found.resolution_nm == pytest.approx(predicted(16, 10.0), rel=0.05)


def test_the_crossing_is_interpolated():
    frequency = np.array([0.01, 0.02, 0.03])
    assert resolution_nm(frequency, np.array([1, 2 / 7, 0])) == pytest.approx(1 / 0.025)
    assert np.isnan(resolution_nm(frequency, np.array([0.1, 0.0, 0.0])))
    assert np.isnan(resolution_nm(frequency, np.array([1.0, 0.9, 0.8])))


def test_too_little_is_refused(table_of, dataset_of, finish):
    table = table_of(np.ones((200, 2)), 10.0, np.zeros(200, int))
    with pytest.raises(InputError, match="200 localizations in 1 frames"):
        finish(ring_correlation(dataset_of(table)))
