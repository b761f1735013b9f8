"""The columns of one localization that stands for several localizations of one molecule.

- Position: the mean weighted by 1 / variance. Its SD, 1 / sqrt(sum of 1 / variance), is right if
  the errors of different frames are independent: shot noise is, a wrong PSF, a neighbour that
  shines all the while, or drift is not.
  Covariance: that of the weighted means.
- Photons: the sum. Background and width of the spot: the mean. Their SDs: those of sum and mean.
- ``fit_p``: the smallest.
- Probability: the largest. That at least one localization is real is at least as likely as the
  likeliest of them, whatever one says about the others; 1 - prod(1 - p) would need their errors
  independent.
- Frame: the first. ``detections``: how many localizations (of those that were linked before,
  theirs).
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.evaluation.bootstrap import Array
from napari_smlm_diffusion.localizations import BY_NAME

_SUMS = ("photons", "detections")
_MEANS = ("sigma_nm", "background", "background_sd", "density_sd")
_LARGEST = ("probability", "multiplicity")
_POSITIONS = (("x_nm", "uncertainty_x_nm"), ("y_nm", "uncertainty_y_nm"))
_HEIGHT = ("z_nm", "uncertainty_z_nm")
_BOUND = "crlb_xy_nm"


def combine(table: pd.DataFrame, track: NDArray[np.int64], tracks: int) -> pd.DataFrame:
    """Return one localization for each track.

    Parameters
    ----------
    table : DataFrame
        N localizations in order of frames, each with an uncertainty.
    track : (N,) int array
        Number of each localization's track, from 0 in the order of their first localizations.
    tracks : int
        How many there are.
    """
    if "detections" not in table:
        table = table.assign(detections=np.ones(len(table), np.int64))
    first = np.unique(track, return_index=True)[1]
    out = table.iloc[first].reset_index(drop=True)
    each = np.bincount(track, minlength=tracks)

    def total(values: Array) -> Array:
        return np.bincount(track, values, tracks).astype(np.float64)

    for name in _SUMS:
        out[name] = total(table[name].to_numpy(np.float64)).astype(BY_NAME[name].dtype)
    for name in _MEANS:
        out[name] = total(table[name].to_numpy(np.float64)) / each
    for name in _LARGEST:
        # NaN only where it is not known for any.
        out[name] = table[name].groupby(track).max().to_numpy()
    for place, sd in (*_POSITIONS, *([_HEIGHT] if _HEIGHT[0] in table else [])):
        out[place], out[sd] = _mean(table, place, sd, track, tracks)
    variance = out["uncertainty_x_nm"] ** 2 + out["uncertainty_y_nm"] ** 2
    out["uncertainty_xy_nm"] = np.sqrt(variance / 2)
    if "covariance_xy_nm2" in table:
        wx, wy = (table[sd].to_numpy() ** -2.0 for _, sd in _POSITIONS)
        shared = total(wx * wy * table["covariance_xy_nm2"].to_numpy())
        out["covariance_xy_nm2"] = shared / (total(wx) * total(wy))
    for name, share in (("uncertainty_photons", 1), ("uncertainty_background", each)):
        if name in table:
            out[name] = np.sqrt(total(table[name].to_numpy() ** 2)) / share
    if "fit_p" in table:
        out["fit_p"] = table["fit_p"].groupby(track).min().to_numpy()
    out[_BOUND] = 1 / np.sqrt(total(table[_BOUND].to_numpy() ** -2.0))
    return localizations.validate(out)


def _mean(
    table: pd.DataFrame, place: str, sd: str, track: NDArray[np.int64], tracks: int
) -> tuple[Array, Array]:
    """Position and its SD, (tracks,) each; the plain mean where z has no uncertainty."""
    at = table[place].to_numpy(np.float64)
    known = sd in table and bool(np.isfinite(table[sd]).all())
    weight = table[sd].to_numpy() ** -2.0 if known else np.ones(len(table))
    sums = np.bincount(track, weight, tracks)
    # From the middle of the field, so that nothing is lost to rounding.
    middle = at.mean() if len(at) else 0.0
    mean = middle + np.bincount(track, weight * (at - middle), tracks) / sums
    return mean, 1 / np.sqrt(sums) if known else np.full(tracks, np.nan)
