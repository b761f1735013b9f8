import pytest
import torch

from napari_smlm_diffusion.diffusion.denoiser import Preconditioner

LEVELS = torch.tensor([0.02, 0.3, 1.0, 7.0, 80.0], dtype=torch.float64)


@pytest.mark.parametrize("sigma_data", [0.2, 1.0, 3.0])
def test_the_network_sees_and_says_numbers_of_order_one(sigma_data):
    skip, out, scale = Preconditioner("edm", sigma_data).coefficients(LEVELS)
    power = LEVELS**2 + sigma_data**2
    torch.testing.assert_close(scale**2 * power, torch.ones_like(LEVELS))
    said = ((1 - skip) ** 2 * sigma_data**2 + skip**2 * LEVELS**2) / out**2
    torch.testing.assert_close(said, torch.ones_like(LEVELS))


def test_noise_prediction_is_the_papers():
    """With gamma: y_t = sqrt(gamma) y + sqrt(1 - gamma) n goes in, n is asked for."""
    wrapper = Preconditioner("noise")
    generator = torch.Generator().manual_seed(3)
    clean, noise = torch.randn(2, 5, 4, 4, generator=generator, dtype=torch.float64)
    noisy = clean + LEVELS[:, None, None] * noise
    gamma = (1 / (1 + LEVELS**2))[:, None, None]
    scale = wrapper.coefficients(LEVELS[:, None, None])[2]
    torch.testing.assert_close(scale * noisy, gamma.sqrt() * clean + (1 - gamma).sqrt() * noise)
    torch.testing.assert_close(wrapper.network_target(clean, noisy, LEVELS), noise)


@pytest.mark.parametrize("prediction", ["edm", "noise"])
def test_a_network_that_hits_its_target_gives_the_clean_image(prediction):
    wrapper = Preconditioner(prediction, 0.7)
    generator = torch.Generator().manual_seed(4)
    clean, noise = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64)
    for level in LEVELS:
        noisy = clean + level * noise
        said = wrapper.network_target(clean, noisy, level.expand(3))
        given = wrapper(lambda z, log_sigma, said=said: said, noisy, float(level))
        torch.testing.assert_close(given, clean)
