"""Posterior samples as a TIFF that grows by one frame at a time."""

import os
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_smlm_diffusion.writing import disk_errors, partial_name


class SamplesWriter:
    """Writes (T, K, sY, sX) samples, one TIFF series of axes (sample, y, x) for each frame.

    The file appears with the first frame, as ``NAME.partial.tif`` until it is closed.

    Parameters
    ----------
    path : path
        Final name.

    Raises
    ------
    OutputError
        From any method, if the disk is full or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = partial_name(path)
        self._writer: tifffile.TiffWriter | None = None

    def append(self, samples: NDArray[np.float32]) -> None:
        """Add frames."""
        with disk_errors(self.path):
            if self._writer is None:
                self._writer = tifffile.TiffWriter(self.partial, bigtiff=True)
            for frame in samples:
                self._writer.write(frame, photometric="minisblack", metadata={"axes": "QYX"})

    def close(self) -> None:
        """Give the file its final name, if there is one."""
        if self._writer is None:
            return
        with disk_errors(self.path):
            self._writer.close()
            self._writer = None
            os.replace(self.partial, self.path)
