import numpy as np

from napari_smlm_diffusion.diffusion.noise import BLOCK, START, NoiseField


def test_noise_belongs_to_a_place_and_not_to_a_region():
    whole = NoiseField(7, 3).draw(2, START, (2 * BLOCK + 30, BLOCK + 50))
    part = NoiseField(7, 3, origin=(90, 17)).draw(2, START, (60, 120))
    np.testing.assert_array_equal(part, whole[90:150, 17:137])


def test_frames_samples_steps_and_seeds_have_their_own():
    draws = [
        NoiseField(seed, frame).draw(sample, step, (16, 16))
        for seed in (0, 1)
        for frame in (0, 1)
        for sample in (0, 1)
        for step in (START, 0, 1)
    ]
    flat = np.stack([d.ravel() for d in draws])
    off = np.corrcoef(flat)[~np.eye(len(flat), dtype=bool)]
    assert np.abs(off).max() < 5 / 16  # five standard errors of 256 pixels


def test_noise_is_standard_normal_across_the_blocks():
    field = NoiseField(0, 0).draw(0, START, (4 * BLOCK, 4 * BLOCK))
    assert abs(field.mean()) < 4 / (4 * BLOCK)
    assert abs(field.std() - 1) < 4 / (4 * BLOCK * np.sqrt(2))
    assert abs((field[:, BLOCK - 1] * field[:, BLOCK]).mean()) < 4 / np.sqrt(4 * BLOCK)
