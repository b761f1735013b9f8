"""The single criteria of a filter: a range of a column, a threshold on an image of the SD.

What is not known (NaN, or a localization outside the image) is *rejected* by a criterion that asks
for it, unless the criterion says ``keep_unknown``: a filter is a promise about the localizations
that are kept.
"""

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.localizations import BY_NAME
from napari_smlm_diffusion.results.fine_grid import FineGrid
from napari_smlm_diffusion.settings import Settings

# Why a criterion rejects a localization; 0 where it does not.
_BELOW, _ABOVE, _UNKNOWN = 1, 2, 3


class _Criterion(Settings):
    """What is held against a range of values, both ends included."""

    @property
    def _ends(self) -> tuple[float | None, float | None, bool]:
        """Smallest, largest, and whether what is not known is kept."""
        raise NotImplementedError

    def failed(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Return where the (N,) `values`, of a column or of an image, are rejected."""
        minimum, maximum, keep_unknown = self._ends
        # A comparison with NaN is false, so that what is not known fails unless it is let through.
        # The first comparison makes the array, which saves a pass over a million values.
        if maximum is not None:
            ok = np.less_equal(values, maximum)
            if minimum is not None:
                ok &= values >= minimum
        elif minimum is not None:
            ok = np.greater_equal(values, minimum)
        else:
            ok = np.equal(values, values)
        if keep_unknown:
            ok |= np.isnan(values)
        return np.logical_not(ok, out=ok)

    def verdict(self, values: NDArray[Any]) -> NDArray[np.int8]:
        """Why each of the `values` is rejected; see `explain`."""
        minimum, maximum, keep_unknown = self._ends
        why = np.zeros(values.shape, np.int8)
        if not keep_unknown:
            why[np.isnan(values)] = _UNKNOWN
        if minimum is not None:
            why[values < minimum] = _BELOW
        if maximum is not None:
            why[values > maximum] = _ABOVE
        return why


class Range(_Criterion):
    """Localizations whose value of one column lies between two ends, both included."""

    column: str = Field(title="Column", description="a column of the table that holds numbers")
    minimum: float | None = Field(
        default=None,
        allow_inf_nan=False,
        title="Smallest",
        description="smallest value that is kept, in the column's unit; none: no lower end",
    )
    maximum: float | None = Field(
        default=None,
        allow_inf_nan=False,
        title="Largest",
        description="largest value that is kept, in the column's unit; none: no upper end",
    )
    keep_unknown: bool = Field(
        default=False,
        title="Keep unknown",
        description="whether localizations without a value in this column (NaN) are kept",
    )

    @model_validator(mode="after")
    def _ends_in_order(self) -> Self:
        low, high = self.minimum, self.maximum
        if low is not None and high is not None and low > high:
            raise ValueError(
                f"the range of {self.column} must not end ({high:g}) below where it begins "
                f"({low:g}); swap the two"
            )
        return self

    @property
    def _ends(self) -> tuple[float | None, float | None, bool]:
        return self.minimum, self.maximum, self.keep_unknown

    def explain(self, verdict: int) -> str:
        """Return the reason that goes with a `verdict`, in words and with the unit."""
        unit = f" {BY_NAME[self.column].unit}".rstrip() if self.column in BY_NAME else ""
        if verdict == _UNKNOWN:
            return f"{self.column} not known"
        if verdict == _BELOW:
            return f"{self.column} below {self.minimum:.10g}{unit}"
        return f"{self.column} above {self.maximum:.10g}{unit}"


class Region(_Criterion):
    """Localizations that lie where an image of the SD is no larger than a threshold."""

    quantity: Literal["sd", "relative_sd"] = Field(
        default="sd",
        title="Image",
        description="the SD of the density (a molecule's peak is 1), or that SD over the density",
    )
    maximum: float = Field(
        gt=0,
        allow_inf_nan=False,
        title="Largest",
        description="largest SD or relative SD that is trusted",
    )
    floor: float = Field(
        default=0.1,
        gt=0,
        allow_inf_nan=False,
        title="Least density",
        description="a relative SD divides by the density, but by no less than this",
    )
    keep_unknown: bool = Field(
        default=False,
        title="Keep unknown",
        description="whether localizations outside the image, or where it is not known, are kept",
    )

    def image(self, maps: "SdMap") -> NDArray[np.floating]:
        """Return the image that is held against the threshold, (sY, sX).

        Without the floor an empty place, where SD and density are both next to nothing, would
        have any relative SD at all.

        Raises
        ------
        InputError
            If a relative SD is asked for and there is no density.
        """
        if self.quantity == "sd":
            return maps.sd
        if maps.density is None:
            raise InputError(
                "a relative SD needs the density that belongs to the SD; choose the density too, "
                "or a threshold on the SD itself"
            )
        return maps.sd / np.maximum(maps.density, self.floor)

    def masked(self, maps: "SdMap") -> NDArray[np.bool_]:
        """Return where not to trust, (sY, sX)."""
        return self.failed(self.image(maps))

    @property
    def _ends(self) -> tuple[float | None, float | None, bool]:
        return None, self.maximum, self.keep_unknown

    def explain(self, verdict: int) -> str:
        """Return the reason that goes with a `verdict`, in words."""
        name = "SD image" if self.quantity == "sd" else "relative SD image"
        if verdict == _UNKNOWN:
            return f"{name} not known here"
        return f"{name} above {self.maximum:.10g} here"


@dataclass(frozen=True)
class SdMap:
    """The images that a `Region` looks at.

    Attributes
    ----------
    sd : (sY, sX) array
        Marginal standard deviation of the density; one molecule peaks at 1.
    grid : FineGrid
        Where its pixels lie.
    density : (sY, sX) array or None
        The density it belongs to, for a relative SD.

    Raises
    ------
    InputError
        If the images and the grid are not of one shape.
    """

    sd: NDArray[np.floating]
    grid: FineGrid
    density: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        for name, image in (("SD", self.sd), ("density", self.density)):
            if image is not None and image.shape != self.grid.shape:
                raise InputError(
                    f"the image of the {name} has the shape {image.shape}, "
                    f"but must have that of its grid, {self.grid.shape}"
                )
