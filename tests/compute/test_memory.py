"""A memory too small for a batch: half of it is tried, with the same answer in the end."""

import numpy as np
import pandas as pd
import pytest
import torch

from napari_smlm_diffusion.compute.memory import is_out_of_memory
from napari_smlm_diffusion.inference.estimator import estimator_of
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.proposals.phi import PhiLocalizer

MICROSCOPE = Microscope(
    camera=Camera(offset=0, gain=1, read_noise=1), pixel_size_nm=100, psf_sigma_nm=120
)
FULL = "CUDA out of memory. Tried to allocate 20.00 MiB"


def small_memory(monkeypatch, owner, name, holds, length, error):
    """Let a method of `owner` fail for more than `holds` frames or samples; return the sizes."""
    work, sizes = getattr(owner, name), []

    def limited(self, *arguments):
        sizes.append(length(*arguments))
        if sizes[-1] > holds:
            raise error
        return work(self, *arguments)

    monkeypatch.setattr(owner, name, limited)
    return sizes


@pytest.fixture
def frames(rng):
    return rng.poisson(5.0, (11, 24, 20)).astype(np.float32)


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError(FULL), MemoryError()])
def test_localizing_halves_its_batch_and_stays_there(tiny_model, frames, monkeypatch, error):
    estimator = estimator_of(load_model(tiny_model))
    whole = estimator.localize(FrameBlock(frames), MICROSCOPE)
    sizes = small_memory(
        monkeypatch, PhiLocalizer, "propose", 3, lambda batch, *_: len(batch), error
    )
    halved = estimator.localize(FrameBlock(frames), MICROSCOPE)
    assert sizes == [11, 5, 2, 2, 2, 2, 2, 1]
    pd.testing.assert_frame_equal(halved.table, whole.table)
    np.testing.assert_array_equal(halved.density, whole.density)
    estimator.localize(FrameBlock(frames[:4]), MICROSCOPE)
    assert sizes[8:] == [2, 2]


def test_sampling_halves_its_batch_and_stays_there(tiny_psi_model, frames, monkeypatch):
    posterior = Posterior(load_model(tiny_psi_model), MICROSCOPE)
    whole = torch.cat(list(posterior.draw(frames[0], 0, 9)))
    sizes = small_memory(
        monkeypatch,
        Posterior,
        "_batch",
        4,
        lambda field, noise, samples: len(samples),
        RuntimeError("MPS backend out of memory"),
    )
    halved = torch.cat(list(posterior.draw(frames[0], 0, 9)))
    assert sizes == [9, 3, 3, 3]
    assert torch.equal(halved, whole)


def test_a_frame_that_fits_nowhere_and_other_errors_are_passed_on(tiny_model, frames, monkeypatch):
    estimator = estimator_of(load_model(tiny_model))
    full = torch.cuda.OutOfMemoryError(FULL)
    small_memory(monkeypatch, PhiLocalizer, "propose", 0, lambda batch, *_: len(batch), full)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        estimator.localize(FrameBlock(frames), MICROSCOPE)
    wrong = RuntimeError("mat1 and mat2 cannot be multiplied")
    assert not is_out_of_memory(wrong)
    sizes = small_memory(
        monkeypatch, PhiLocalizer, "propose", 0, lambda batch, *_: len(batch), wrong
    )
    with pytest.raises(RuntimeError, match="mat1"):
        estimator.localize(FrameBlock(frames), MICROSCOPE)
    assert len(sizes) == 1
