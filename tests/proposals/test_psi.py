"""Samples of psi as proposals: one set of molecules each."""

import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.proposals.psi import PsiLocalizer
from napari_smlm_diffusion.proposals.sample_peaks import peaks_of_samples

MICROSCOPE = Microscope(pixel_size_nm=100.0, psf_sigma_nm=130.0, camera=Camera(offset=0, gain=1))


@pytest.fixture
def frames(rng):
    y, x = np.mgrid[:16, :16]
    spot = 3000 * np.exp(-((y - 7.3) ** 2 + (x - 9.1) ** 2) / (2 * 1.3**2))
    return rng.poisson(10 + spot * np.array([1, 0, 2])[:, None, None]).astype(np.float32)


def sets(localizer, block):
    return localizer.propose(block, MICROSCOPE).sets(len(block))


def test_each_sample_is_one_set_whatever_the_block(frames, tiny_psi_model):
    model = load_model(tiny_psi_model)
    localizer = PsiLocalizer(model, 3, seed=5, origin=(4, 0))
    block = FrameBlock(frames, first=10)
    whole = sets(localizer, block)
    assert [len(of_frame) for of_frame in whole] == [3, 3, 3]
    assert sum(len(one) for one in whole[0]) and sum(len(one) for one in whole[2])
    alone = [sets(localizer, block.part(t, t + 1, (0, 0)))[0] for t in range(3)]
    posterior = Posterior(model, MICROSCOPE, seed=5, origin=(4, 0))
    for t in range(3):
        (batch,) = posterior.draw(frames[t], 10 + t, 3)
        peaks = peaks_of_samples(batch, model.card.phi.kernel_sigma, model.card.phi.upsampling)
        for k in range(3):
            np.testing.assert_array_equal(whole[t][k].position, alone[t][k].position)
            np.testing.assert_array_equal(whole[t][k].position, peaks.of_frame(k).position)
            assert (whole[t][k].probability <= 1).all()


def test_phi_proposes_one_set_with_probabilities(frames, tiny_psi_model):
    found = PhiLocalizer(load_model(tiny_psi_model)).propose(FrameBlock(frames), MICROSCOPE)
    whole = found.sets(3)
    assert [len(of_frame) for of_frame in whole] == [1, 1, 1]
    assert sum(len(of_frame[0]) for of_frame in whole) == len(found.emitters) > 0
    mass = found.emitters.multiplicity.numpy()
    np.testing.assert_array_equal(
        np.concatenate([of_frame[0].probability for of_frame in whole]), np.clip(mass, 0, 1)
    )


def test_a_model_without_psi_is_refused(tiny_model):
    with pytest.raises(InputError, match="no diffusion model"):
        PsiLocalizer(load_model(tiny_model))
