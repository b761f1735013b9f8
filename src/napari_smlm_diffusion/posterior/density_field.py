"""Where a movie's molecules are: a field for each block of frames, learned from the other blocks.

A frame's own molecules must not be part of what is expected of it, or its claims come back as
proof. The field is read off the mean frame and not counted: in a crowd two molecules that were
taken for one are as bright as two, so that a wrong first guess cannot confirm itself.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]

# Nowhere fewer than this share of the mean.
FLOOR = 0.1
# Molecules per square pixel of an empty movie, one in 1,000 frames of 100 x 100.
EMPTY = 1e-7
# Relative error of the background that could be taken for molecules.
_BACKGROUND_ERROR = 0.03
# Pixels of a frame up to which cells are half a pixel wide, and work that sharpens a field.
_FINE, _WORK = 150_000, 2_000_000


def blocks_of(numbers: NDArray[np.intp], most: int = 4) -> tuple[tuple[int, int], ...]:
    """Return ranges (start, stop) of absolute frames that hold equally many of these."""
    parts = np.array_split(numbers, max(1, min(most, len(numbers) // 3)))
    edges = [0, *(int(part[0]) for part in parts[1:]), int(numbers[-1]) + 1]
    return tuple(pairwise(edges))


def block_means(
    frames: NDArray[np.float32], numbers: NDArray[np.intp], blocks: tuple[tuple[int, int], ...]
) -> tuple[Array, NDArray[np.intp]]:
    """Return the mean of the frames that are not in each block, (B, Y, X), and how many they are.

    With one block these are all frames.
    """
    means, counts = [], []
    for start, stop in blocks:
        others = (numbers < start) | (numbers >= stop) if len(blocks) > 1 else numbers >= 0
        means.append(frames[others].mean(axis=0, dtype=np.float64))
        counts.append(int(others.sum()))
    return np.array(means), np.array(counts)


def shares(
    light: Array, background: Array, counts: NDArray[np.intp], photons: float, sigma_px: float
) -> Array:
    """Return the density of each block relative to its mean, (B, s Y, s X), s cells to a pixel.

    Parameters
    ----------
    light : (B, Y, X) array
        Means of frames less their background, effective photons per pixel.
    background : (Y, X) array
        What was taken off, about, and the read variance.
    counts : (B,) array
        Frames of each mean.
    photons : float
        Of a molecule, about.
    sigma_px : float
        Width of a spot, by which the light is sharpened (Richardson 1972, Lucy 1974).

    Notes
    -----
    A field that varies no more than noise and an error of the background would make it is drawn to
    its mean by the share of the two (James & Stein 1961), so that sparse molecules, of whose places
    a few frames say nothing, have the same density everywhere.
    """
    size = light[0].size
    s = 2 if size <= _FINE else 1
    rounds = int(np.clip(_WORK / (size * s**2), 8, 40))
    fields = []
    for image, count in zip(light, counts, strict=True):
        smooth = gaussian_filter(image, 0.7 * sigma_px, mode="nearest")
        average = max(float(smooth.mean()), EMPTY * photons)
        shot = (average + float(background.mean())) / count / (4 * np.pi * (0.7 * sigma_px) ** 2)
        # A molecule more or less in these frames is noise too.
        few = average * photons / count / (4 * np.pi * (1.2 * sigma_px) ** 2)
        noise = shot + few + (_BACKGROUND_ERROR * background.mean()) ** 2
        kept = max(0.0, 1 - float(noise) / max(float(smooth.var()), 1e-30))
        sharp = np.ones((s * image.shape[0], s * image.shape[1]))
        if kept > 0:
            sharp = _sharpened(
                np.maximum(smooth, FLOOR * average), image, background, s, sigma_px, rounds
            )
            sharp /= sharp.mean()
        fields.append(np.maximum(1 + kept * (sharp - 1), FLOOR))
    return np.array(fields) / np.mean(fields, axis=(1, 2), keepdims=True)


def _sharpened(
    start: Array, light: Array, background: Array, s: int, sigma_px: float, rounds: int
) -> Array:
    """Return what makes this light when it is blurred by a spot, s cells to a pixel."""
    height, width = light.shape
    fine = np.kron(start, np.ones((s, s))).astype(np.float64)
    seen = np.maximum(light + background, 0.0)
    for _ in range(rounds):
        blurred = gaussian_filter(fine, s * sigma_px, mode="nearest")
        pixels = blurred.reshape(height, s, width, s).mean((1, 3))
        ratio = np.kron(seen / (pixels + background), np.ones((s, s)))
        fine *= gaussian_filter(ratio, s * sigma_px, mode="nearest")
    return fine


def on_cells(fields: Array, margin_px: int, s: int, most: int) -> tuple[NDArray[np.float32], float]:
    """Return (B, h, w) fields continued into the margin, and the width of their cells in pixels.

    Cells are wider where there were more than `most` along a side. Values are rounded to three
    digits, which is more than is known and takes less room in a file.
    """
    _, *shape = fields.shape
    margin, together = margin_px * s, -(-max(shape) // most)
    ends = [-(-(n + 2 * margin) // together) * together - n - margin for n in shape]
    wide = np.pad(fields, ((0, 0), (margin, ends[0]), (margin, ends[1])), mode="edge")
    b, h, w = wide.shape
    cells = wide.reshape(b, h // together, together, w // together, together).mean((2, 4))
    digits = 10.0 ** (np.floor(np.log10(cells)) - 2)
    return (np.round(cells / digits) * digits).astype(np.float32), together / s
