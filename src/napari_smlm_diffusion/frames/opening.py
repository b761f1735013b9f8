"""The one way to open a movie, whatever the microscope wrote.

What a file is, its first bytes say; only a raw binary has none that say it, and is known by its
ending, or by a layout that the user gives. The reader of a kind is imported when it is needed.
"""

from collections.abc import Sequence
from pathlib import Path

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.folder import TIFF_ENDINGS, open_folder
from napari_smlm_diffusion.frames.raw import RawLayout, open_npy, open_raw
from napari_smlm_diffusion.frames.series import open_series
from napari_smlm_diffusion.frames.stack import FrameStack
from napari_smlm_diffusion.frames.tiff import open_stack
from napari_smlm_diffusion.guards.files import check_file, head

Paths = str | Path | Sequence[str | Path]

_MAGIC = {
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),  # the last two are BigTIFF
    "npy": (b"\x93NUMPY",),
    "CZI": (b"ZISRAWFILE",),
    "ND2": (b"\xda\xce\xbe\x0a", b"\0\0\0\x0cjP  "),  # the last is that of before 2010
}
ENDINGS = dict.fromkeys(TIFF_ENDINGS, "TIFF") | {
    ".nd2": "ND2",
    ".czi": "CZI",
    ".dax": "raw",
    ".raw": "raw",
    ".npy": "npy",
}
# The file of a folder by which people open it.
_OF_A_FOLDER = ("NDTiff.index", "zarr.json", ".zarray", ".zgroup", ".zattrs")


def open_movie(paths: Paths, raw: RawLayout | None = None) -> FrameStack:
    """Open a movie: a file, several that follow each other, or a folder.

    Files are TIFF (BigTIFF, OME-TIFF, ImageJ), ND2, CZI, raw binaries (.raw, .dax) with a sidecar
    and .npy; folders hold TIFF files, an NDTiff dataset, or zarr. Only what describes the frames
    is read; frames come with `FrameStack.read`.

    Parameters
    ----------
    paths
        Several files are one movie, in the natural order of their names.
    raw
        Layout of a raw binary, before what its sidecar says.

    Raises
    ------
    InputError
        If it is damaged, is no movie, or needs a package that is not installed.
    """
    several = [paths] if isinstance(paths, str | Path) else list(paths)
    if len(several) != 1:
        return open_series(several, lambda path: _open_file(path, raw))
    path = Path(several[0])
    if path.name in _OF_A_FOLDER and path.is_file():
        path = path.parent
    if path.is_dir():
        if raw is not None:
            raise InputError(f"{path} is a folder; a raw layout is for one raw binary file")
        return open_folder(path)
    return _open_file(path, raw)


def kind_of(path: Path) -> str | None:
    """Kind of a file by its first bytes, else by its ending: TIFF, npy, CZI, ND2, raw or None."""
    by_ending = ENDINGS.get(path.suffix.lower())
    return by_ending if by_ending == "raw" else kind_by_content(path) or by_ending


def kind_by_content(path: Path) -> str | None:
    """Kind of a file by its first bytes; None for a raw binary and for all that is no movie."""
    start = head(path, 16)
    return next((kind for kind, magic in _MAGIC.items() if start.startswith(magic)), None)


def _open_file(path: Path, raw: RawLayout | None) -> FrameStack:
    check_file(path)
    kind = kind_of(path)
    if raw is not None and kind not in ("raw", None):
        raise InputError(
            f"{path} is a {kind} file, which says its own layout; leave these out",
            field=("raw_shape", "raw_dtype", "raw_offset"),
        )
    if kind == "raw" or raw is not None:
        return open_raw(path, raw)
    if kind == "TIFF":
        return open_stack(path)
    if kind == "npy":
        return open_npy(path)
    if kind == "ND2":
        from napari_smlm_diffusion.frames.nikon import open_nd2

        return open_nd2(path)
    if kind == "CZI":
        from napari_smlm_diffusion.frames.zeiss import open_czi

        return open_czi(path)
    raise InputError(
        f"{path} is no movie of a known kind; these are TIFF, ND2, CZI, .raw, .dax and .npy files, "
        "and folders with TIFF files, NDTiff or zarr (a raw binary of another ending needs "
        "shape TxYxX and type)",
        field=("raw_shape", "raw_dtype"),
    )
