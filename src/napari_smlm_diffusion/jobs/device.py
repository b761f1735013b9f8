"""Where the networks run."""

import torch

from napari_smlm_diffusion.errors import InputError


def choose_device(name: str) -> str:
    """Return the torch device of an option; auto takes a GPU where there is one.

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
        return have[0]
    if name not in have:
        raise InputError(
            f"--device {name}: this computer, or this build of torch, has none; "
            f"there is {', '.join(have)}"
        )
    return name
