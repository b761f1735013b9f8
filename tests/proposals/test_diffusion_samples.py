"""Sampling whole frames with a Psi whose answer is known."""

import numpy as np
import pytest
import torch

from napari_smlm_diffusion.diffusion.field import Field, spans
from napari_smlm_diffusion.diffusion.schedule import RESIDUAL
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models.model import Model, load_model
from napari_smlm_diffusion.networks.settings import PsiSettings, SamplingSettings
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.diffusion_samples import (
    AT_ONCE,
    Batches,
    Moments,
    Posterior,
    asked_sampling,
)

MICROSCOPE = Microscope(
    camera=Camera(offset=0.0, gain=1.0, read_noise=1.0), pixel_size_nm=100.0, psf_sigma_nm=120.0
)


def with_psi(tiny_model, **keywords) -> Model:
    """The tiny model with a U-Net that says nothing: then D(z; sigma) = c_skip z.

    Its posterior is a Gaussian about phi's density with the SD of the variance head.
    """
    model = load_model(tiny_model)
    settings = PsiSettings(width=4, encoder_width=8, multipliers=(1, 1, 1), **keywords)
    unet = settings.build({"phi": model.card.phi}).eval().requires_grad_(False)
    return Model(model.card.with_networks(psi=settings), {**model.networks, "psi": unet}, "")


def frame(rng, shape=(24, 20)):
    photons = rng.poisson(5.0, shape).astype(np.float32)
    photons[10:13, 8:11] += 60
    return photons


def drawn(
    model, photons, samples=8, sampling=None, seed=0, origin=(0, 0), index=0, batches=AT_ONCE
):
    posterior = Posterior(model, MICROSCOPE, sampling, seed, origin, batches)
    return torch.cat(list(posterior.draw(photons, index, samples))).numpy()


def test_samples_have_the_moments_the_network_claims(tiny_model, rng):
    model = with_psi(tiny_model)
    photons = frame(rng)
    samples = 100
    sampling = SamplingSettings(sampler="multistep", steps=24)
    images = drawn(model, photons, samples, sampling)
    inputs = torch.from_numpy(photons)[None]
    field = Field(model.psi, _inputs(inputs))
    centre = field.density(torch.zeros(1, *field.padded))[0].numpy()
    spread = field.density(torch.ones(1, *field.padded))[0].numpy() - centre
    # The last level is not far below the SD of 1: that costs sqrt(1 + last^2).
    ratio = images.std(0, ddof=1) / spread * np.hypot(1, RESIDUAL.last)
    assert ratio.mean() == pytest.approx(1.0, abs=0.02)
    pull = (images.mean(0) - centre) / spread * samples**0.5
    assert abs(pull.mean()) < 0.1


def _inputs(photons):
    from napari_smlm_diffusion.networks.inputs import network_input

    return network_input(photons, torch.ones(1, 1, 1), torch.tensor([1.2]))


def test_a_sample_depends_on_seed_frame_and_number_and_on_nothing_else(tiny_model, rng):
    model = with_psi(tiny_model)
    photons = frame(rng)
    eight = drawn(model, photons)
    np.testing.assert_array_equal(drawn(model, photons), eight)
    few = drawn(model, photons, 5, batches=Batches(pixels=1))
    np.testing.assert_array_equal(few, eight[:5])
    for other in (drawn(model, photons, seed=1), drawn(model, photons, index=1)):
        assert np.abs(other - eight).max() > 1e-3


def test_samples_stay_where_they_were_in_a_region_of_interest(tiny_model, rng):
    """With the noise of the full image; phi's own answer differs at the border it now sees."""
    model = with_psi(tiny_model)
    photons = rng.poisson(5.0, (40, 40)).astype(np.float32)
    whole = drawn(model, photons)
    part = drawn(model, photons[8:32, 16:40], origin=(8, 16))
    inner = (slice(None), slice(16, 80), slice(16, 80))
    off = part[inner] - whole[:, 32:128, 64:160][inner]
    assert np.abs(off).max() < 0.05 * whole.std()


def test_tiles_meet_without_a_seam(tiny_model, rng):
    photons = rng.poisson(5.0, (48, 40)).astype(np.float32)
    one = with_psi(tiny_model, tile=64)
    many = with_psi(tiny_model, tile=16, overlap=8)
    np.testing.assert_allclose(drawn(many, photons), drawn(one, photons), atol=1e-4)


