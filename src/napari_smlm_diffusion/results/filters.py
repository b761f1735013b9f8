"""Which localizations to trust: ranges on columns and a threshold on an image of the SD.

A filter only says which localizations are kept and why the others are not. It deletes nothing and
changes nothing, so every step can be taken back, and an export can hold all localizations with the
verdict.

Each criterion rejects localizations on its own; a localization is kept when no criterion rejects
it. A tighter range, a lower threshold or one more criterion can therefore only reject more.

What is not known (NaN, or a localization outside the image) is *rejected* by a criterion that asks
for it, unless the criterion says ``keep_unknown``: a filter is a promise about the localizations
that are kept.
"""

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.criteria import Range, Region, SdMap
from napari_smlm_diffusion.results.run_folder import write_json
from napari_smlm_diffusion.settings import Settings

# The four verdicts of every criterion on a localization make one number of 63 bits.
_MOST_RANGES = 30


class Filter(Settings):
    """What a user trusts: every criterion must be met."""

    format: Literal[1] = Field(default=1, title="Format", description="version of the saved filter")
    ranges: tuple[Range, ...] = Field(
        default=(), max_length=_MOST_RANGES, title="Ranges", description="one range a column"
    )
    region: Region | None = Field(
        default=None, title="Region", description="a threshold on an image of the SD, or none"
    )

    @model_validator(mode="after")
    def _one_range_a_column(self) -> Self:
        columns = [r.column for r in self.ranges]
        if twice := sorted({name for name in columns if columns.count(name) > 1}):
            raise ValueError(f"there must be one range a column, but {twice} have several")
        return self

    @property
    def criteria(self) -> tuple[Range | Region, ...]:
        """The ranges, then the region if there is one."""
        return (*self.ranges, self.region) if self.region else self.ranges

    def apply(self, table: pd.DataFrame, maps: SdMap | None = None) -> "Filtered":
        """Judge every localization of `table`, which stays as it is.

        Raises
        ------
        InputError
            If a column is missing or holds no numbers, or if there is a region and no `maps`.
        """
        return LiveFilter(table, maps).apply(self)

    def save(self, path: str | Path) -> None:
        """Write the filter as JSON, whole or not at all.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file is missing or is no filter of this version.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
        except ValueError as error:
            raise InputError(
                f"{path} is not a saved filter; those are JSON files, NAME.filter.json beside an "
                "export"
            ) from error
        if not isinstance(content, dict) or "ranges" not in content:
            raise InputError(f"{path} is not a saved filter: it holds no ranges")
        try:
            return cls(**content)
        except InputError as error:
            raise InputError(f"{path} is not a saved filter of this version: {error}") from error


@dataclass(frozen=True)
class Filtered:
    """What a filter says about N localizations.

    Attributes
    ----------
    kept : (N,) bool array
        Which localizations no criterion rejects.
    criteria : sequence of Range or Region
        Those of the filter.
    failed : sequence of (N,) bool arrays
        Which localizations each criterion rejects, whatever the others say.
    values : sequence of (N,) arrays
        What each criterion looked at.
    """

    kept: NDArray[np.bool_]
    criteria: Sequence[Range | Region]
    failed: Sequence[NDArray[np.bool_]]
    values: Sequence[NDArray[Any]]

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How many localizations each criterion rejects; one may count more than once."""
        return tuple(int(np.count_nonzero(failed)) for failed in self.failed)

    @cached_property
    def reason(self) -> NDArray[np.object_]:
        """All that speaks against each, (N,) texts joined by ``;``, empty for one that is kept."""
        reason = np.full(self.kept.shape, "", object)
        rejected = np.flatnonzero(~self.kept)
        code = np.zeros(rejected.size, np.int64)
        for place, (criterion, values) in enumerate(zip(self.criteria, self.values, strict=True)):
            code |= criterion.verdict(values[rejected]).astype(np.int64) << 2 * place
        # Few combinations among many localizations: each is put into words once.
        which, combinations = pd.factorize(code)
        texts = np.array([self._words(int(c)) for c in combinations], object)
        reason[rejected] = texts[which]
        return reason

    def _words(self, code: int) -> str:
        verdicts = [(c, code >> 2 * place & 3) for place, c in enumerate(self.criteria)]
        return "; ".join(criterion.explain(verdict) for criterion, verdict in verdicts if verdict)


class LiveFilter:
    """Applies one filter after another to the same table; only what changed is computed again.

    Parameters
    ----------
    table : DataFrame
        Localizations, N localizations; must not change meanwhile.
    maps : SdMap or None
        For filters with a region.
    """

    def __init__(self, table: pd.DataFrame, maps: SdMap | None = None) -> None:
        self.table, self.maps = table, maps
        self._pixel: NDArray[np.intp] | None = None
        self._values: dict[Hashable, NDArray[Any]] = {}
        self._failed: dict[Range | Region, NDArray[np.bool_]] = {}

    def apply(self, rules: Filter) -> Filtered:
        """Judge every localization, as `Filter.apply` does."""
        # Only the verdicts of this filter are remembered: a drag passes through hundreds.
        known = self._failed
        self._failed = {
            c: known[c] if c in known else c.failed(self.values(c)) for c in rules.criteria
        }
        kept = np.ones(len(self.table), bool)
        for rejected in self._failed.values():
            np.greater(kept, rejected, out=kept)
        return Filtered(
            kept,
            rules.criteria,
            [self._failed[c] for c in rules.criteria],
            [self.values(c) for c in rules.criteria],
        )

    def values(self, criterion: Range | Region) -> NDArray[Any]:
        """Return what `criterion` looks at: a column, or the image at each localization, (N,)."""
        key: Hashable
        if isinstance(criterion, Range):
            key = criterion.column
        else:
            key = (criterion.quantity, criterion.floor)
        if key not in self._values:
            column = isinstance(criterion, Range)
            self._values[key] = self._column(key) if column else self._at_rows(criterion)  # type: ignore[arg-type]
        return self._values[key]

    def _column(self, name: str) -> NDArray[Any]:
        numbers = [
            str(c) for c in self.table.columns if pd.api.types.is_numeric_dtype(self.table[c])
        ]
        if name not in self.table.columns:
            raise InputError(
                f"the filter has a range on {name}, which this table does not have; "
                f"its columns of numbers are {numbers}"
            )
        if name not in numbers:
            raise InputError(
                f"the filter has a range on {name}, which holds text; "
                f"the columns of numbers are {numbers}"
            )
        return np.ascontiguousarray(self.table[name].to_numpy())

    def _at_rows(self, region: Region) -> NDArray[np.floating]:
        if self.maps is None:
            raise InputError(
                "the filter masks regions by an image of the SD, but no such image is given; "
                "choose one, or remove the threshold from the filter"
            )
        if self._pixel is None:
            rows = self.table
            self._pixel = self.maps.grid.index(rows["y_nm"].to_numpy(), rows["x_nm"].to_numpy())
        # One pixel more, which stands for all that lies outside.
        return np.append(region.image(self.maps).ravel(), np.nan)[self._pixel]
