"""The picture is drawn from the card's JSON, whatever part of it was measured."""

import numpy as np
import pytest
from matplotlib.image import imread

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.calibration_plot import write_calibration_plot


def number(value, error=0.01):
    return {"value": value, "error": error}


def report(pixels):
    """A report as `CalibrationReport.to_dict` gives it, with these shares in the histogram."""
    diagnostics = [
        {
            "name": "density pixels",
            "passed": True,
            "numbers": {f"coverage {level}": number(level) for level in (0.5, 0.9)},
            "histogram": [number(share) for share in pixels],
        },
        {"name": "density SD over error", "passed": False, "numbers": {"ratio": number(0.8)}},
        {
            "name": "probability of localizations",
            "passed": True,
            "numbers": {},
            "reliability": [{"claim": number(None, None), "true": number(None, None)}] * 5
            + [{"claim": number(c / 10), "true": number(c / 10)} for c in range(5, 10)],
        },
    ]
    one = {
        "name": "density 1 to 2",
        "passed": True,
        "numbers": {"density SD over error": {"what": "ratio", "passed": True, **number(1.02)}},
    }
    return {
        "diagnostics": diagnostics, "verdict": "a sentence.", "calibrated": True, "bins": [one],
    }  # fmt: skip


def test_the_picture_shows_the_numbers(tmp_path):
    flat, slanted = tmp_path / "flat.png", tmp_path / "slanted.png"
    write_calibration_plot(flat, report(np.full(20, 0.05)))
    write_calibration_plot(slanted, report(np.arange(20) / 190))
    a, b = imread(flat), imread(slanted)
    assert a.shape == b.shape
    assert min(a.shape[:2]) > 800
    # Only the first panel differs.
    rows, columns = np.nonzero(np.abs(a - b).max(axis=2) > 0.01)
    assert rows.max() < a.shape[0] * 0.55
    assert 0 < columns.max() < a.shape[1] * 0.3


def test_nothing_measured_is_said(tmp_path):
    empty = {"diagnostics": [], "verdict": "", "calibrated": False, "bins": []}
    write_calibration_plot(tmp_path / "empty.png", empty)
    assert imread(tmp_path / "empty.png").std() > 0
    assert [p.name for p in tmp_path.iterdir()] == ["empty.png"]


def test_other_json_is_not_a_calibration(tmp_path):
    with pytest.raises(InputError, match="not the result of a calibration: 'diagnostics'"):
        write_calibration_plot(tmp_path / "a.png", {"jaccard": 1})
    assert not list(tmp_path.iterdir())
