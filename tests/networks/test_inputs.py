import pytest
import torch

from napari_smlm_diffusion.networks.inputs import network_input, pad_input


@pytest.mark.parametrize(("bottom", "right"), [(0, 0), (3, 0), (3, 5)])
def test_padding_is_what_a_larger_empty_frame_gives(bottom, right):
    """Each frame of the batch with its own background, read noise and PSF."""
    shape = (2, 13 + bottom, 11 + right)
    level = torch.tensor([2.0, 40.0])[:, None, None]
    read_variance = torch.tensor([1.0, 9.0])[:, None, None]
    large = network_input(level.expand(shape), read_variance, torch.tensor([0.9, 1.6]))
    small = network_input(level.expand(2, 13, 11), read_variance, torch.tensor([0.9, 1.6]))
    assert (large[:, 1:].abs() > 0.05).all()  # nothing that zeros would be right for
    torch.testing.assert_close(pad_input(small, bottom, right), large)
