import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_smlm_diffusion.density import density_image
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.matching import match
from napari_smlm_diffusion.proposals.sample_peaks import peaks_of_samples

SIGMA, UP, SHAPE = 1.25, 4, (32, 32)


def sample_of(yx, grain=0.0, seed=0):
    """A density as a sampler draws it: clean kernels and correlated grain of the given SD."""
    image = density_image(*np.asarray(yx, float).T, SHAPE, UP, SIGMA)
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(image.shape), 1.0)
    return (image + grain * noise / noise.std()).astype(np.float32)


def grid_of_pairs(distance_fine, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.stack(np.meshgrid(*2 * [np.arange(4, 30, 5)], indexing="ij"), -1).reshape(-1, 2)
    centres = centres + rng.uniform(-0.5, 0.5, centres.shape)
    angle = rng.uniform(0, 2 * np.pi, len(centres))
    step = 0.5 * distance_fine / UP * np.stack([np.sin(angle), np.cos(angle)], 1)
    return np.concatenate([centres - step, centres + step])


def errors(peaks, truth):
    found = peaks.position
    pairs = match(found, truth, 0.5)
    assert len(pairs.found) == len(truth) == len(found)
    return found[pairs.found] - truth[pairs.truth]


@pytest.mark.parametrize("distance", [0.8, 1.5, 2.0, 3.0])
def test_pairs_closer_than_their_kernels_are_two_molecules(distance):
    truth = grid_of_pairs(distance)
    peaks = peaks_of_samples(sample_of(truth)[None], SIGMA, UP)
    assert np.sqrt(np.mean(errors(peaks, truth) ** 2)) * UP < 0.1
    peaks = peaks_of_samples(sample_of(truth, grain=0.02)[None], SIGMA, UP)
    assert np.sqrt(np.mean(errors(peaks, truth) ** 2)) * UP < 0.3


def test_grain_makes_no_molecules_and_moves_them_little():
    truth = np.stack(np.meshgrid(*2 * [np.arange(2.3, 30, 3.1)], indexing="ij"), -1).reshape(-1, 2)
    samples = [sample_of(truth, 0.03, seed) for seed in range(4)]
    found = peaks_of_samples(np.stack(samples), SIGMA, UP)
    every = [errors(found.of_frame(k), truth) for k in range(4)]
    assert np.sqrt(np.mean(np.stack(every) ** 2)) * UP < 0.16
    empty = peaks_of_samples(sample_of(np.empty((0, 2)), 0.03)[None], SIGMA, UP)
    assert len(empty) == 0


def test_a_molecule_needs_half_a_mass():
    one = sample_of([(12.2, 15.1)])
    found = peaks_of_samples(np.stack([0.45 * one, 0.55 * one]), SIGMA, UP)
    assert found.frame.tolist() == [1]
    assert found.multiplicity[0] == pytest.approx(0.55, abs=0.03)
    lenient = peaks_of_samples(0.45 * one[None], SIGMA, UP, min_mass=0.3)
    assert len(lenient) == 1


def test_no_sample_depends_on_the_others():
    truths = [grid_of_pairs(2.0, seed) for seed in range(3)]
    samples = torch.from_numpy(np.stack([sample_of(t, 0.02, i) for i, t in enumerate(truths)]))
    together = peaks_of_samples(samples, SIGMA, UP)
    for k in range(3):
        alone = peaks_of_samples(samples[k : k + 1], SIGMA, UP, first=k)
        for name in ("frame", "position", "multiplicity"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(together.of_frame(k), name))


def test_what_is_no_stack_is_refused():
    with pytest.raises(InputError, match=r"\(K, sY, sX\).*got shape \(8, 8\)"):
        peaks_of_samples(np.zeros((8, 8)), SIGMA, UP)
    assert len(peaks_of_samples(np.zeros((0, 8, 8)), SIGMA, UP)) == 0
