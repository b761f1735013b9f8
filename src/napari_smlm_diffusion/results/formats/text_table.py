"""How any table of text is read, from what sets its format apart.

Conventions are converted here: frames count from 0 inside this program, and 0 nm is the centre of
the first pixel, where most of these files have its corner:

    frame_file = frame + 1,    x_file = x_nm + pixel_size_nm / 2.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, pixelsize, text
from napari_smlm_diffusion.results.formats.base import TableFormat

CORNER = "nm from the corner of the first pixel"
ASSUMED = "nm, from the corner of the first pixel as is assumed, since it is not documented"
CENTRE = "nm from the centre of the first pixel"


@dataclass(frozen=True, kw_only=True)
class TextFormat:
    """A text table: one line a localization, below a header.

    Attributes
    ----------
    program : str
        Whose it is, in a sentence.
    names : Mapping
        Label of a column, in lower case -> our column; others are left out.
    recognises : callable
        (first line, labels) -> whether the file is of this format.
    header : callable
        (path, labels of the first line) -> labels, and the lines before the first localization.
    finish : callable
        (columns) -> sentences on the table; changes columns that are ours in another guise.
    first_frame : int
        Number of the first frame.
    origin : str
        Where 0 nm is, one of the three sentences above.
    needed, numbers : collection of str
        Columns of ours that must be there, and in which every localization must have a number.
    separator, encoding, stop
        As of `text.read_columns`.
    """

    program: str
    names: Mapping[str, str]
    recognises: Callable[[str, Sequence[str]], bool]
    header: Callable[[Path, list[str]], tuple[list[str], int]] = lambda path, labels: (labels, 1)
    finish: Callable[[dict[str, Any]], list[str]] = lambda columns: []
    first_frame: int = 1
    origin: str = CORNER
    needed: Collection[str] = ("frame", "x_nm", "y_nm")
    numbers: Collection[str] = ("frame",)
    separator: str = ","
    encoding: str = "utf-8-sig"
    stop: tuple[str, ...] = ()

    def matches(self, path: Path) -> bool:
        """Whether a file is of this format, by its first line; never raises."""
        try:
            line = next(iter(text.first_lines(path, encoding=self.encoding)), "")
        except InputError:
            return False
        return self.recognises(line, text.labels(line, self.separator))

    def columns(self, path: Path, pixel_size_nm: float) -> tuple[dict[str, Any], list[str]]:
        """Read the columns that are known in our conventions, and sentences on them.

        Raises
        ------
        InputError
            If the file is damaged, has no frame, x or y, or a column twice.
        """
        line = next(iter(text.first_lines(path, encoding=self.encoding)), "")
        labels, skip = self.header(path, text.labels(line, self.separator))
        wanted = {i: self.names[label] for i, label in enumerate(labels) if label in self.names}
        known = list(wanted.values())
        if missing := [name for name in self.needed if name not in known]:
            theirs = [next(t for t, ours in self.names.items() if ours == n) for n in missing]
            raise InputError(
                f"{path} is not a table of {self.program}: it has no column {' and '.join(theirs)}"
            )
        if twice := sorted({name for name in known if known.count(name) > 1}):
            raise InputError(f"{path} has the columns {twice} more than once")
        columns = text.read_columns(
            path,
            len(labels),
            wanted,
            skip=skip,
            separator=self.separator,
            texts=("uncertainty_source", "reason"),
            encoding=self.encoding,
            stop=self.stop,
        )
        for name in self.numbers:
            if name in columns and not np.isfinite(columns[name]).all():
                raise InputError(f"{path} has lines without a number in the column of {name}")
        frame = columns["frame"]
        if len(frame) and frame.min() < self.first_frame:
            raise InputError(
                f"{path} has a frame {frame.min():g}, but {self.program} counts frames from "
                f"{self.first_frame}"
            )
        frame -= self.first_frame
        if self.origin != CENTRE:
            build.from_corner(columns, pixel_size_nm)
        for name in ("uncertainty_x_nm", "uncertainty_y_nm"):
            if name not in columns and "uncertainty_xy_nm" in columns:
                columns[name] = columns["uncertainty_xy_nm"]
        assumed = [build.corner_assumed(path)] if self.origin == ASSUMED else []
        return columns, [*assumed, *(f"{path} {note}" for note in self.finish(columns))]

    def read(self, path: Path, pixel_size_nm: float | None = None) -> Dataset:
        """Read a table; the pixel size is given or found beside the file.

        Raises
        ------
        InputError
            If the file is damaged.
        PixelSizeUnknown
            If the pixel size is not known.
        """
        size = pixelsize.require(path, pixel_size_nm)
        columns, notes = self.columns(path, size)
        return build.dataset(path, columns, size, notes=notes)

    def format(self, name: str, title: str, suffix: str = ".csv", **options: Any) -> TableFormat:
        """Return the entry of the registry; `options` are attributes of `TableFormat`."""
        convention = f"frame from {self.first_frame}; {self.origin}; x runs along a row"
        known = {"read": self.read, "write": None, "convention": convention} | options
        return TableFormat(name, title, suffix, self.matches, **known)
