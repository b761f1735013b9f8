"""Drift: a known one is found, nothing is added to a still table, and its error bar is true."""

import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.postprocessing import drift as module
from napari_smlm_diffusion.postprocessing.drift import DriftSettings, find_drift
from napari_smlm_diffusion.simulation.observed import ObservedSettings, observe

FRAMES = 3000


def curve(frames=FRAMES, size=250.0, seed=0):
    """A smooth drift and a random walk, (T, 2) nm."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None] / frames
    slow = size * (t * [0.8, -0.5] + 0.3 * np.sin(2 * np.pi * (t * [0.7, 1.3] + 0.2)))
    return slow + 0.2 * np.cumsum(rng.standard_normal((frames, 2)), axis=0)


@pytest.fixture(scope="module")
def settings():
    return ObservedSettings(frames=FRAMES, per_frame=8, shape=(96, 96), seed=2)


def centred(xy, table):
    return xy - xy[table["frame"]].mean(axis=0)


def test_a_known_drift_is_found_as_well_as_it_says(settings, dataset_of, finish):
    true = curve()
    table = observe(settings, true)
    found = finish(find_drift(dataset_of(table, FRAMES)))
    error = found.xy_nm - centred(true, table)
    assert np.sqrt(np.mean(error**2)) < 3.5
    assert 0.6 < np.std(error / found.sd_nm) < 1.5
    before, after = (np.ptp(part, axis=0) for part in (centred(true, table), error))
    assert (after < 0.15 * before).all()


def test_a_still_table_stays(settings, dataset_of, finish):
    table = observe(settings)
    dataset = dataset_of(table, FRAMES)
    found = finish(find_drift(dataset))
    assert np.sqrt(np.mean(found.xy_nm**2)) < 3.0
    assert np.sqrt(np.mean(found.sd_nm**2)) < 4.0
    assert "may not have drifted at all" in module.warning(found, dataset)


def test_frames_after_the_last_row_have_no_drift(settings, dataset_of, finish):
    """Of a run that was stopped there is less than its movie."""
    table = observe(settings, curve())
    part = table[table["frame"] < 1000].reset_index(drop=True)
    of_movie, alone = (finish(find_drift(dataset_of(part, n))) for n in (FRAMES, 1000))
    assert len(of_movie.xy_nm) == 1000
    np.testing.assert_array_equal(of_movie.xy_nm, alone.xy_nm)
    assert module.warning(alone, dataset_of(part, 1000)) == ""


def test_a_shifted_copy_of_the_drift_is_the_same_drift(settings, dataset_of, finish):
    """Where the field lies is of no account, and x is not y."""
    table = observe(settings, curve())
    first = finish(find_drift(dataset_of(table, FRAMES)))
    moved = table.assign(x_nm=table["y_nm"] + 12_345.0, y_nm=table["x_nm"] - 777.0)
    second = finish(find_drift(dataset_of(moved, FRAMES)))
    difference = first.xy_nm - second.xy_nm[:, ::-1]
    assert np.sqrt(np.mean(difference**2)) < 2.0


def test_removing_it_moves_positions_only_and_leaves_the_original(settings, dataset_of, finish):
    table = observe(settings, curve())
    before = table.copy()
    dataset = dataset_of(table, FRAMES)
    found = finish(find_drift(dataset))
    freed = found.remove_from(dataset)
    assert table.equals(before)
    moved = before["x_nm"] - found.xy_nm[before["frame"], 0]
    np.testing.assert_allclose(freed.table["x_nm"], moved)
    same = [name for name in table.columns if name not in ("x_nm", "y_nm")]
    assert freed.table[same].equals(before[same])
    assert freed.provenance["drift"]["segment_frames"] == found.segment_frames
    # On the average no molecule has moved, so that a picture stays where it was.
    assert abs((freed.table["x_nm"] - before["x_nm"]).mean()) < 1e-6
    short = module.Drift(found.xy_nm[:10], found.sd_nm[:10], 1, 1.0)
    with pytest.raises(InputError, match="10 frames"):
        short.remove_from(dataset)


def test_the_file_has_a_line_a_frame(settings, dataset_of, finish, tmp_path):
    found = finish(find_drift(dataset_of(observe(settings, curve()), FRAMES)))
    found.write(tmp_path / "d.csv")
    read = np.genfromtxt(tmp_path / "d.csv", delimiter=",", skip_header=1)
    np.testing.assert_array_equal(read[:, 0], np.arange(FRAMES))
    np.testing.assert_allclose(read[:, 1:3], found.xy_nm, atol=6e-4)


def test_noise_is_told_from_a_structure(dataset_of, table_of, finish):
    """Rows anywhere have no drift to be found: the error says so."""
    rng = np.random.default_rng(0)
    xy, frame = rng.uniform(0, 6000, (4000, 2)), rng.integers(0, 1000, 4000)
    dataset = dataset_of(table_of(xy, 10.0, frame), 1000)
    found = finish(find_drift(dataset))
    assert "worse than the positions" in module.warning(found, dataset)


def test_too_little_is_refused(dataset_of, table_of, finish):
    few = table_of(np.ones((20, 2)), 10.0, np.arange(20))
    with pytest.raises(InputError, match="20 localizations in 20 frames"):
        finish(find_drift(dataset_of(few)))
    many = table_of(np.ones((500, 2)), 10.0, np.arange(500))
    with pytest.raises(InputError, match="3 segments of 200 frames"):
        finish(find_drift(dataset_of(many), DriftSettings(segment_frames=200)))
    far = many.assign(x_nm=np.linspace(0, 1e8, 500))
    with pytest.raises(InputError, match="cells"):
        finish(find_drift(dataset_of(far)))
