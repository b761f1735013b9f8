import torch

from napari_smlm_diffusion.compute import tiles
from napari_smlm_diffusion.networks.settings import PhiSettings
from napari_smlm_diffusion.networks.variance import VarianceHead
from napari_smlm_diffusion.proposals.candidates import evaluate


def stirred(network):
    """Blocks start as the identity; give every layer something to do, so that reach is seen."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        if parameter.dim() == 4:
            torch.nn.init.kaiming_normal_(parameter)
    return network.eval()


def test_tiles_change_no_answer(monkeypatch):
    # The dilations and depths of the shipped networks: their reach is what the halo must cover.
    phi, head = stirred(PhiSettings(channels=8).build()), stirred(VarianceHead(channels=8, width=8))
    inputs = torch.randn(1, 3, 150, 190, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = evaluate(phi, head, inputs, 4)
        monkeypatch.setattr(tiles, "_LARGEST", 2 * tiles.HALO + 40)
        pieces = evaluate(phi, head, inputs, 4)
    for a, b in zip(whole, pieces, strict=True):
        scale = float(a.abs().max())
        assert scale > 0
        torch.testing.assert_close(b, a, atol=1e-5 * scale, rtol=1e-4)
