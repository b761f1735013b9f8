"""Settings from a JSON file."""

import json
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.errors import InputError


def read_config(path: Path) -> dict[str, Any]:
    """Return the JSON object in the file that ``--config`` names.

    Raises
    ------
    InputError
        If the file is missing or holds anything else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--config {path} cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise InputError(f"--config {path} is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"--config {path} must hold one JSON object with the settings")
    return values
