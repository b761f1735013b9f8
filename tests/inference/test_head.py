import pytest
import torch

from napari_smlm_diffusion.networks.localization_head import FEATURES, LocalizationHead
from napari_smlm_diffusion.training.stages import rows as training


def simulated(count, sd_ratio, bias=0.0, share=0.5):
    """Candidates whose first feature is the log of their true error over `sd_ratio` bounds."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(count, 2, FEATURES, generator=generator)
    bound = torch.exp(0.3 * torch.randn(count, 2, generator=generator)) * 0.1
    true_sd = bound * sd_ratio * torch.exp(0.5 * numbers[..., 0])
    step = bound * torch.randn(count, 2, generator=generator)
    # phi's error is what a share of the likelihood step undoes, and an honest rest.
    error = true_sd * (torch.randn(count, 2, generator=generator) + bias) - share * step
    exists = torch.rand(count, generator=generator) < torch.sigmoid(2.0 * numbers[:, 0, 1])
    return numbers, bound, error * exists[:, None], step, exists.float()


@pytest.fixture(scope="module")
def fitted():
    torch.manual_seed(0)
    predictor = LocalizationHead()
    generator = torch.Generator().manual_seed(1)
    saved, training._STEPS = training._STEPS, 400
    try:
        for _ in training.fit_head(predictor, simulated(20_000, sd_ratio=2.0), generator):
            pass
    finally:
        training._STEPS = saved
    return predictor.eval()


def pulls(predictor, known):
    numbers, bound, error, step, exists = known
    with torch.inference_mode():
        log_ratio, share, logit = predictor(numbers)
    hit = exists.bool()
    pull = ((error + share * step) / (bound * log_ratio.exp()))[hit]
    return pull, share, torch.sigmoid(logit), exists


def test_the_claim_is_the_error_of_candidates_that_look_alike(fitted):
    known = simulated(20_000, sd_ratio=2.0)
    pull, share, _, exists = pulls(fitted, known)
    assert float(pull.std()) == pytest.approx(1.0, abs=0.05)
    # Not only on average: the sharp and the blurred half are each honest.
    sharp = known[0][..., 0][exists.bool()] < 0
    assert float(pull[sharp].std()) == pytest.approx(1.0, abs=0.08)
    assert float(pull[~sharp].std()) == pytest.approx(1.0, abs=0.08)
    assert float(share.mean()) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("change", "honest"),
    [({}, True), ({"sd_ratio": 1.4}, False), ({"sd_ratio": 2.8}, False), ({"bias": 0.5}, False)],
)
def test_wide_narrow_and_shifted_claims_are_told_from_honest_ones(fitted, change, honest):
    pull, *_ = pulls(fitted, simulated(20_000, **{"sd_ratio": 2.0, **change}))
    passes = abs(float(pull.mean())) <= 0.1 and 0.93 <= float(pull.std()) <= 1.07
    assert passes == honest


def test_the_probability_is_the_share_of_candidates_that_are_true(fitted):
    *_, probability, exists = pulls(fitted, simulated(20_000, sd_ratio=2.0))
    for low in (0.0, 0.25, 0.5, 0.75):
        inside = (probability >= low) & (probability < low + 0.25)
        assert float(exists[inside].mean()) == pytest.approx(
            float(probability[inside].mean()), abs=0.05
        )
