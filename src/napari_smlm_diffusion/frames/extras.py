"""Readers that are installed when they are asked for."""

from importlib import import_module
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.errors import InputError


def extra(module: str, name: str, path: Path) -> Any:
    """Return a module that an extra of this package brings.

    Raises
    ------
    InputError
        If it is not installed: how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            f"{path} needs a reader that is not installed ({error}); "
            f"pip install 'napari-smlm-diffusion[{name}]'"
        ) from error
