import numpy as np
import pytest

from napari_smlm_diffusion.reference.labels import relabel


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shuffled_molecules_come_back_in_order(count, rng):
    like = 4.0 * np.arange(2 * count).reshape(count, 2)
    positions = like + 0.3 * rng.standard_normal((60, count, 2))
    shuffle = rng.permuted(np.tile(range(count), (60, 1)), axis=1)
    shuffled = np.take_along_axis(positions, shuffle[..., None], axis=1)
    order = relabel(shuffled, like)
    np.testing.assert_array_equal(np.take_along_axis(shuffled, order[..., None], 1), positions)
