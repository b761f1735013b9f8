"""A table of localizations with all that belongs to it: scale, origin, and what a filter said.

It is what a file of localizations holds, what a layer of points keeps in its metadata, and what is
exported. A filter adds a mask; localizations are never taken out of the table itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError, require


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """Localizations and their context.

    Parameters
    ----------
    table : DataFrame
        A valid table of localizations (see `localizations`), all localizations.
    pixel_size_nm : float
        Edge of a camera pixel in the sample, nm.
    frame_shape : (T, Y, X) or None
        Of the movie; None where it is not known.
    kept : (N,) bool array or None
        Which localizations a filter keeps; None where nothing was filtered.
    reason : (N,) array of str or None
        Why a localization is not kept, empty for one that is; only with `kept`.
    provenance : Mapping
        Where the localizations come from (model and its hash, sampler, steps, samples, seed, file),
        in JSON types.
    filter : Mapping or None
        The settings that made `kept`, in JSON types.
    notes : tuple of str
        Sentences on what a file did not say or what was left out when it was read.

    Raises
    ------
    InputError
        If the table is not valid, or mask, reasons, pixel size do not fit it.
    """

    table: pd.DataFrame
    pixel_size_nm: float
    frame_shape: tuple[int, int, int] | None = None
    kept: NDArray[np.bool_] | None = None
    reason: NDArray[np.object_] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    filter: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        localizations.validate(self.table)
        size = self.pixel_size_nm
        require(0 < size < np.inf, "pixel_size_nm", "above 0", size)
        rows = len(self.table)
        if self.kept is not None:
            object.__setattr__(self, "kept", _column("kept", self.kept, rows, np.bool_))
        if self.reason is not None:
            if self.kept is None:
                raise InputError("reasons need the mask of what is kept")
            object.__setattr__(self, "reason", _column("reason", self.reason, rows, np.object_))

    @property
    def kept_mask(self) -> NDArray[np.bool_]:
        """Which localizations are kept: (N,), all of them where nothing was filtered."""
        return np.ones(len(self.table), np.bool_) if self.kept is None else self.kept

    def filtered(
        self,
        kept: ArrayLike,
        reason: ArrayLike | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> "Dataset":
        """Return the same localizations under another mask.

        Parameters
        ----------
        kept : (N,) bool array
        reason : (N,) array of str, optional
        settings : Mapping, optional
            Of the filter, to be saved with an export.
        """
        return replace(
            self,
            kept=np.asarray(kept),
            reason=None if reason is None else np.asarray(reason, dtype=object),
            filter=settings,
        )

    def only_kept(self) -> "Dataset":
        """Return the kept ones alone; the filter's settings stay, its mask has done its work."""
        if self.kept is None:
            return self
        rows = self.table[self.kept].reset_index(drop=True)
        return replace(self, table=rows, kept=None, reason=None)


def _column(name: str, values: Any, rows: int, dtype: Any) -> NDArray[Any]:
    array = np.asarray(values)
    if array.shape != (rows,):
        raise InputError(
            f"{name} must have one value for each of the {rows} localizations, "
            f"got the shape {array.shape}"
        )
    if dtype is np.bool_ and array.dtype != np.bool_:
        raise InputError(f"{name} must be true or false, got {array.dtype} values")
    return array.astype(dtype)
