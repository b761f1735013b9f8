"""The file that keeps a calibration's frames."""

import numpy as np
import pytest
from filelock import FileLock

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.frame_numbers import CalibrationSettings, reduce_frame
from napari_smlm_diffusion.jobs.calibrate.store import CalibrationStore

ABOUT = {"model": "tiny", "samples": 5}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "frames.jsonl"


def numbers(frame):
    rng = np.random.default_rng(frame)
    samples, truth = rng.random((5, 16, 16)), rng.random((16, 16))
    settings = CalibrationSettings(pixels=4, boxes=2)
    return reduce_frame(settings, frame, samples, truth, share=0.1, covariates={"density": np.nan})


def same(a, b):
    np.testing.assert_equal(vars(a), vars(b))


def test_frames_come_back_as_they_were(path):
    with CalibrationStore.opened(path, ABOUT) as store:
        assert store.frames == {}
        for frame in (3, 1):
            store.add(numbers(frame))
    with CalibrationStore.opened(path, ABOUT) as store:
        assert sorted(store.frames) == [1, 3]
        for frame in (1, 3):
            same(store.frames[frame], numbers(frame))


def test_half_a_line_of_a_killed_run_is_left_out(path):
    with CalibrationStore.opened(path, ABOUT) as store:
        store.add(numbers(0))
        store.add(numbers(1))
    path.write_text(path.read_text()[:-20])
    with CalibrationStore.opened(path, ABOUT) as store:
        assert list(store.frames) == [0]
        store.add(numbers(1))
    with CalibrationStore.opened(path, ABOUT) as store:
        same(store.frames[1], numbers(1))


def test_frames_of_another_calibration_are_refused(path):
    with CalibrationStore.opened(path, ABOUT) as store:
        store.add(numbers(0))
    before = path.read_bytes()
    with (
        pytest.raises(InputError, match="is of another calibration: samples, seed differ"),
        CalibrationStore.opened(path, {"model": "tiny", "samples": 6, "seed": 0}),
    ):
        pass
    assert path.read_bytes() == before


def test_two_runs_do_not_write_to_one(path):
    with (
        FileLock(f"{path}.lock"),
        pytest.raises(InputError, match="another calibration is writing"),
        CalibrationStore.opened(path, ABOUT),
    ):
        pass


@pytest.mark.parametrize("content", ["", "{}\n", "nonsense", '{"calibration": 3}\n{"frame": 0}\n'])
def test_another_file_is_refused_and_kept(path, content):
    path.write_text(content)
    with (
        pytest.raises(InputError, match="is no store of a calibration"),
        CalibrationStore.opened(path, ABOUT),
    ):
        pass
    assert path.read_text() == content
