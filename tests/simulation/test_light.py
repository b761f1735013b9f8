import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.simulation.light import (
    ConstantPhotons,
    ExponentialPhotons,
    FlatBackground,
    FrameBackground,
    GradientBackground,
    LognormalPhotons,
    UniformPhotons,
)


@pytest.mark.parametrize(
    ("photons", "mean", "sd"),
    [
        (ConstantPhotons(mean=500), 500, 0),
        (LognormalPhotons(mean=500, cv=0.4), 500, 200),
        (LognormalPhotons(mean=500, cv=0), 500, 0),
        (ExponentialPhotons(mean=500), 500, 500),
        (UniformPhotons(low=100, high=900), 500, 800 / np.sqrt(12)),
    ],
    ids=lambda value: getattr(value, "kind", str(value)),
)
def test_brightness_has_the_mean_and_spread_it_says(photons, mean, sd, rng):
    n = 100_000
    drawn = photons.draw(n, rng)
    assert np.all(drawn > 0)
    assert drawn.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(n) + 1e-9)
    fourth = np.mean((drawn - mean) ** 4)
    error = np.sqrt(max(fourth - sd**4, 0) / n) / max(2 * sd, 1)
    assert drawn.std() == pytest.approx(sd, abs=5 * error + 1e-9)


def test_limits_in_the_wrong_order():
    with pytest.raises(InputError, match="UniformPhotons: low must be at most high, got 9"):
        UniformPhotons(low=9, high=3)


def test_flat_background(rng):
    assert np.all(FlatBackground(level=7).images(3, (4, 5), rng) == np.full((3, 4, 5), 7.0))


def test_gradient_is_smooth_and_stays(rng):
    images = GradientBackground(level=20, contrast=0.5).images(4, (64, 48), rng)
    assert images.shape == (4, 64, 48)
    assert np.all(images == images[0])
    assert images.mean() == pytest.approx(20)
    assert np.abs(images - 20).max() == pytest.approx(10)
    # Four waves of at most half a period: no pixel differs from the next as a spot would.
    assert max(np.abs(np.diff(images[0], axis=a)).max() for a in (0, 1)) < 2


def test_background_per_frame(rng):
    images = FrameBackground(low=5, high=15).images(500, (3, 3), rng)
    assert np.all(images == images[:, :1, :1])
    levels = images[:, 0, 0]
    assert levels.mean() == pytest.approx(10, abs=4 * 10 / np.sqrt(12 * 500))
    assert 5 <= levels.min() < 5.5
    assert 14.5 < levels.max() <= 15


def test_a_frame_of_one_pixel_has_a_gradient_background(rng):
    assert GradientBackground(level=3).images(1, (1, 1), rng) == pytest.approx(3)
