"""Packages that are installed when they are asked for."""

from importlib import import_module
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.errors import InputError


def extra(module: str, name: str, what: str | Path) -> Any:
    """Return a module that `what` needs and that an extra of this package brings.

    Raises
    ------
    InputError
        If it is not installed: how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            f"{what} needs a package that is not installed ({error}); "
            f"pip install 'napari-smlm-diffusion[{name}]'"
        ) from error
