"""The models that are at hand by name: shipped with the package, and the user's own."""

import os
import re
import shutil
from pathlib import Path

import platformdirs

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models.card import load_card
from napari_smlm_diffusion.writing import atomic, disk_errors

SHIPPED = Path(__file__).parent.parent / "weights"
FOLDER_VARIABLE = "SMLM_DIFFUSION_MODELS"
_SUFFIX = ".safetensors"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def own_folder() -> Path:
    """Return where the user's models are kept; it need not exist.

    The platform's data folder, or the environment's ``SMLM_DIFFUSION_MODELS``: on a cluster the
    home folder may be small.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    return platformdirs.user_data_path("napari-smlm-diffusion", appauthor=False) / "models"


def shipped_names() -> list[str]:
    """Return the names of the models in the package."""
    return sorted(path.stem for path in SHIPPED.glob(f"*{_SUFFIX}"))


def own_names() -> list[str]:
    """Return the names of the user's models."""
    return sorted(path.stem for path in own_folder().glob(f"*{_SUFFIX}"))


def resolve(name_or_file: str, field: str = "model") -> Path:
    """Return the model file of a name or of a path. A shipped name means the shipped model.

    Parameters
    ----------
    name_or_file : str
    field : str
        The setting that it comes from.

    Raises
    ------
    InputError
        If it is neither.
    """
    if name_or_file in shipped_names():
        return SHIPPED / f"{name_or_file}{_SUFFIX}"
    if name_or_file in own_names():
        return own_folder() / f"{name_or_file}{_SUFFIX}"
    path = Path(name_or_file)
    if path.suffix or path.exists():
        return path
    own = f"; your own are {', '.join(own_names())}" if own_names() else ""
    raise InputError(
        f"no model is called {name_or_file!r} and no such file exists; shipped are "
        f"{', '.join(shipped_names()) or 'none'}{own}",
        field=field,
    )


def add(file: Path, name: str | None = None, *, replace: bool = False) -> Path:
    """Copy a model file into the user's models.

    Parameters
    ----------
    file : path
    name : str, optional
        Under which it is found; the one on its card if not given.
    replace : bool
        Whether a model of this name may go.

    Returns
    -------
    Path
        The copy.

    Raises
    ------
    InputError
        If the file is no model, or the name is taken or no file name.
    OutputError
        If it cannot be written.
    """
    name = load_card(file).name if name is None else name
    if not _NAME.fullmatch(name):
        raise InputError(
            f"the model name {name!r} cannot be a file name: letters, digits, '.', '_' and '-' can"
        )
    if name in shipped_names():
        raise InputError(f"a model {name!r} is shipped with the package: choose another name")
    path = own_folder() / f"{name}{_SUFFIX}"
    if path.exists() and not replace:
        raise InputError(
            f"there is a model {name!r} already, in {path.parent}: choose another name, or replace "
            "it",
            field="overwrite",
        )
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    copy(file, path)
    return path


def copy(file: Path, to: Path) -> None:
    """Copy a model file, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with atomic(to) as partial:
        shutil.copyfile(file, partial)
