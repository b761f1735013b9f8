import pytest
import torch

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.inference.model import build_phi, load_model
from napari_smlm_diffusion.networks.card import NetworkSettings, PsiSettings
from napari_smlm_diffusion.training import job, rows, scale
from napari_smlm_diffusion.training.batches import draw
from napari_smlm_diffusion.training.checkpoints import CHECKPOINT
from napari_smlm_diffusion.training.ema import Ema
from napari_smlm_diffusion.training.loop import train
from napari_smlm_diffusion.training.prior import PAPERS
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stages import PhiStage

SMALL = NetworkSettings(channels=8, dilations=(1, 2), up_channels=(8, 4), refinements=0)
SMALL_PSI = PsiSettings(width=4, multipliers=(1, 1, 1), encoder_width=8)


def settings(**values):
    standard = {
        "name": "small",
        "start_from": None,
        "prior": PAPERS,
        "network": SMALL,
        "psi": SMALL_PSI,
        "frame_size": 20,
        "batch": 4,
        "steps": 8,
        "warmup_steps": 2,
        "validate_every": 4,
        "learning_rate": 2e-3,
    }
    return TrainingSettings(**{**standard, **values})


def new_stage(s):
    torch.manual_seed(s.seed)
    return PhiStage(build_phi(s.network), s.network.kernel_sigma)


def finish(generator):
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def test_a_resumed_training_ends_with_the_weights_of_an_undisturbed_one(tmp_path):
    s = settings()
    whole = new_stage(s)
    finish(train(whole, s, tmp_path))

    cut = tmp_path / "cut"
    cut.mkdir()
    first = train(new_stage(s), s, cut)
    for _ in range(5):
        next(first)
    first.close()  # as on cancel: the checkpoint is written on the way out
    again = new_stage(s)
    result = finish(train(again, s, cut, resume=True))

    assert result["steps"] == s.steps
    for key, value in whole.network.state_dict().items():
        torch.testing.assert_close(again.network.state_dict()[key], value, atol=1e-7, rtol=1e-6)
    assert [p.name for p in cut.iterdir()] == [CHECKPOINT]


def test_phi_learns_eight_pairs_by_heart():
    s = settings(learning_rate=5e-3)
    stage = new_stage(s)
    pairs = draw(s, 8, 20, torch.Generator().manual_seed(3))
    optimizer = torch.optim.AdamW(stage.network.parameters(), lr=5e-3)
    torch.nn.init.zeros_(stage.network.decoder.last.weight)
    torch.nn.init.zeros_(stage.network.decoder.last.bias)
    # A phi that answers 0 errs by the whole truth.
    start = float(stage.loss(pairs, [torch.Generator()]).detach())
    assert start == pytest.approx(1000.0 * float(pairs.density.square().mean()), rel=1e-5)
    for _ in range(120):
        optimizer.zero_grad()
        stage.loss(pairs, [torch.Generator()]).backward()
        optimizer.step()
    assert float(stage.loss(pairs, [torch.Generator()]).detach()) < 0.6 * start


def test_the_average_follows_the_weights_and_refuses_another_network():
    network = torch.nn.Linear(2, 2)
    ema = Ema(network, halflife=10.0)
    with torch.no_grad():
        network.weight.fill_(3.0)
    for _ in range(200):
        ema.update(network, batch=5)
    torch.testing.assert_close(ema.state["weight"], torch.full((2, 2), 3.0))
    with pytest.raises(ValueError, match="another network"):
        ema.load_state_dict({"samples": 0, "weight.other": torch.zeros(1)})


def test_the_stages_build_one_model_file(tmp_path, monkeypatch):
    monkeypatch.setattr(job, "ROW_FRAMES", 64)
    monkeypatch.setattr(job, "_FRAMES_TO_MEASURE", 8)
    monkeypatch.setattr(scale, "_FRAMES", 32)
    monkeypatch.setattr(rows, "_STEPS", 20)
    s = settings(steps=100, learning_rate=1e-2, validate_every=1000)
    path = finish(job.train_model(s, tmp_path))
    model = load_model(path)
    assert model.variance is not None
    assert model.rows is not None
    assert model.psi is not None
    assert list(model.card.stages) == ["phi", "variance", "rows", "psi"]
    assert model.card.prior == PAPERS.model_dump(mode="json")
    assert TrainingSettings(**model.card.stages["phi"]["settings"]) == s

    # Another phi: the head and the rows of the old one must not survive it.
    finish(job.train_model(settings(steps=2), tmp_path, ["phi"]))
    assert list(load_model(path).card.stages) == ["phi"]


def test_a_stage_without_what_it_builds_on_is_refused(tmp_path):
    with pytest.raises(InputError, match="stage phi"):
        finish(job.train_model(settings(), tmp_path / "out", ["variance"]))
    assert not (tmp_path / "out").exists()


def test_resuming_from_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match=CHECKPOINT):
        finish(train(new_stage(settings()), settings(), tmp_path, resume=True))


def test_a_phi_that_finds_nothing_cannot_be_calibrated(tmp_path, monkeypatch):
    monkeypatch.setattr(job, "ROW_FRAMES", 8)
    with pytest.raises(InputError, match="train the stage phi longer"):
        finish(job.train_model(settings(steps=2), tmp_path))
