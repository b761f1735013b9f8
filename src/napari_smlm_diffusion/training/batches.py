"""What a step learns from: its frames and noise, from seeds of their own for each step and part.

The frames of a step are drawn in parts, each from its own seed. So they are the same in any
process, on any number of processes, after a resume, and whether drawn ahead or not. What is in
them is drawn on the CPU; they are rendered, with their shot noise, on the device that trains.
"""

import math

import numpy as np
import torch

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.simulation.exposure import effective
from napari_smlm_diffusion.simulation.padded import join
from napari_smlm_diffusion.simulation.scenes import Scenes, draw_scenes
from napari_smlm_diffusion.training.distributed import Processes
from napari_smlm_diffusion.training.pairs import Pairs, draw_pairs, with_density
from napari_smlm_diffusion.training.settings import TrainingSettings

# Parts of a batch at most: as many processes can share it. More would cost a small batch time.
_MOST_PARTS = 8


def draw(settings: TrainingSettings, count: int, size: int, generator: torch.Generator) -> Pairs:
    """Draw pairs of the settings' prior on the network's density scale."""
    return draw_pairs(settings.prior, count, size, settings.network.scale, generator)


def check_processes(settings: TrainingSettings, processes: Processes) -> None:
    """Refuse a number of processes that cannot share a batch evenly.

    Raises
    ------
    InputError
        With the numbers that can.
    """
    parts = _parts(settings)
    if parts % processes.size:
        can = ", ".join(str(n) for n in range(1, parts + 1) if parts % n == 0)
        raise InputError(
            f"{processes.size} processes cannot share a batch of "
            f"{settings.batch} frames: with this batch there can be {can}; take a multiple "
            f"of {processes.size} (at most {_MOST_PARTS} processes) or start fewer",
            field="batch",
        )


def step_scenes(settings: TrainingSettings, processes: Processes, step: int) -> Scenes:
    """Draw what is in this process's share of the frames of a step."""
    each = settings.batch // _parts(settings)
    return join(
        [
            draw_scenes(settings.prior, each, settings.frame_size, np.random.default_rng(seed))
            for seed in _seeds(settings, processes, step, 0)
        ]
    )


def step_frames(
    settings: TrainingSettings, processes: Processes, step: int, scenes: Scenes
) -> Pairs:
    """Record the frames of `step_scenes`, on the device on which they are."""
    device = scenes.photons.device
    each = settings.batch // _parts(settings)
    parts = []
    for i, seed in enumerate(_seeds(settings, processes, step, 2)):
        source = torch.Generator(device).manual_seed(seed)
        share = scenes.select(slice(i * each, (i + 1) * each))
        frames = effective(share, settings.frame_size, source)
        parts.append(with_density(frames, settings.network.scale))
    return join(parts)


def step_noise(
    settings: TrainingSettings, processes: Processes, step: int, device: torch.device
) -> list[torch.Generator]:
    """Return the sources of the noise that a loss needs, one for each part of the frames."""
    return [
        torch.Generator(device).manual_seed(seed) for seed in _seeds(settings, processes, step, 1)
    ]


def _parts(settings: TrainingSettings) -> int:
    return math.gcd(settings.batch, _MOST_PARTS)


def _seeds(settings: TrainingSettings, processes: Processes, step: int, what: int) -> list[int]:
    share = _parts(settings) // processes.size
    mine = range(processes.rank * share, (processes.rank + 1) * share)
    return [_seed(settings.seed, step, what, part) for part in mine]


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
