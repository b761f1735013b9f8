"""Metrics of networks whose answers are known."""

import pytest
import torch

from napari_smlm_diffusion.density import kernel_density
from napari_smlm_diffusion.simulation.prior import PAPERS, Prior
from napari_smlm_diffusion.training import metrics
from napari_smlm_diffusion.training.batches import draw
from napari_smlm_diffusion.training.metrics import PhiMetrics
from napari_smlm_diffusion.training.stage import network_input_of
from napari_smlm_diffusion.training.stages.variance import VarianceStage


class Oracle(torch.nn.Module):
    """A phi that knows the truth, and answers with all molecules moved by `shift` pixels."""

    def __init__(self, shift):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.tensor(shift))
        self.known = []

    def features(self, inputs):
        return inputs

    def density(self, inputs):
        pairs = next(p for p in self.known if torch.equal(network_input_of(p), inputs))
        present = (pairs.photons > 0).float()
        shape = tuple(pairs.effective.shape[1:])
        place = pairs.position + torch.tensor([self.shift, 0.0])
        return kernel_density(place, present, shape, 4, 1.25)


@pytest.mark.parametrize(
    "prior",
    [PAPERS, Prior(density_per_px2=(0.001, 0.001), structures=("uniform",), photons=(2e3, 5e3))],
)
def test_a_phi_that_is_off_by_a_known_distance(monkeypatch, small, prior):
    monkeypatch.setattr(metrics, "_FRAMES", 4)
    monkeypatch.setattr(metrics, "_ALONE", 8)
    shift = 0.06
    oracle = Oracle(shift)
    judge = PhiMetrics(oracle, small(prior=prior, frame_size=32))
    oracle.known = [*judge._crowded, *(pairs for pairs, _ in judge._alone)]
    numbers = judge()
    # On the papers' disc molecules overlap: even the true density does not tell all of them apart.
    assert numbers["jaccard"] > (0.95 if prior != PAPERS else 0.6)
    square = [
        (bounds[pairs.photons.numpy() > 0] ** 2).mean(axis=1) for pairs, bounds in judge._alone
    ]
    clear = [values[values**0.5 < metrics._DIMMEST_BOUND_PX] for values in square]
    rms = (sum(v.sum() for v in clear) / sum(v.size for v in clear)) ** 0.5
    assert numbers["rmse_over_crlb"] == pytest.approx(shift / 2**0.5 / rms, rel=0.05)


def test_a_head_that_claims_twice_the_error(monkeypatch, small):
    def look(self, pairs):
        wrong = torch.randn(pairs.density.shape, generator=torch.Generator().manual_seed(1))
        return pairs.density + 0.1 * wrong, torch.full_like(wrong, 0.2).square().log()

    monkeypatch.setattr(VarianceStage, "look", look)
    stage = VarianceStage(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    pairs = draw(small(), 4, 20, torch.Generator().manual_seed(2))
    numbers = stage.metrics(small(), [pairs])()
    assert numbers["claimed_over_true"] == pytest.approx(2.0, rel=0.01)
