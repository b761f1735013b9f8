"""Frames and region."""

import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import parse_frame_range, parse_roi
from napari_smlm_diffusion.settings import Roi


@pytest.mark.parametrize("text", [":", "0:60", "10:", ":-10", "-20:-10", "5:1000", " 3 : 4 "])
def test_frames_are_a_python_slice(text):
    start, stop = parse_frame_range(text, 100)
    parts = [int(part) if part.strip() else None for part in text.split(":")]
    assert list(range(start, stop)) == list(range(100))[slice(*parts)]


@pytest.mark.parametrize("text", ["5:5", "10:5", "100:", "200:300", "-5:-10", ":0", ":-100"])
def test_ranges_without_a_frame(text):
    with pytest.raises(InputError, match=r"frames: .* selects no frame of a stack of 100"):
        parse_frame_range(text, 100)


@pytest.mark.parametrize("text", ["", "5", "a:b", "1:2:3", "1.5:3", "1-5"])
def test_texts_that_are_no_range(text):
    with pytest.raises(InputError, match=r"frames: .* is not a range"):
        parse_frame_range(text, 100)


@pytest.mark.parametrize(
    ("text", "roi"),
    [
        ("0:64,32:96", Roi(0, 64, 32, 96)),
        (" 1 : 2 , 3 : 4 ", Roi(1, 2, 3, 4)),
        (":,5:", Roi(0, 64, 5, 96)),
    ],
)
def test_roi_has_rows_first(text, roi):
    assert parse_roi(text, (10, 64, 96)) == roi
    assert parse_roi(text, (64, 96)) == roi


@pytest.mark.parametrize("text", ["0:65,0:96", "0:64,0:97", "5:5,0:9", "9:5,0:9", "-5:10,0:9"])
def test_roi_outside(text):
    with pytest.raises(InputError, match=r"roi: .* 64 rows \(Y\) and 96 columns \(X\)"):
        parse_roi(text, (10, 64, 96))


@pytest.mark.parametrize("text", ["", "0:5", "0:5,0:5,0:5", "a:b,0:5", "0-5,0-5"])
def test_texts_that_are_no_roi(text):
    with pytest.raises(InputError, match=r"roi: .* is not a region"):
        parse_roi(text, (10, 64, 96))
