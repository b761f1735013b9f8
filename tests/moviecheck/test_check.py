from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.moviecheck.check import (
    MovieCheck,
    check_movie,
    most_negative,
    sample_frames,
    sample_region,
)
from napari_smlm_diffusion.moviecheck.out_of_range import compare_with_prior, width_mismatch
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.simulation.blinking import Blinking
from napari_smlm_diffusion.simulation.light import FlatBackground, LognormalPhotons
from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate
from napari_smlm_diffusion.simulation.structures import Filaments

PRIOR = {
    "psf_sigma_px": [0.8, 1.8],
    "photons": [100.0, 5000.0],
    "background": [0.0, 800.0],
    "read_noise": [0.0, 20.0],
    "density_per_px2": [0.0, 0.1],
}


def movie(
    density_per_px2: float,
    sigma_px: float = 1.3,
    photons: float = 800.0,
    background: float = 20.0,
    camera: Camera | None = None,
    frames: int = 60,
    **settings: Any,
) -> np.ndarray:
    """Effective photons of a simulated movie; photons and background are effective ones too."""
    camera = camera or Camera(offset=100.0, gain=2.0, read_noise=2.0)
    per = camera.photons_per_effective
    made = simulate(
        MovieSettings(
            frames=frames,
            shape=(64, 72),
            psf_sigma_nm=100 * sigma_px,
            camera=camera,
            density_per_um2=100 * density_per_px2,
            photons=LognormalPhotons(mean=photons * per, cv=0.3),
            background=FlatBackground(level=background * per),
            **settings,
        )
    )
    return camera.effective(made.frames)


EMCCD = Camera(offset=200.0, gain=0.1, em_gain=100.0, qe=0.9, read_noise=60.0)
CASES = {
    "sparse": ({"density_per_px2": 0.001}, "isolated"),
    "sparse, dwelling": ({"density_per_px2": 0.002, "blinking": Blinking(on_frames=5)}, "isolated"),
    "crowded": ({"density_per_px2": 0.05}, "crowded"),
    "crowded, wide": ({"density_per_px2": 0.03, "sigma_px": 1.8, "photons": 3000.0}, "crowded"),
    "filaments": ({"density_per_px2": 0.03, "structure": Filaments()}, "crowded"),
    "EMCCD": ({"density_per_px2": 0.05, "sigma_px": 0.9, "camera": EMCCD}, "crowded"),
}


@pytest.mark.parametrize(("case", "how"), CASES.values(), ids=CASES)
def test_estimates_are_near_the_truth_and_inside_the_prior(case: dict[str, Any], how: str) -> None:
    truth = {"sigma_px": 1.3, "photons": 800.0, "camera": Camera(offset=0, gain=1, read_noise=2.0)}
    truth |= case
    check = check_movie(movie(**case))
    assert check.notes["psf_sigma_px"].startswith(how)
    assert check.psf_sigma_px == pytest.approx(truth["sigma_px"], rel=0.04)
    # Dwelling molecules are on for part of their first and last frame.
    least = 0.5 if "blinking" in case else 1 / 1.5
    assert least < check.photons / truth["photons"] < 1.5
    assert 1 / 1.8 < check.density_per_px2 / case["density_per_px2"] < 1.8
    light = case["density_per_px2"] * truth["photons"]
    assert check.background == pytest.approx(20.0, abs=1.0 + 0.15 * light)
    read = truth["camera"].effective_read_noise
    assert check.read_noise**2 == pytest.approx(read**2, abs=0.15 * (20 + light + read**2))
    assert compare_with_prior(check, PRIOR) == []


def test_a_mirrored_field_is_the_same_movie() -> None:
    frames = movie(0.03)
    one, other = check_movie(frames), check_movie(frames.transpose(0, 2, 1)[:, ::-1])
    assert other.psf_sigma_px == pytest.approx(one.psf_sigma_px, rel=0.005)
    assert other.photons == pytest.approx(one.photons, rel=0.1)
    assert other.background == pytest.approx(one.background, rel=0.05)


def test_what_does_not_blink_is_not_taken_for_molecules(rng: np.random.Generator) -> None:
    frames = movie(0.03)
    # Broad blobs that stay on, three times wider and ten times brighter than molecules.
    still = movie(0.002, sigma_px=4.0, photons=8000.0, background=0.0, frames=1)
    still = rng.poisson(np.maximum(still, 0), frames.shape)
    check = check_movie(frames + still)
    assert check.psf_sigma_px == pytest.approx(1.3, rel=0.04)
    assert check.photons == pytest.approx(800, rel=0.5)


@pytest.mark.parametrize("density", [0.001, 0.03], ids=["sparse", "crowded"])
def test_a_wide_psf_is_named_with_its_numbers(density: float) -> None:
    check = check_movie(movie(density, sigma_px=2.3, photons=3000))
    [out] = compare_with_prior(check, PRIOR, "general")
    assert out.quantity == "PSF sigma"
    assert (out.low, out.high) == (0.8, 1.8)
    assert out.value == pytest.approx(2.3, rel=0.04)
    above = f"{out.value / 1.8 - 1:.0%} above"
    assert out.sentence == (
        f"PSF sigma is {out.value:.2f} px; the model general was trained for 0.80-1.80 ({above}): "
        "error bars will not be true"
    )


