"""Simulated frames in the counts of a movie's camera."""

import numpy as np

from napari_smlm_diffusion.optics.camera import Camera


def test_counts_are_the_inverse_of_effective_photons(rng):
    maps = rng.uniform(0.4, 0.6, (6, 7))
    camera = Camera(offset=maps * 200, gain=maps, em_gain=50.0, qe=0.9, read_noise=30.0)
    effective = rng.uniform(0, 500, (2, 6, 7))
    np.testing.assert_allclose(
        camera.effective(camera.counts(effective, np.float64)), effective, rtol=1e-4
    )
    assert Camera(offset=0, gain=1).counts(np.array([[-3.0, 300.0]]), np.uint8).tolist() == [
        [0, 255]
    ]
