"""The super-resolved picture of some of the localizations, drawn again many times a second.

Three pictures, from fast to fine:

- the number of localizations in every fine pixel;
- that histogram under the kernel of the density, on which one localization alone peaks at 1;
- every localization as a Gaussian of its own uncertainty, which holds one molecule: for still
  pictures.

`LivePicture` keeps the first two up to date. Each localization's pixel is found once; when the
choice of localizations changes, only those that changed are added or taken away.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import correlate1d
from scipy.special import erf

from napari_smlm_diffusion.results.fine_grid import FineGrid

# Beyond this many SDs a Gaussian is cut off; 6e-5 of it lie further out along each axis.
_REACH = 4.0
# Elements of one batch of stamps: they stay in the cache of a core.
_BATCH = 1 << 18
# Below this SD, in fine pixels, a Gaussian lies in one or two pixels whatever its width.
_NARROWEST = 0.05
# A wider one is drawn as this wide: it says "somewhere", and would cost more than all others.
_WIDEST = 64.0
# A smaller uncertainty, nm, is drawn as this one.
_LEAST_NM = 1.0
# Columns that are smoothed along y at once: a strip of them stays in the cache.
_STRIP = 64
# To add a stamp's pixel costs about a quarter of smoothing one pixel of the whole picture.
_STAMP_COST = 0.25


class LivePicture:
    """Draws one choice of localizations after another.

    Parameters
    ----------
    table : DataFrame
        Localizations, N localizations.
    grid : FineGrid
        Where the fine pixels lie; localizations outside are left out.
    sigma_fine : float
        SD of the kernel that every localization gets, fine pixels; 0: localizations are only
        counted.
    threads : int
        Parts that are smoothed at once.
    """

    def __init__(
        self, table: pd.DataFrame, grid: FineGrid, sigma_fine: float = 0.0, threads: int = 2
    ) -> None:
        self.grid, self.sigma_fine, self.threads = grid, sigma_fine, threads
        self._pixel = grid.index(table["y_nm"].to_numpy(), table["x_nm"].to_numpy())
        self._shown = np.zeros(len(table), bool)
        # The last count is of the localizations outside.
        self._counts = np.zeros(grid.size + 1, np.int32)
        weights = _kernel(sigma_fine) if sigma_fine else np.ones(1)
        self._margin = len(weights) // 2
        height, self._wide = (n + 2 * self._margin for n in grid.shape)
        # float64: after a thousand moves of a handle nothing of the roundings is to be seen. The
        # margin takes what stamps at the rim leave outside.
        self._smooth = np.zeros(height * self._wide if sigma_fine else 0)
        window = np.arange(len(weights)) - self._margin
        self._stamp = (window[:, None] * self._wide + window).ravel()
        self._weight = np.outer(weights, weights).ravel()

    @property
    def counts(self) -> NDArray[np.int32]:
        """Localizations in every fine pixel, (sY, sX); a view that the next `show` changes."""
        return self._counts[:-1].reshape(self.grid.shape)

    @property
    def image(self) -> NDArray[np.float32]:
        """The picture, (sY, sX): under the kernel if there is one, a copy."""
        if not self.sigma_fine:
            return self.counts.astype(np.float32)
        return self._inner.astype(np.float32)

    @property
    def _inner(self) -> NDArray[np.float64]:
        m, (height, width) = self._margin, self.grid.shape
        return self._smooth.reshape(-1, self._wide)[m : m + height, m : m + width]

    def show(self, kept: NDArray[np.bool_]) -> int:
        """Make this the picture of those that are `kept`, (N,); return how many changed."""
        changed = np.flatnonzero(kept != self._shown)
        if 2 * changed.size > kept.size:
            self._counts[:] = np.bincount(self._pixel[kept], minlength=self._counts.size)
        else:
            # Arrays of +1 and -1 rather than a scalar: numpy adds arrays twenty times as fast.
            step = np.where(kept[changed], np.int32(1), np.int32(-1))
            np.add.at(self._counts, self._pixel[changed], step)
        if self.sigma_fine:
            if changed.size * self._stamp.size * _STAMP_COST > self.grid.size:
                self._inner[:] = kernel_picture(self.counts, self.sigma_fine, self.threads)
            else:
                self._add_stamps(changed[kept[changed]], 1.0)
                self._add_stamps(changed[~kept[changed]], -1.0)
        self._shown = kept.copy()
        return changed.size

    def _add_stamps(self, rows: NDArray[np.intp], sign: float) -> None:
        # In the order of their places, so that neighbours meet in the cache.
        pixel = np.sort(self._pixel[rows])
        y, x = np.divmod(pixel[pixel < self.grid.size], self.grid.shape[1])
        centre = (y + self._margin) * self._wide + x + self._margin
        batch = max(1, _BATCH // self._stamp.size)
        weight = np.tile(sign * self._weight, min(batch, max(1, centre.size)))
        for begin in range(0, centre.size, batch):
            at = (centre[begin : begin + batch, None] + self._stamp).ravel()
            np.add.at(self._smooth, at, weight[: at.size])


def kernel_picture(
    counts: NDArray[np.integer], sigma_fine: float, threads: int = 2
) -> NDArray[np.float32]:
    """Return the picture of localizations at the centres of their fine pixels, as a density.

    Parameters
    ----------
    counts : (sY, sX) array
        Localizations in every fine pixel.
    sigma_fine : float
        SD of the kernel, fine pixels.
    threads : int
        Parts that are smoothed at once.

    Returns
    -------
    (sY, sX) array; `density.density_image` of the same localizations, but for their place within a
    pixel.
    """
    weights = _kernel(sigma_fine)
    height, width = counts.shape
    along_y = np.empty(counts.shape, np.float32)
    picture = np.empty(counts.shape, np.float32)

    def smooth_y(start: int) -> None:
        # A strip of its own: down the columns of the whole image every step would leave the cache.
        strip = np.ascontiguousarray(counts[:, start : start + _STRIP], np.float32)
        along_y[:, start : start + _STRIP] = correlate1d(strip, weights, 0, mode="constant")

    def smooth_x(start: int) -> None:
        part = slice(start, start + _STRIP)
        correlate1d(along_y[part], weights, 1, picture[part], mode="constant")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(smooth_y, range(0, width, _STRIP)))
        list(pool.map(smooth_x, range(0, height, _STRIP)))
    return picture


def _kernel(sigma_fine: float) -> NDArray[np.float64]:
    """Part of a kernel in each pixel along one axis, over that in its central pixel."""
    reach = int(np.ceil(_REACH * sigma_fine))
    edges = np.arange(-reach - 0.5, reach + 1) / (np.sqrt(2.0) * sigma_fine)
    share = np.diff(erf(edges))
    return share / share[reach]


def uncertainty_picture(table: pd.DataFrame, grid: FineGrid) -> NDArray[np.float32]:
    """Return each localization as a Gaussian of its uncertainty, integrated over the fine pixels.

    Parameters
    ----------
    table : DataFrame
        Localizations with ``uncertainty_x_nm`` and ``uncertainty_y_nm``; where one is not known,
        the median of the others stands for it.
    grid : FineGrid
        Where the fine pixels lie.

    Returns
    -------
    (sY, sX) array, molecules per fine pixel: every localization well inside adds up to 1.
    """
    y, x = grid.fine(table["y_nm"].to_numpy(), table["x_nm"].to_numpy())
    widths = []
    for name in ("uncertainty_y_nm", "uncertainty_x_nm"):
        sd = table[name].to_numpy().astype(np.float64)
        known = np.isfinite(sd)
        sd = np.where(known, sd, np.median(sd[known]) if known.any() else grid.pixel_size_nm / 2)
        widths.append(np.maximum(sd, _LEAST_NM) / grid.scale_nm)
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
