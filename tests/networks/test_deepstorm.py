import pytest
import torch

from napari_smlm_diffusion.networks.deepstorm import UPSAMPLING
from napari_smlm_diffusion.networks.inputs import frame_level, network_input, stabilise
from napari_smlm_diffusion.networks.settings import PhiSettings
from napari_smlm_diffusion.networks.variance import VarianceHead, variance_loss


def small_phi(end="linear"):
    torch.manual_seed(0)
    phi = PhiSettings(channels=8, dilations=(1, 2), up_channels=(8, 4), end=end).build().eval()
    for block in phi.trunk:  # a block starts as the identity; give it something to do
        torch.nn.init.normal_(block.second.weight, std=0.1)
    return phi


def random_input(height=24, width=20, frames=2):
    generator = torch.Generator().manual_seed(1)
    photons = torch.poisson(torch.full((frames, height, width), 9.0), generator=generator)
    return network_input(photons, torch.ones(1, 1, 1), torch.full((frames,), 1.2))


def test_any_frame_size_gives_four_times_as_many_pixels():
    with torch.inference_mode():
        assert small_phi()(random_input(17, 31)).shape == (2, 17 * UPSAMPLING, 31 * UPSAMPLING)


def test_a_shift_of_the_frame_by_a_pixel_shifts_the_density_by_four():
    inputs = random_input(40, 40)
    shifted = torch.roll(inputs, (1, 1), (2, 3))
    with torch.inference_mode():
        here, there = small_phi()(inputs), small_phi()(shifted)
    inner = slice(48, 112)  # away from the border, where padding and the roll reach
    moved = torch.roll(here, (UPSAMPLING, UPSAMPLING), (1, 2))
    torch.testing.assert_close(there[:, inner, inner], moved[:, inner, inner], atol=1e-5, rtol=1e-4)
    assert here[:, inner, inner].std() > 1e-4


def test_the_answer_for_a_frame_does_not_depend_on_its_batch():
    inputs = random_input(frames=3)
    with torch.inference_mode():
        together, alone = small_phi()(inputs)[1], small_phi()(inputs[1:2])[0]
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("end", "low", "high"), [("softplus", 0.0, None), ("hardtanh", 0.0, 1.0)])
def test_ends_keep_their_range(end, low, high):
    with torch.inference_mode():
        density = small_phi(end)(100 * random_input())
    assert density.min() >= low
    assert high is None or density.max() <= high


def test_stabilised_noise_has_unit_variance():
    generator = torch.Generator().manual_seed(2)
    for mean, read in ((5.0, 0.0), (50.0, 3.0), (800.0, 20.0)):
        noise = read * torch.randn(200_000, generator=generator)
        photons = torch.poisson(torch.full((200_000,), mean), generator=generator) + noise
        spread = stabilise(photons, torch.tensor(read**2)).std()
        assert abs(float(spread) - 1.0) < 0.05


def test_the_level_of_a_frame_is_its_lower_tenth():
    frame = torch.arange(100.0).reshape(1, 10, 10)
    assert float(frame_level(frame)) == 9.0


def test_the_variance_head_learns_the_mean_square_not_the_median():
    # The loss is least at the mean of the squared residuals, whatever their distribution.
    squared = torch.tensor([0.0, 0.0, 0.0, 4.0])
    grid = torch.linspace(-2, 2, 401)
    losses = torch.stack([variance_loss(v.expand(4), squared) for v in grid])
    assert abs(float(grid[losses.argmin()].exp()) - 1.0) < 0.02


def test_the_head_gives_a_log_variance_for_every_fine_pixel():
    phi, head = small_phi(), VarianceHead(channels=8, width=8, up_channels=(8, 4))
    with torch.inference_mode():
        features = phi.features(random_input())
        density = phi.density(features)
        assert head(features, density).shape == density.shape