@pytest.mark.parametrize(
    ("size", "tile", "overlap"), [(24, 64, 16), (64, 64, 16), (136, 64, 16), (72, 32, 8)]
)
def test_weights_of_tiles_sum_to_one(size, tile, overlap):
    total = torch.zeros(size)
    for start, stop, weight in spans(size, tile, overlap):
        assert (weight > 0).all()
        total[start:stop] += weight
    torch.testing.assert_close(total, torch.ones(size))


@pytest.mark.parametrize("samples", [2, 3, 5, 7, 64, 65])
@pytest.mark.parametrize("shape", [(32, 32), (1024, 1024), (512, 480)])
@pytest.mark.parametrize("fewest", [1, 8])
def test_no_batch_is_of_one_sample(samples, shape, fewest):
    sizes = Batches(2**19, fewest).sizes(samples, shape)
    assert sum(sizes) == samples
    assert min(sizes) >= 2


def test_moments_are_those_of_all_images_in_any_batches(rng):
    images = (1000 + rng.normal(0, 0.1, (9, 6, 5))).astype(np.float32)
    whole, parts = Moments((6, 5)), Moments((6, 5))
    assert np.isnan(whole.variance).all()
    whole.add(images)
    for start, stop in ((0, 2), (2, 3), (3, 9)):
        parts.add(images[start:stop])
    np.testing.assert_array_equal(parts.mean, whole.mean)
    np.testing.assert_array_equal(parts.variance, whole.variance)
    np.testing.assert_allclose(whole.variance, images.astype(float).var(0, ddof=1), rtol=1e-6)


def test_what_cannot_be_drawn_is_said(tiny_model, rng):
    model = with_psi(tiny_model)
    with pytest.raises(InputError, match="no diffusion model"):
        Posterior(load_model(tiny_model), MICROSCOPE)
    with pytest.raises(InputError, match="samples: a variance needs"):
        drawn(model, frame(rng), 1)
    usual = SamplingSettings()
    with pytest.raises(InputError, match=r"steps: .* got 1"):
        Posterior(model, MICROSCOPE, usual.model_copy(update={"steps": 1}))
    with pytest.raises(InputError, match=r"sampler must .* got nobody"):
        Posterior(model, MICROSCOPE, usual.model_copy(update={"sampler": "nobody"}))


def test_the_papers_recipe_starts_from_noise_or_from_phi(tiny_model, rng):
    model = with_psi(tiny_model, recipe="papers")
    photons = frame(rng)
    sampling = SamplingSettings(sampler="ancestral", steps=20)
    guided = drawn(model, photons, 16, sampling)
    blind = drawn(model, photons, 16, sampling.model_copy(update={"start": "noise"}))
    centre = load_model(tiny_model).phi(_inputs(torch.from_numpy(photons)[None]))[0].numpy()
    # A network that calls everything noise-free leaves the start as it was.
    assert np.abs(guided.mean(0) - centre).mean() < np.abs(blind.mean(0) - centre).mean()


def test_what_a_distilled_model_was_not_made_for_is_its_teachers(tiny_model, rng):
    few = SamplingSettings(sampler="ddim", steps=3, last_noise=1.0)
    student = with_psi(tiny_model, sampling=few)
    teacher = with_psi(tiny_model)
    torch.manual_seed(4)
    with torch.no_grad():
        teacher.psi.unet.exit.weight.normal_(0, 0.1)
    both = Model(
        student.card.with_networks(teacher=teacher.card.psi),
        {**student.networks, "teacher": teacher.networks["psi"]},
        "",
    )
    photons = frame(rng)
    np.testing.assert_array_equal(drawn(both, photons), drawn(student, photons))
    assert asked_sampling(both, steps=3) == asked_sampling(both) == few
    other = asked_sampling(both, steps=5)
    assert other == SamplingSettings(steps=5)
    images = drawn(both, photons, sampling=other)
    np.testing.assert_array_equal(images, drawn(teacher, photons, sampling=other))
    assert not np.array_equal(images, drawn(student, photons, sampling=other))
