import pytest
import torch

from napari_smlm_diffusion.networks.settings import PsiSettings
from napari_smlm_diffusion.networks.unet import UNet, condition_channels, fold_condition


def network():
    """A small U-Net whose zero-initialised layers have been given weights."""
    torch.manual_seed(0)
    channels = condition_channels(frame=True, density=True, features=6)
    settings = PsiSettings(width=4, multipliers=(1, 2, 2), encoder_width=8)
    unet = UNet(channels, settings).eval()
    with torch.no_grad():
        for weights in unet.parameters():
            if not weights.any():
                weights.normal_(0, 0.1)
    return unet


def condition(unet, size=8, batch=1):
    y_hat, sd = torch.rand(2, batch, 4 * size, 4 * size) + 0.01
    folded = fold_condition(
        torch.randn(batch, 3, size, size), torch.randn(batch, 6, size, size), y_hat, sd
    )
    return unet.encode(folded)


def test_it_starts_by_saying_nothing_and_keeps_the_size():
    unet = UNet(16, PsiSettings())
    folded = fold_condition(None, None, torch.rand(2, 64, 32), None)
    answer = unet(torch.randn(2, 64, 32), torch.zeros(2), unet.encode(folded))
    assert answer.shape == (2, 64, 32)
    assert not answer.any()
    assert unet.multiple == 32


def test_the_channels_are_those_of_what_is_given():
    frame, features, y_hat = torch.rand(1, 3, 8, 8), torch.rand(1, 6, 8, 8), torch.rand(1, 32, 32)
    for given, channels in (
        ((frame, features, y_hat, y_hat + 1), condition_channels(True, True, 6)),
        ((frame, features, None, None), condition_channels(True, False, 6)),
        ((None, None, y_hat, None), condition_channels(False, True, 6)),
    ):
        assert fold_condition(*given).shape == (1, channels, 8, 8)


def test_one_condition_serves_a_batch_of_samples():
    unet = network()
    known = condition(unet)
    noisy, level = torch.randn(3, 32, 32), torch.full((3,), 0.7)
    with torch.no_grad():
        together = unet(noisy, level, known)
        alone = torch.cat([unet(noisy[i : i + 1], level[i : i + 1], known) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("what", ["noisy", "level", "condition"])
def test_it_reads_all_it_is_given(what):
    unet = network()
    given = {
        "noisy": torch.randn(1, 32, 32),
        "level": torch.zeros(1),
        "condition": condition(unet),
    }
    other = {
        "noisy": given["noisy"] + 1,
        "level": given["level"] + 1,
        "condition": tuple(part + 1 for part in given["condition"]),
    }
    with torch.no_grad():
        first = unet(given["noisy"], given["level"], given["condition"])
        changed = given | {what: other[what]}
        second = unet(changed["noisy"], changed["level"], changed["condition"])
    assert (first - second).abs().max() > 1e-3


def test_a_shift_by_its_total_stride_shifts_the_answer():
    """Without attention, in the middle, where no border is seen."""
    unet = network()
    for attention in (unet.attend_down, unet.attend_up):
        attention.out.weight.data.zero_()
        attention.out.bias.data.zero_()
    noisy = torch.zeros(1, 128, 128)
    noisy[0, 60:66, 60:66] = torch.randn(6, 6)
    flat = [torch.zeros_like(part) for part in condition(unet, size=32)]
    stride = unet.multiple
    with torch.no_grad():
        still = unet(noisy, torch.zeros(1), flat)
        moved = unet(noisy.roll(stride, 2), torch.zeros(1), flat)
    middle = (slice(None), slice(48, 80), slice(48, 80))
    torch.testing.assert_close(moved.roll(-stride, 2)[middle], still[middle], atol=1e-5, rtol=1e-4)
    assert still[middle].std() > 1e-3
