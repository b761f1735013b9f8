"""Several processes: the frames of one, its loss and its weights."""

import json
import os
import pickle
import socket
import subprocess
import sys
from functools import partial

import pytest
import torch

from napari_smlm_diffusion.diffusion.psi import Psi
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.simulation.padded import join
from napari_smlm_diffusion.simulation.prior import GENERAL
from napari_smlm_diffusion.training.batches import (
    check_processes,
    step_frames,
    step_noise,
    step_scenes,
)
from napari_smlm_diffusion.training.distributed import Processes
from napari_smlm_diffusion.training.job import train_model
from napari_smlm_diffusion.training.stages.psi import PsiStage


def frames_of(settings, processes, step):
    return step_frames(settings, processes, step, step_scenes(settings, processes, step))


def test_the_shares_of_a_batch_are_the_batch(small):
    settings = small(prior=GENERAL, batch=12, frame_size=24)
    whole = frames_of(settings, Processes(), 3)
    shares = [frames_of(settings, Processes(rank, 2), 3) for rank in range(2)]
    joined = join(shares)
    assert len(shares[0].effective) == 6
    for name in ("effective", "density", "photons", "position"):
        assert torch.equal(getattr(joined, name), getattr(whole, name)), name
    assert not torch.equal(frames_of(settings, Processes(), 4).effective, whole.effective)
    # What a process that draws ahead is sent.
    sent = pickle.loads(pickle.dumps(partial(step_scenes, settings, Processes(1, 2))))  # noqa: S301
    assert torch.equal(sent(3).photons, shares[1].photons)


def test_the_loss_of_psi_is_the_mean_of_its_shares(small, tiny_psi_model):
    settings = small(batch=4)
    model = load_model(tiny_psi_model)
    unet = model.card.psi.build({"phi": model.card.phi})
    stage = PsiStage(Psi(model.phi, model.variance, unet, model.card.psi))

    def loss(processes):
        noise = step_noise(settings, processes, 1, torch.device("cpu"))
        return float(stage.loss(frames_of(settings, processes, 1), noise).detach())

    shares = [loss(Processes(rank, 4)) for rank in range(4)]
    assert loss(Processes()) == pytest.approx(sum(shares) / 4, rel=1e-5)


def test_processes_that_cannot_share_a_batch_are_refused(small):
    with pytest.raises(InputError, match=r"3 processes cannot share a batch of 4.*1, 2, 4"):
        check_processes(small(batch=4), Processes(0, 3))
    check_processes(small(batch=64), Processes(7, 8))


# What torchrun does, without two more interpreters that load torch first.
FORK = """
import os, sys
from napari_smlm_diffusion.cli import main
import napari_smlm_diffusion.training.job
for rank in "01":
    if os.fork() == 0:
        os.environ.update(RANK=rank, LOCAL_RANK=rank)
        code = main(sys.argv[sys.argv.index("train") :])
        sys.stdout.flush()
        os._exit(code)
sys.exit(max(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(2)))
"""
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param(["-c", FORK], id="forked"),
        pytest.param(TORCHRUN, marks=pytest.mark.slow, id="torchrun"),
    ],
)
def test_two_processes_train_as_one(launcher, tmp_path, small, finish):
    settings = small(validate_every=1000, steps=4, frame_size=16)
    (tmp_path / "small.json").write_text(settings.model_dump_json())
    command = ["-m", "napari_smlm_diffusion", "train", "--config", str(tmp_path / "small.json")]
    options = ["--out", str(tmp_path / "two"), "--stage", "phi"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    done = subprocess.run(
        [sys.executable, *launcher, *command, *options],
        env={**os.environ, **meeting, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    two = tmp_path / "two" / "small.safetensors"
    assert done.stdout.split() == [str(two)]  # one process speaks
    assert done.stderr.count("model small, from nothing") == 1

    one = finish(train_model(settings, tmp_path / "one", ["phi"]))
    (together, card), (alone, own) = checkpoint.load(two), checkpoint.load(one)
    # Sums in another order: a rounding a step.
    for name, weight in alone.items():
        torch.testing.assert_close(together[name], weight, atol=2e-5, rtol=1e-4)
    assert card.stages["phi"]["samples"] == own.stages["phi"]["samples"] == 16
    assert json.loads(card.model_dump_json())["stages"]["phi"]["steps"] == 4
