"""The super-resolved picture of a chosen part of the rows, drawn again many times a second.

Three pictures, from fast to fine:

- `LivePicture`: the number of rows in every fine pixel. Each row's pixel is found once; when the
  choice changes, only the rows that changed are added or taken away, in whole numbers, so that the
  result is that of a picture drawn from scratch.
- `kernel_picture`: that histogram under the kernel of the density; one row alone peaks at 1.
- `uncertainty_picture`: every row as a Gaussian of its own uncertainty, which holds one molecule;
  for still pictures.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import correlate1d
from scipy.special import erf

from napari_smlm_diffusion.results.grid import Grid

# Beyond this many SDs a Gaussian is cut off; 6e-5 of it lie further out along each axis.
_REACH = 4.0
# Elements of one batch of stamps: they stay in the cache of a core.
_BATCH = 1 << 18
# Below this SD, in fine pixels, a Gaussian lies in one or two pixels whatever its width.
_NARROWEST = 0.05
# A wider one is drawn as this wide: it says "somewhere", and would cost more than all others.
_WIDEST = 64.0


class LivePicture:
    """Counts the rows in every fine pixel, for one choice of rows after another.

    Parameters
    ----------
    table : DataFrame
        Localizations, N rows.
    grid : Grid
        Where the fine pixels lie; rows outside are left out.
    """

    def __init__(self, table: pd.DataFrame, grid: Grid) -> None:
        self.grid = grid
        self._pixel = grid.index(table["y_nm"].to_numpy(), table["x_nm"].to_numpy())
        self._shown = np.zeros(len(table), bool)
        # The last count is of the rows outside.
        self._counts = np.zeros(grid.size + 1, np.int32)

    @property
    def counts(self) -> NDArray[np.int32]:
        """The picture as it is, (sY, sX); a view that the next `show` changes."""
        return self._counts[:-1].reshape(self.grid.shape)

    def show(self, kept: NDArray[np.bool_]) -> int:
        """Make `counts` the picture of the rows that are `kept`, (N,); return how many changed."""
        changed = np.flatnonzero(kept != self._shown)
        if 2 * changed.size > kept.size:
            return self._draw(kept)
        # An array of +1 and -1 rather than a scalar: numpy adds arrays twenty times as fast.
        step = np.where(kept[changed], np.int32(1), np.int32(-1))
        np.add.at(self._counts, self._pixel[changed], step)
        self._shown = kept.copy()
        return changed.size

    def _draw(self, kept: NDArray[np.bool_]) -> int:
        changed = int(np.count_nonzero(kept != self._shown))
        self._counts[:] = np.bincount(self._pixel[kept], minlength=self._counts.size)
        self._shown = kept.copy()
        return changed


def kernel_picture(
    counts: NDArray[np.integer], sigma_fine: float, threads: int = 2
) -> NDArray[np.float32]:
    """Return the picture of rows at the centres of their fine pixels, on the scale of a density.

    Parameters
    ----------
    counts : (sY, sX) array
        Rows in every fine pixel.
    sigma_fine : float
        SD of the kernel, fine pixels.
    threads : int
        Parts that are smoothed at once.

    Returns
    -------
    (sY, sX) array; `density.density_image` of the same rows, but for their place within a pixel.
    """
    reach = int(np.ceil(_REACH * sigma_fine))
    edges = np.arange(-reach - 0.5, reach + 1) / (np.sqrt(2.0) * sigma_fine)
    share = np.diff(erf(edges))
    # Divided along each axis by the share of the central pixel: one row peaks at 1.
    weights = share / share[reach]
    picture = np.empty(counts.shape, np.float32)
    starts = np.linspace(0, len(counts), threads + 1).astype(int)

    def smooth(part: int) -> None:
        first, end = starts[part], starts[part + 1]
        low, high = max(0, first - reach), min(len(counts), end + reach)
        along_x = correlate1d(counts[low:high], weights, 1, np.float32, "constant")
        along_y = correlate1d(along_x, weights, 0, np.float32, "constant")
        picture[first:end] = along_y[first - low : end - low]

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(smooth, range(threads)))
    return picture


def uncertainty_picture(
    table: pd.DataFrame,
    grid: Grid,
    *,
    least_nm: float = 1.0,
) -> NDArray[np.float32]:
    """Return every row as a Gaussian of its own uncertainty, integrated over the fine pixels.

    Parameters
    ----------
    table : DataFrame
        Rows with ``uncertainty_x_nm`` and ``uncertainty_y_nm``; where one is not known, the median
        of the others stands for it.
    grid : Grid
        Where the fine pixels lie.
    least_nm : float
        A smaller uncertainty is drawn as this one.

    Returns
    -------
    (sY, sX) array, molecules per fine pixel: every row well inside adds up to 1.
    """
    y, x = grid.fine(table["y_nm"].to_numpy(), table["x_nm"].to_numpy())
    widths = []
    for name in ("uncertainty_y_nm", "uncertainty_x_nm"):
        sd = table[name].to_numpy().astype(np.float64)
        known = np.isfinite(sd)
        sd = np.where(known, sd, np.median(sd[known]) if known.any() else grid.pixel_size_nm / 2)
        widths.append(np.maximum(sd, least_nm) / grid.scale_nm)
    return gaussians(y, x, widths[0], widths[1], grid.shape)


def gaussians(
    y: ArrayLike, x: ArrayLike, sd_y: ArrayLike, sd_x: ArrayLike, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the sum of M Gaussians of volume 1, each integrated over the pixels near its centre.

    Parameters
    ----------
    y, x, sd_y, sd_x : (M,) arrays
        Centres and standard deviations, pixels; an SD is drawn as 0.05 to 64.
    shape : (Y, X)
        Of the image; the parts outside are lost.
    """
    y, x = np.asarray(y, np.float64), np.asarray(x, np.float64)
    sd_y = np.clip(np.asarray(sd_y, np.float64), _NARROWEST, _WIDEST)
    sd_x = np.clip(np.asarray(sd_x, np.float64), _NARROWEST, _WIDEST)
    height, width = shape
    reach = np.ceil(_REACH * np.maximum(sd_y, sd_x) + 0.5).astype(int)
    # Those whose centre lies further out leave nothing in the image.
    near = (np.abs(y - (height - 1) / 2) < height / 2 + reach) & (
        np.abs(x - (width - 1) / 2) < width / 2 + reach
    )
    # With a margin that holds every window no stamp has to be cut: it is a plain addition.
    margin = 2 * int(reach[near].max(initial=0)) + 1
    wide = width + 2 * margin
    image = np.zeros((height + 2 * margin) * wide)
    for r in np.unique(reach[near]):
        rows = np.flatnonzero(near & (reach == r))
        window = np.arange(-r, r + 1)
        stamp = (window[:, None] * wide + window).ravel()
        batch = max(1, _BATCH // stamp.size)
        for begin in range(0, rows.size, batch):
            part = rows[begin : begin + batch]
            at_y, share_y = _shares(y[part], sd_y[part], window)
            at_x, share_x = _shares(x[part], sd_x[part], window)
            pixel = ((at_y + margin) * wide + at_x + margin)[:, None] + stamp
            share = share_y[:, :, None] * share_x[:, None, :]
            np.add.at(image, pixel.ravel(), share.ravel())
    inner = image.reshape(-1, wide)[margin : margin + height, margin : margin + width]
    return inner.astype(np.float32)


def _shares(
    centre: NDArray[np.float64], sd: NDArray[np.float64], window: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Pixel of each centre, (M,), and the parts of a Gaussian in the `window` around, (M, W)."""
    at = np.rint(centre)
    edges = np.append(window - 0.5, window[-1] + 0.5) - (centre - at)[:, None]
    share = np.diff(erf(edges / (np.sqrt(2.0) * sd[:, None])), axis=1) / 2
    return at.astype(np.intp), share
