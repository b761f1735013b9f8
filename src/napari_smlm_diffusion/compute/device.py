"""Where networks run and train."""

from collections.abc import Sequence

import torch

from napari_smlm_diffusion.errors import InputError


def choose_device(name: str, auto: Sequence[str] = ("cuda", "mps", "cpu")) -> str:
    """Return the torch device of a setting.

    Parameters
    ----------
    name : str
        ``cpu``, ``cuda``, ``mps`` or ``auto``.
    auto : sequence of str
        What auto takes: the first of these that is there.

    Raises
    ------
    InputError
        If the device is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    have = [device for device, ok in there.items() if ok]
    if name == "auto":
        return next(device for device in auto if device in have)
    if name not in have:
        raise InputError(
            f"this computer, or this build of torch, has no {name}; there is {', '.join(have)}",
            field="device",
        )
    return name
