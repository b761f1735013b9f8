"""Checkpoints of a training: whole or not there, and read without running anything in them."""

import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.training.settings import StageName, TrainingSettings
from napari_smlm_diffusion.writing import atomic

CHECKPOINT = "checkpoint.pt"


def write(folder: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint of a folder; whatever happens, the old or the new one is there whole.

    Raises
    ------
    OutputError
        If it cannot be written, for example because the disk is full; the old one stays.
    """
    # Through memory, because torch's own writer says of a full disk only that a write failed.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with atomic(folder / CHECKPOINT) as partial, partial.open("wb") as file:
        file.write(buffer.getbuffer())
        # On the disk before it takes the name: also a power cut leaves one of the two.
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> dict[str, Any]:
    """Return what `write` was given.

    Raises
    ------
    InputError
        If there is none, or it is damaged.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise InputError(f"there is no {CHECKPOINT} in {folder}", field="resume")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path} is damaged ({str(error).splitlines()[0]}); train again from the beginning",
            field="resume",
        ) from None
    return state


def saved_settings(folder: Path) -> tuple[TrainingSettings, StageName]:
    """Return the settings and the stage of an interrupted training.

    Raises
    ------
    InputError
        As `read`, or if the settings are of another version of this package.
    """
    state = read(folder)
    try:
        return TrainingSettings(**json.loads(state["settings"])), state["stage"]
    except (KeyError, TypeError, ValueError, InputError) as error:
        first = (str(error).splitlines() or ["empty"])[0]
        raise InputError(
            f"{folder / CHECKPOINT} has settings that this version does not take ({first}); train "
            "again from the beginning",
            field="resume",
        ) from None
