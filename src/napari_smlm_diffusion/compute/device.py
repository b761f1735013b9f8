"""Where networks run and train."""

from collections.abc import Sequence

import torch

from napari_smlm_diffusion.errors import InputError


def choose_device(
    name: str, auto: Sequence[str] = ("cuda", "mps", "cpu"), option: str = "--device"
) -> str:
    """Return the torch device of an option.

    Parameters
    ----------
    name : str
        ``cpu``, ``cuda``, ``mps`` or ``auto``.
    auto : sequence of str
        What auto takes: the first of these that is there.
    option : str
        What the user has set, for the error.

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
            f"{option} {name}: this computer, or this build of torch, has none; "
            f"there is {', '.join(have)}"
        )
    return name
