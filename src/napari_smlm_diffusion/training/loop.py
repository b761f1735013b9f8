"""The training loop: a generator of Progress that simulates, steps, validates and checkpoints."""

import math
import os
import pickle
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.networks.card import NetworkSettings, PsiSettings
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.settings import Settings
from napari_smlm_diffusion.training.ahead import simulate_ahead
from napari_smlm_diffusion.training.ema import Ema
from napari_smlm_diffusion.training.pairs import Pairs, draw_pairs
from napari_smlm_diffusion.training.prior import Prior
from napari_smlm_diffusion.training.stages import Stage

CHECKPOINT = "checkpoint.pt"


class TrainingSettings(Settings):
    """What one stage of training needs; saved in the checkpoint and in the model card."""

    name: str = Field("mine", description="name of the model")
    description: str = ""
    prior: Prior = Prior()
    network: NetworkSettings = NetworkSettings()
    psi: PsiSettings = PsiSettings()
    start_from: str | None = Field(None, description="model name or file whose weights come first")
    frame_size: int = Field(48, ge=16, description="side of a training frame, camera pixels")
    batch: int = Field(8, ge=1, description="frames a step")
    steps: int = Field(20_000, ge=1, description="steps at most")
    minutes: float = Field(1e9, gt=0, description="minutes at most")
    learning_rate: float = Field(1.5e-3, gt=0, description="after warm-up, before the cosine")
    warmup_steps: int = Field(200, ge=1)
    ema_halflife: float = Field(10_000, gt=0, description="samples")
    seed: int = 1
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where it trains")
    workers: int = Field(
        0, ge=0, description="processes that simulate ahead; the frames do not depend on it"
    )
    validate_every: int = Field(500, ge=1, description="steps")
    checkpoint_seconds: float = Field(120.0, gt=0)


def _write(path: Path, state: dict[str, Any]) -> None:
    """Write under a temporary name and replace: a checkpoint is never half-written."""
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    os.replace(temporary, path)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / CHECKPOINT
    if not path.is_file():
        raise InputError(f"--resume {folder}: there is no {CHECKPOINT} in it")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise InputError(
            f"--resume {folder}: {CHECKPOINT} is damaged ({str(error).splitlines()[0]}); "
            "train again from --config"
        ) from None
    return state


def saved_settings(folder: Path) -> tuple[TrainingSettings, str]:
    """Return the settings and the stage of an interrupted training."""
    state = _read(folder)
    return TrainingSettings.model_validate_json(state["settings"]), state["stage"]


def _learning_rate(settings: TrainingSettings, step: int, fraction: float) -> float:
    warm = min(1.0, (step + 1) / settings.warmup_steps)
    return settings.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, fraction)))


def draw(settings: TrainingSettings, count: int, size: int, generator: torch.Generator) -> Pairs:
    """Draw pairs of the settings' prior on the network's density scale."""
    net = settings.network
    return draw_pairs(settings.prior, count, size, net.upsampling, net.kernel_sigma, generator)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _batch(settings: TrainingSettings, step: int) -> Pairs:
    """Simulate the frames of a step: the same in any process, and when training is resumed."""
    generator = torch.Generator().manual_seed(_seed(settings.seed, step, 0))
    return draw(settings, settings.batch, settings.frame_size, generator)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _half_precision(device: torch.device) -> torch.autocast:
    """Bfloat16 where it is fast: on a CUDA device."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def train(
    stage: Stage, settings: TrainingSettings, folder: Path, resume: bool = False
) -> Generator[Progress, None, dict[str, Any]]:
    """Train one stage.

    Parameters
    ----------
    stage : Stage
        The network that learns and its loss.
    settings : TrainingSettings
        How.
    folder : Path
        Gets `CHECKPOINT` every `checkpoint_seconds` and at the end or on cancel.
    resume : bool
        Continue from that checkpoint: same data order, optimiser, average and schedule.

    Yields
    ------
    Progress
        Once per step; `info` holds the loss and, when new, the validation loss.

    Returns
    -------
    dict
        Steps, samples, minutes and validation losses, for the model card. The stage's network
        holds the averaged weights.
    """
    device = _device(settings.device)
    stage.move(device)
    network = stage.network
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=1e-4
    )
    ema = Ema(network, settings.ema_halflife)
    step, used = 0, 0.0
    history: list[list[float]] = []
    if resume:
        state = _read(folder)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        ema.load_state_dict(state["ema"])
        step, used, history = state["step"], state["minutes"], state["history"]
    # The validation set never changes with the seed, so that any two trainings compare.
    fixed = draw(settings, 64, settings.frame_size, torch.Generator().manual_seed(20_240_607))
    batches = simulate_ahead(
        partial(_batch, settings), step, settings.workers, pin=device.type == "cuda"
    )

    began = time.monotonic() - 60 * used
    saved_at = time.monotonic()

    def checkpoint() -> None:
        _write(
            folder / CHECKPOINT,
            {
                "settings": settings.model_dump_json(),
                "stage": stage.name,
                "step": step,
                "minutes": used,
                "history": history,
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "ema": ema.state_dict(),
            },
        )

    try:
        while (fraction := max(step / settings.steps, used / settings.minutes)) < 1.0:
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(settings, step, fraction)
            noise = torch.Generator(device).manual_seed(_seed(settings.seed, step, 1))
            with _half_precision(device):
                loss = stage.loss(next(batches).to(device), noise)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), stage.clip)
            optimizer.step()
            ema.update(network, settings.batch)
            step += 1
            used = (time.monotonic() - began) / 60
            info: dict[str, float] = {"loss": float(loss.detach())}
            if step % settings.validate_every == 0:
                info["validation"] = validate(stage, ema, fixed, settings.batch, device)
                history.append([step, info["validation"]])
            if time.monotonic() - saved_at > settings.checkpoint_seconds:
                checkpoint()
                saved_at = time.monotonic()
            yield Progress(
                done=step, total=settings.steps, message=f"training {stage.name}", info=info
            )
    finally:
        checkpoint()
    final = validate(stage, ema, fixed, settings.batch, device)
    network.load_state_dict(ema.state)
    stage.move(torch.device("cpu"))
    return {
        "steps": step,
        "samples": ema.samples,
        "minutes": round(used, 1),
        "validation": final,
        "history": history,
    }


@torch.no_grad()
def validate(stage: Stage, ema: Ema, fixed: Pairs, batch: int, device: torch.device) -> float:
    """Return the mean loss of the averaged weights on the fixed frames."""
    current = {k: v.clone() for k, v in stage.network.state_dict().items()}
    stage.network.load_state_dict(ema.state)
    chunks = [
        Pairs(**{f: getattr(fixed, f)[i : i + batch] for f in Pairs.__dataclass_fields__})
        for i in range(0, len(fixed.effective), batch)
    ]
    noise = torch.Generator(device).manual_seed(0)  # the same noise every time
    mean = sum(float(stage.loss(c.to(device), noise)) for c in chunks) / len(chunks)
    stage.network.load_state_dict(current)
    return mean
