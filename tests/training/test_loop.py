"""The training loop: resumed, cancelled, killed, diverged, out of disk, out of patience."""

import errno
import subprocess
import sys

import pytest
import torch

from napari_smlm_diffusion.errors import InputError, OutputError, SmlmError
from napari_smlm_diffusion.training import checkpoints, hardware
from napari_smlm_diffusion.training.batches import draw
from napari_smlm_diffusion.training.checkpoints import CHECKPOINT
from napari_smlm_diffusion.training.ema import Ema
from napari_smlm_diffusion.training.learner import Learner
from napari_smlm_diffusion.training.loop import train
from napari_smlm_diffusion.training.stages.phi import PhiStage
from napari_smlm_diffusion.training.validation import Validation


def same(first, second):
    """Whether two networks have the same bytes."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_resumed_training_ends_with_the_weights_of_an_undisturbed_one(
    tmp_path, small, phi_stage, finish
):
    settings = small()
    whole = phi_stage(settings)
    undisturbed = finish(train(whole, settings, tmp_path))

    cut = tmp_path / "cut"
    cut.mkdir()
    first = train(phi_stage(settings), settings, cut)
    for _ in range(5):
        next(first)
    first.close()  # as on cancel: the checkpoint is written on the way out
    again = phi_stage(settings)
    result = finish(train(again, settings, cut, resume=True))

    assert same(again.network, whole.network)
    assert result["steps"] == settings.steps
    losses = [[entry["loss"] for entry in run["history"]] for run in (result, undisturbed)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 2
    assert [p.name for p in cut.iterdir()] == [CHECKPOINT]


_TO_BE_KILLED = """
import sys, torch
from pathlib import Path
from napari_smlm_diffusion.training.loop import train
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stages.phi import PhiStage
settings = TrainingSettings.model_validate_json(Path(sys.argv[1], "settings.json").read_text())
torch.set_num_threads(1)
torch.manual_seed(settings.seed)
stage = PhiStage(settings.network.build(), settings.network.kernel_sigma)
for progress in train(stage, settings, Path(sys.argv[1])):
    print(progress.done, flush=True)