def test_a_given_width_is_used_and_compared_with_the_frames() -> None:
    frames = movie(0.03)
    right, wrong = check_movie(frames, 1.3), check_movie(frames, 1.0)
    assert (right.psf_sigma_px, wrong.psf_sigma_px) == (1.3, 1.0)
    assert wrong.measured_sigma_px == pytest.approx(1.3, rel=0.04)
    assert width_mismatch(right) is None
    assert "given as 1.00 px, but the spots in the frames have 1.3" in str(width_mismatch(wrong))


def test_frames_without_molecules_say_so_and_warn_of_nothing() -> None:
    check = check_movie(movie(0.0))
    assert np.isnan([check.psf_sigma_px, check.photons, check.density_per_px2]).all()
    assert check.background == pytest.approx(20.0, rel=0.05)
    assert check.notes["photons"].startswith("unknown")
    assert compare_with_prior(check, PRIOR) == []


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 8, 8), (3, 4, 50), (60, 9, 9)])
def test_tiny_frames_are_no_error(shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    assert check_movie(rng.poisson(9.0, shape)).background >= 0


INSIDE = MovieCheck(
    background=100.0,
    photons=1000.0,
    psf_sigma_px=1.3,
    measured_sigma_px=1.3,
    density_per_px2=0.01,
    read_noise=3.0,
    n_spots_used=50,
    notes={"psf_sigma_px": "isolated", "photons": "isolated", "density_per_px2": "isolated"},
)
# For each quantity: inside the tolerance, and beyond it.
EDGES = {
    "psf_sigma_px": (1.95, 2.05, 0.75, 0.70),
    "photons": (6000.0, 7000.0, 80.0, 70.0),
    "background": (1000.0, 1100.0),
    "density_per_px2": (0.114, 0.117),
    "read_noise": (20.5, 27.0),
}


@pytest.mark.parametrize(("key", "values"), EDGES.items(), ids=EDGES)
def test_only_what_is_surely_outside_is_reported(key: str, values: Sequence[float]) -> None:
    assert compare_with_prior(INSIDE, PRIOR) == []
    for near, far in zip(values[::2], values[1::2], strict=True):
        assert compare_with_prior(replace(INSIDE, **{key: near}), PRIOR) == []
        [out] = compare_with_prior(replace(INSIDE, **{key: far}), PRIOR)
        assert (out.value, [out.low, out.high]) == (far, PRIOR[key])
        assert ("above" if far > values[0] else "below") in out.sentence
    without = {k: v for k, v in PRIOR.items() if k != key}
    assert compare_with_prior(replace(INSIDE, **{key: values[1]}), without) == []


def test_density_is_told_per_square_micron_where_the_pixel_is_known() -> None:
    [out] = compare_with_prior(replace(INSIDE, density_per_px2=0.5), PRIOR, pixel_size_nm=100.0)
    assert (out.value, out.low, out.high) == pytest.approx((50.0, 0.0, 10.0))
    assert "50.0 molecules per square micron" in out.sentence
    assert "5.0 times the upper end" in out.sentence


@given(st.integers(0, 10_000))
def test_the_sample_is_disjoint_pairs_from_start_to_end(length: int) -> None:
    ranges = sample_frames(length)
    picked = [frame for start, stop in ranges for frame in range(start, stop)]
    assert picked == sorted(set(picked))
    assert len(picked) == min(length, 60)
    assert all((stop - start) % 2 == 0 for start, stop in ranges) or length < 60
    if length:
        assert (picked[0], picked[-1]) == (0, length - 1)


@given(st.integers(1, 60), st.integers(1, 3000), st.integers(1, 3000))
def test_the_region_lies_in_the_frame_and_is_bounded(n: int, height: int, width: int) -> None:
    region = sample_region(n, (height, width))
    assert 0 <= region.y0 < region.y1 <= height
    assert 0 <= region.x0 < region.x1 <= width
    assert n * (region.y1 - region.y0) * (region.x1 - region.x0) <= 60 * 256**2


def test_most_negative(rng: np.random.Generator) -> None:
    dark = rng.normal(0.0, 1.0, (10, 64, 64))
    assert not most_negative(dark)
    assert not most_negative(rng.poisson(2.0, (10, 64, 64)))
    assert most_negative(dark - 0.1)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((4, 4)), r"\(T, Y, X\)"),
        (np.zeros((0, 4, 4)), r"\(T, Y, X\)"),
        (np.full((2, 8, 8), np.nan), "finite"),
    ],
)
def test_frames_that_are_none_are_refused(frames: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_movie(frames)


def test_frames_of_others(data_dir: Path) -> None:
    artificial = tifffile.imread(data_dir / "deep-storm-demo1" / "ArtificialDataset_demo1.tif")
    check = check_movie(Camera(offset=90.4, gain=2.06 / 100, em_gain=100).effective(artificial))
    # Its spots are sampled at the pixel centres: 1.104 px is one of 1.065 px over each pixel.
    assert check.psf_sigma_px == pytest.approx(np.sqrt(1.104**2 - 1 / 12), rel=0.02)
    assert check.photons == pytest.approx(2250 / 1.99, rel=0.25)
    assert check.density_per_px2 == pytest.approx(0.0605, rel=0.4)

    raw = np.fromfile(data_dir / "picasso" / "testdata_1000frames.raw", "<u2").reshape(-1, 32, 32)
    check = check_movie(np.concatenate([raw[a:b] for a, b in sample_frames(len(raw))]))
    assert check.notes["psf_sigma_px"].startswith("isolated")
    assert check.psf_sigma_px == pytest.approx(0.82, rel=0.02)
    assert check.background == pytest.approx(246, rel=0.05)
