"""Which localizations are drawn as points: of a frame or a field, never more than can be drawn.

The picture of all localizations is an image; points are the detail. napari takes about 5 s to add a
million points, and 5 s again to filter them.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LARGEST = 100_000


def select(
    table: pd.DataFrame,
    *,
    kept: NDArray[np.bool_] | None = None,
    frames: tuple[int, int] | None = None,
    field_nm: tuple[float, float, float, float] | None = None,
    limit: int = LARGEST,
) -> NDArray[np.intp]:
    """Return the numbers of the localizations to draw, in order.

    Parameters
    ----------
    table : DataFrame
        A table of localizations.
    kept : (N,) bool array, optional
        Of a filter.
    frames : (start, stop), optional
        Frames to draw, `stop` excluded.
    field_nm : (y0, y1, x0, x1), optional
        Part of the field to draw, ends included.
    limit : int
        Most localizations to return; of more, an even selection over the table is.
    """
    chosen = np.ones(len(table), np.bool_) if kept is None else kept.copy()
    if frames is not None:
        frame = table["frame"].to_numpy()
        chosen &= (frame >= frames[0]) & (frame < frames[1])
    if field_nm is not None:
        y, x = table["y_nm"].to_numpy(), table["x_nm"].to_numpy()
        chosen &= (y >= field_nm[0]) & (y <= field_nm[1])
        chosen &= (x >= field_nm[2]) & (x <= field_nm[3])
    return spread(np.flatnonzero(chosen), limit)


def spread(rows: NDArray[np.intp], limit: int) -> NDArray[np.intp]:
    """Return at most `limit` of the numbers, evenly from first to last, the same each time."""
    if len(rows) <= limit:
        return rows
    return rows[np.linspace(0, len(rows) - 1, limit).round().astype(np.intp)]