"""


def test_killed_it_loses_nothing_before_the_last_checkpoint(tmp_path, small, phi_stage, finish):
    # A checkpoint after every step: the kill falls into the writing of one, more often than not.
    settings = small(steps=400, validate_every=1000, checkpoint_seconds=1e-9)
    (tmp_path / "settings.json").write_text(settings.model_dump_json())
    command = [sys.executable, "-c", _TO_BE_KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        while int(running.stdout.readline()) < 6:
            pass
        running.kill()
        said = running.stdout.read().split()
    reported = int(said[-1]) if said else 6
    saved = checkpoints.read(tmp_path)
    assert reported <= saved["step"] < 400
    resumed_settings, stage_name = checkpoints.saved_settings(tmp_path)
    assert (resumed_settings, stage_name) == (settings, "phi")

    # What was saved is what an undisturbed training had there.
    other = tmp_path / "other"
    other.mkdir()
    undisturbed = phi_stage(settings)
    job = train(undisturbed, settings.model_copy(update={"checkpoint_seconds": 1e9}), other)
    for _ in range(saved["step"]):
        next(job)
    weights = undisturbed.network.state_dict()
    assert all(torch.equal(weights[k], v) for k, v in saved["network"].items())
    job.close()


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(
    tmp_path, small, phi_stage, monkeypatch
):
    settings = small(checkpoint_seconds=1e-9)
    loss = PhiStage.loss
    monkeypatch.setattr(
        PhiStage, "loss", lambda *a: loss(*a) * (float("nan") if len(steps) == 3 else 1.0)
    )
    steps, stage = [], phi_stage(settings)
    with pytest.raises(SmlmError, match=r"in step 4: the loss is nan.* rate of 0\.00.*step 3") as e:
        for progress in train(stage, settings, tmp_path):
            steps.append(progress.done)
            before = (tmp_path / CHECKPOINT).read_bytes()
    assert "lower rate, 0.0007" in str(e.value)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert all(torch.isfinite(v).all() for v in stage.network.state_dict().values())


def test_a_gradient_that_is_not_finite_stops_too(tmp_path, small, phi_stage):
    settings = small()
    stage = phi_stage(settings)
    stage.network.entry.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(SmlmError, match=r"in step 1: the loss is \d.* its gradient (nan|inf).*no"):
        next(train(stage, settings, tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_and_the_checkpoint_before_stays(
    tmp_path, small, phi_stage, monkeypatch
):
    settings = small(checkpoint_seconds=1e-9)
    job = train(phi_stage(settings), settings, tmp_path)
    next(job)
    before = (tmp_path / CHECKPOINT).read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", full)
    with pytest.raises(OutputError, match=r"the disk is full .*checkpoint\.pt"):
        next(job)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [CHECKPOINT]


def test_resuming_from_nothing_or_from_half_a_file_is_refused(tmp_path, small, phi_stage):
    settings = small()
    with pytest.raises(InputError, match=CHECKPOINT):
        next(train(phi_stage(settings), settings, tmp_path, resume=True))
    (tmp_path / CHECKPOINT).write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match="is damaged"):
        checkpoints.saved_settings(tmp_path)


def test_without_progress_it_ends_early_with_the_best_weights(
    tmp_path, small, phi_stage, finish, monkeypatch
):
    losses = iter([5.0, 3.0, 4.0, 3.5, 9.0])
    seen = []

    def validation(self, ema, spent=None):
        seen.append({k: v.clone() for k, v in ema.state.items()})
        return {"loss": next(losses)}

    monkeypatch.setattr(Validation, "__call__", validation)
    settings = small(steps=100, validate_every=2, patience=2)
    stage = phi_stage(settings)
    result = finish(train(stage, settings, tmp_path))
    assert result["steps"] == 8
    assert [entry["loss"] for entry in result["history"]] == [5.0, 3.0, 4.0, 3.5]
    best = stage.network.state_dict()
    assert all(torch.equal(best[k], v) for k, v in seen[1].items())
    assert not all(torch.equal(best[k], v) for k, v in seen[-1].items())


def test_progress_says_what_a_widget_draws(tmp_path, small, phi_stage):
    settings = small(steps=1000, minutes=0.02)
    reports = list(train(phi_stage(settings), settings, tmp_path))
    assert reports[-1].done == reports[-1].total < 1000  # the minutes were the limit
    assert all(0 <= p.info["minutes_left"] <= 0.02 for p in reports)
    judged = [p for p in reports if "metrics" in p.info]
    assert [p.done for p in judged] == [p.done for p in reports if p.done % 4 == 0]
    info = judged[0].info
    assert info["metrics"]["loss"] == info["validation"]
    assert 0 <= info["metrics"]["jaccard"] <= 1
    images = {name: image.shape for name, image in info["example"].items()}
    assert images == {"frame": (20, 20), "truth": (80, 80), "density": (80, 80)}


def test_bfloat16_trains_and_auto_takes_it_only_where_it_is_fast(
    tmp_path, small, phi_stage, monkeypatch
):
    cpu = torch.device("cpu")
    for fast in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda fast=fast: fast)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        with hardware.autocast(small(), cpu):
            assert torch.is_autocast_enabled("cpu") is fast
    with hardware.autocast(small(precision="float32"), cpu):
        assert not torch.is_autocast_enabled("cpu")
    losses = []
    for precision in ("float32", "bfloat16"):
        settings = small(precision=precision)
        job = train(phi_stage(settings), settings, tmp_path)
        losses.append([next(job).info["loss"] for _ in range(3)])
        job.close()
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


@pytest.mark.parametrize(("steps", "warm"), [(400, 20), (100_000, 200)])
def test_the_warm_up_of_a_short_training_is_short(small, phi_stage, steps, warm):
    settings = small(steps=steps, warmup_steps=200)
    learner, rates = Learner(phi_stage(settings), settings), []
    for learner.step in range(300):
        rates.append(learner.rate)
    highest = max(range(300), key=rates.__getitem__)
    assert highest == pytest.approx(warm, abs=1)
    assert rates[highest] == pytest.approx(settings.rate, rel=0.01)
    assert rates[0] < 0.1 * settings.rate


def test_a_device_that_is_not_there_is_named(tmp_path, small, phi_stage, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settings = small(device="cuda")
    with pytest.raises(InputError, match=r"device: this computer.*no cuda; there is cpu"):
        next(train(phi_stage(settings), settings, tmp_path))


def test_phi_learns_eight_pairs_by_heart(small, phi_stage):
    settings = small()
    stage = phi_stage(settings)
    pairs = draw(settings, 8, 20, torch.Generator().manual_seed(3))
    optimizer = torch.optim.AdamW(stage.network.parameters(), lr=1e-2)
    torch.nn.init.zeros_(stage.network.decoder.last.weight)
    torch.nn.init.zeros_(stage.network.decoder.last.bias)
    # A phi that answers 0 errs by the whole truth.
    start = float(stage.loss(pairs, []).detach())
    assert start == pytest.approx(1000.0 * float(pairs.density.square().mean()), rel=1e-5)
    for _ in range(60):
        optimizer.zero_grad()
        stage.loss(pairs, []).backward()
        optimizer.step()
    assert float(stage.loss(pairs, []).detach()) < 0.6 * start


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
