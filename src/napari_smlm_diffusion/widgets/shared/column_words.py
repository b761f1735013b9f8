"""Columns of the table in the words of a form, with their units."""

import pandas as pd

from napari_smlm_diffusion.localizations import BY_NAME

_WORDS = {
    "frame": "Frame (from 0)",
    "x_nm": "Position x",
    "y_nm": "Position y",
    "z_nm": "Height z",
    "sigma_nm": "Spot width (SD)",
    "photons": "Photons",
    "background": "Background",
    "background_sd": "Background SD",
    "uncertainty_x_nm": "Uncertainty of x",
    "uncertainty_y_nm": "Uncertainty of y",
    "uncertainty_z_nm": "Uncertainty of z",
    "uncertainty_xy_nm": "Uncertainty per axis",
    "probability": "Probability",
    "crlb_xy_nm": "Cramér-Rao bound per axis",
    "density_sd": "Density SD at the molecule",
    "multiplicity": "Molecules in the localization",
    "covariance_xy_nm2": "Covariance of x and y",
    "uncertainty_photons": "Uncertainty of the photons",
    "uncertainty_background": "Uncertainty of the background",
    "fit_p": "How well the pixels fit (p-value)",
    "id": "Number of the localization",
}
# What people filter by comes first.
_FIRST = (
    "uncertainty_xy_nm",
    "probability",
    "photons",
    "uncertainty_photons",
    "fit_p",
    "density_sd",
    "frame",
)
# Where the table's own words do not say what to do with it.
_MEANINGS = {
    "fit_p": "How often frames that are just as the model says would fit worse here.\n"
    "Near 0 the light here is not that of the molecules that were found: out of focus, moving, "
    "a bead.\nFrom 0.01 on, one in a hundred good ones is lost.",
    "uncertainty_photons": "Standard deviation of the error of the photons, from the draws or the "
    "fit.\nLarge where neighbours share their light, and nobody can tell whose it is.",
}


def label_of(column: str) -> str:
    """Return the name of a column for people, for example ``Uncertainty per axis (nm)``."""
    unit = unit_of(column)
    words = _WORDS.get(column, column)
    return f"{words} ({unit})" if unit and column != "photons" else words


def unit_of(column: str) -> str:
    """Unit of a column, empty for a plain number."""
    return BY_NAME[column].unit if column in BY_NAME else ""


def meaning_of(column: str) -> str:
    """Return what a column says, a sentence for a tooltip."""
    own = BY_NAME[column].description if column in BY_NAME else column
    return _MEANINGS.get(column, own)


def number_columns(table: pd.DataFrame) -> list[str]:
    """Columns of `table` that hold numbers, those that people filter by first."""
    names = [str(c) for c in table.columns if pd.api.types.is_numeric_dtype(table[c])]
    return sorted(names, key=lambda n: _FIRST.index(n) if n in _FIRST else len(_FIRST))
