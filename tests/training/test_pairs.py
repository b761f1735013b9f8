import numpy as np
import torch

from napari_smlm_diffusion.density import DensityScale, density_image, kernel_share
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.training.pairs import draw_pairs

SPARSE = Prior(structures=("uniform",), density_per_px2=(0.01, 0.01))


def draw(prior):
    return draw_pairs(prior, 4, 24, DensityScale(4, 1.25), torch.Generator().manual_seed(0))


def test_densities_are_those_of_the_reference():
    pairs = draw(SPARSE)
    for i in range(len(pairs.effective)):
        place = pairs.emitters.of_frame(i).position.double().numpy()
        reference = density_image(*place.T, (24, 24), 4, 1.25)
        np.testing.assert_allclose(pairs.density[i].numpy(), reference, atol=1e-4)


def test_the_density_counts_the_molecules_inside():
    # The disc of radius 4 keeps every kernel inside the frame.
    pairs = draw(Prior(structures=("disc",), disc_radius_px=4.0, disc_count=(3, 9)))
    count = pairs.density.sum((1, 2)) * kernel_share(1.25)
    torch.testing.assert_close(count, (pairs.photons > 0).sum(1).float(), atol=1e-2, rtol=0)
