"""What a file format for tables of localizations is to the rest of the program."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_smlm_diffusion.results.dataset import Dataset


@dataclass(frozen=True)
class TableFormat:
    """One format; all of them are listed in `registry`.

    Attributes
    ----------
    name : str
        Short name, for options and messages.
    title : str
        Name for people, as in a file dialog.
    suffix : str
        Usual ending of its files, with the dot or what else comes before it (``_sml.mat``).
    recognises : callable
        (path) -> whether the content of the file is of this format. It only looks at the beginning
        and never raises.
    read : callable
        (path, pixel size in nm or None) -> `Dataset`. A given pixel size wins over the file's.
        Raises `InputError`, and `PixelSizeUnknown` where the size is needed and not known.
    write : callable or None
        (path, dataset) -> sentences on what the format cannot hold. The file is written whole or
        not at all. None for a format that is only read.
    convention : str
        Frame base, origin, axes and units of its files, for people.
    loses : str
        What of our table its files have no place for; empty if nothing.
    beside : tuple of str
        What files written beside the table are called: these, after the name without its ending.
    """

    name: str
    title: str
    suffix: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, float | None], Dataset]
    write: Callable[[Path, Dataset], list[str]] | None
    convention: str
    loses: str = ""
    beside: tuple[str, ...] = ()

    @property
    def ending(self) -> str:
        """The last part of `suffix`: ``.mat`` of ``_sml.mat``."""
        return "." + self.suffix.rpartition(".")[2]
