"""A table of localizations from whichever of the known files it is."""

from pathlib import Path

import pandas as pd

from napari_smlm_diffusion.results.formats import challenge, thunderstorm


def read_corner(path: str | Path) -> pd.DataFrame:
    """Read a CSV of this package, of ThunderSTORM or of the SMLM challenge, for a comparison.

    Positions keep the origin that all of them share, the *corner* of the first pixel, so that no
    pixel size is needed; ``frame`` counts from 0.

    Raises
    ------
    InputError
        If the file is none of them.
    """
    if challenge.is_challenge(path):
        return challenge.read(path, pixel_size_nm=0.0)
    return thunderstorm.read(path, origin="corner")
