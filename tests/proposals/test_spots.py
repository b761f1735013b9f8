import numpy as np
import pytest
import torch

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.optics import forward
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.settings import PsfSettings
from napari_smlm_diffusion.proposals import matched_filter
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.proposals.spots import SpotsLocalizer


def microscope(read_noise=1.0, **psf):
    camera = Camera(offset=0.0, gain=1.0, read_noise=read_noise)
    return Microscope(camera=camera, pixel_size_nm=100.0, **(psf or {"psf_sigma_nm": 120.0}))


def noisy(mean, read_noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    noise = read_noise * rng.standard_normal(np.shape(mean))
    return (rng.poisson(mean) + noise).astype(np.float32)


def scattered(psf, frames, each, photons, background=10.0, shape=(64, 64), seed=1):
    """Return noisy frames of molecules a few pixels off the border, and their places."""
    place = torch.from_numpy(
        np.random.default_rng(seed).uniform(4, shape[0] - 5, (frames, each, 2))
    )
    mean = forward.expected(place, torch.full((frames, each), photons), psf, shape, background)
    return noisy(mean.numpy()), place.numpy()


class Tilted:
    """An oblong spot at 45 degrees: no product of profiles."""

    axes, z_range_nm, radius_px, sigma_px = ("y", "x"), None, 5, 1.3

    def image(self, offset, radius_px=None):
        radius = self.radius_px if radius_px is None else radius_px
        steps = torch.arange(-radius, radius + 1, dtype=offset.dtype)
        y, x = (steps - offset[..., axis, None] for axis in (0, 1))
        along, across = y[..., :, None] + x[..., None, :], y[..., :, None] - x[..., None, :]
        # SD 1.8 px along, 1.0 px across.
        light = torch.exp(-(along**2) / 4 / 1.8**2 - across**2 / 4)
        return light / (2 * torch.pi * 1.8)


class TiltedPsf(PsfSettings):
    kind: str = "tilted-test"

    @property
    def nearest_sigma_nm(self):
        return 130.0

    def build(self, pixel_size_nm):
        return Tilted()


@pytest.mark.parametrize("background", [0.5, 20.0])
@pytest.mark.parametrize("false_alarms", [0.5, 5.0])
def test_noise_makes_as_many_spots_as_stated(background, false_alarms):
    frames = noisy(np.full((100, 64, 64), background))
    count = len(SpotsLocalizer(false_alarms).propose(FrameBlock(frames), microscope()).emitters)
    assert count / 100 == pytest.approx(false_alarms, rel=0.25, abs=0.15)


def test_the_threshold_is_the_inverse_of_the_rate():
    for rate in (1e-3, 0.1, 3.0):
        height = matched_filter.threshold(rate, 4096, 0.35)
        assert matched_filter.false_maxima(height, 4096, 0.35) == pytest.approx(rate)


@pytest.mark.parametrize("psf", [None, TiltedPsf()])
def test_spots_are_found_where_they_are_with_their_photons(psf):
    scope = microscope() if psf is None else microscope(psf=psf)
    frames, place = scattered(scope.build_psf(), 20, 4, 1500.0)
    found = SpotsLocalizer().propose(FrameBlock(frames), scope).emitters.each(torch.Tensor.numpy)
    true = np.repeat(np.arange(20), 4)
    pairs = match_frames(found.frame, found.position, true, place.reshape(-1, 2), 1.0)
    # A few of the eighty overlap and are one maximum.
    assert len(pairs.found) > 72
    assert len(found) - len(pairs.found) < 7
    error = found.position[pairs.found] - place.reshape(-1, 2)[pairs.truth]
    assert np.median(np.abs(error)) < 0.15
    assert np.median(found.photons[pairs.found]) == pytest.approx(1500, rel=0.12)
    assert found.probability[pairs.found].min() > 0.9


def test_pixels_that_are_masked_or_noisy_make_no_spot():
    frames = noisy(np.full((10, 64, 64), 10.0))
    frames[:, 20, 20] += 500.0
    mask = np.ones((64, 64), bool)
    mask[20, 20] = False
    hot = SpotsLocalizer().propose(FrameBlock(frames), microscope()).emitters
    assert ((hot.position - 20).abs().amax(1) < 1.5).sum() == 10
    masked = SpotsLocalizer(mask=mask).propose(FrameBlock(frames), microscope()).emitters
    assert len(masked) < 5
    read = np.ones((64, 64))
    read[20, 20] = 500.0
    noted = SpotsLocalizer().propose(FrameBlock(frames), microscope(read)).emitters
    assert len(noted) < 5


def test_a_gradient_of_the_background_makes_no_spots():
    slope = np.linspace(5, 60, 96)[:, None] * np.ones(96)
    field = 1 + 3 * np.exp(-((np.arange(96) - 48) ** 2) / 2 / 4**2)[None] * np.ones((96, 1))
    steep = noisy(20 * np.broadcast_to(field, (20, 96, 96)))
    gentle = noisy(np.broadcast_to(slope, (20, 96, 96)))

    def count(frames, field=None):
        localizer = SpotsLocalizer(1.0, background=field)
        return len(localizer.propose(FrameBlock(frames), microscope()).emitters) / len(frames)

    assert count(gentle) < 2
    # A ridge as narrow as this has to be known; its level, half of what is given, has not.
    assert count(steep) > 5
    assert count(steep, 40 * field) < 2


def test_the_same_bytes_for_any_threads_and_blocks_and_no_spots_from_no_frame():
    frames, _ = scattered(microscope().build_psf(), 8, 4, 800.0)
    localizer, threads = SpotsLocalizer(), torch.get_num_threads()
    whole = localizer.propose(FrameBlock(frames), microscope()).emitters
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        parts = [
            localizer.propose(FrameBlock(f), microscope()).emitters for f in np.split(frames, 4)
        ]
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(whole.position, torch.cat([p.position for p in parts]))
    assert torch.equal(whole.photons, torch.cat([p.photons for p in parts]))
    assert len(localizer.propose(FrameBlock(frames[:0]), microscope()).emitters) == 0
    assert isinstance(whole, Emitters)


def test_a_rate_that_cannot_be_is_refused():
    with pytest.raises(InputError, match="false_alarms"):
        SpotsLocalizer(0.0)
