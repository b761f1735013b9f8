"""The settings of a training as a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.settings import Settings, read_json
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.writing import atomic


def save_settings(values: Mapping[str, Any], path: Path) -> TrainingSettings:
    """Write settings of a training as the JSON that ``smlm-diffusion train --config`` reads.

    Raises `InputError` if a value is not allowed; `OutputError` if the file cannot be written.
    """
    settings = TrainingSettings(**values)
    write_settings(settings, path)
    return settings


def write_settings(settings: Settings, path: Path) -> None:
    """Write settings; what is not set stays so.

    An architecture that is given must be that of `start_from`.
    """
    with atomic(path) as partial:
        text = settings.model_dump_json(indent=2, exclude_unset=True)
        partial.write_text(text + "\n", encoding="utf-8")


def load_settings(path: Path) -> TrainingSettings:
    """Read what `save_settings` wrote.

    Raises `InputError` if it is not such a file; names it.
    """
    values = read_json(path, "the settings of a training")
    try:
        return TrainingSettings(**values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
