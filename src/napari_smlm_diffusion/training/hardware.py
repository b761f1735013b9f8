"""On what a training runs: the device, and the precision that is fast there."""

import torch

from napari_smlm_diffusion.compute.device import choose_device
from napari_smlm_diffusion.training.settings import TrainingSettings


def training_device(settings: TrainingSettings) -> torch.device:
    """Return the device of the settings; auto is CUDA where there is one, else the CPU.

    Raises
    ------
    InputError
        If the device is not there.
    """
    wanted = choose_device(settings.device, ("cuda", "cpu"))
    return torch.device(wanted)


def simulates_on(device: torch.device) -> torch.device:
    """Return where frames for a training on `device` are made; Apple's cannot draw Poisson."""
    return torch.device("cpu") if device.type == "mps" else device


def fast_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 is a gain: on GPUs since Ampere, on CPUs with instructions for it.

    A CPU with AVX-512 alone computes bfloat16 by way of float32, which is slower than float32.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        # Private, but torch has no public way to ask; without them the answer is no.
        asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, name, bool)() for name in asked)
    return False


def autocast(settings: TrainingSettings, device: torch.device) -> torch.autocast:
    """Return the context in which losses are computed: mixed precision, or nothing changed."""
    half = settings.precision == "bfloat16"
    if settings.precision == "auto":
        half = fast_bfloat16(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=half)
