"""The folder a run writes to: checked before the work, made when it begins, each file whole.

`check` creates nothing, so that a run whose input turns out to be bad leaves no folder behind;
`create` is called when everything else is known to be good.
"""

import json
import math
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.writing import atomic

CHECK = "check.png"
# An older result beside newer ones would pass for one of theirs.
RESULTS = (
    "store",
    "localizations.csv",
    "localizations.partial.csv",
    "density.tif",
    "variance.tif",
    "density_samples.tif",
    "variance_samples.tif",
    "samples.tif",
    "samples.partial.tif",
    "residual.tif",
    "draws.parquet",
    "run.json",
    "movie.tif",
    "truth.csv",
    "settings.json",
    "summary.png",
    CHECK,
)


def check(path: str | Path, overwrite: bool = False) -> Path:
    """Return `path` if a run can write there; create nothing.

    Raises
    ------
    InputError
        If it is a file, is a folder with something in it (unless `overwrite`), or cannot be
        written.
    """
    path = Path(path)
    try:
        if path.is_dir():
            if not overwrite and any(path.iterdir()):
                raise InputError(
                    f"the output folder {path} is not empty; name another one, or replace the "
                    f"results in it (`smlm-diffusion localize --resume {path}` goes on with a run "
                    "that was begun there)",
                    field=("out", "overwrite"),
                )
        elif path.exists():
            raise InputError(f"the output {path} is a file; it must be a folder, or not there yet")
        folder = path.absolute()
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            raise InputError(f"the output {path} cannot be made, because {folder} is a file")
        # To try is the only test that knows permissions, read-only disks and network shares; the
        # file has no name where the system allows it, and is gone at once where it does not.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from error
    return path


def create(path: str | Path, overwrite: bool = False) -> Path:
    """Make the folder `path`, after the same `check`; with `overwrite`, empty of older results.

    Only files of the names that runs write are removed; anything else in the folder stays.

    Raises
    ------
    InputError
        As `check` does, or if the folder cannot be made.
    """
    path = check(path, overwrite)
    try:
        path.mkdir(parents=True, exist_ok=True)
        for name in RESULTS:
            if (path / name).is_dir():
                shutil.rmtree(path / name)
            else:
                (path / name).unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error
    return path


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write `content` as JSON, whole or not at all.

    Numpy numbers and arrays, paths and anything with ``to_dict`` are converted. NaN and infinity,
    which JSON does not have, become null.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _cannot_write(path: Path, error: OSError) -> InputError:
    return InputError(
        f"the output folder {path} cannot be written ({error.strerror or error}); name another one",
        field="out",
    )


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return value
