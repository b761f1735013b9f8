"""Which drift correction: residual and time on simulated structures with a known drift.

    python benchmarks/drift.py [--repeats 4] [--comet]

Molecules on filaments blink (three frames on average, each again and again), and every row has an
error of the uncertainty that it claims (median 12 nm). The drift is a slow curve over some 200 nm
and a random walk of 0.3 nm a frame. Compared are

- intersections: what `smlm-diffusion drift` does, both halves for its error bar included;
- AIM: the same as published (Ma et al. 2024): two rounds, the first against the first segment;
- RCC: redundant cross-correlation of pictures of segments (Wang et al. 2014), below;
- COMET: the package comet-smlm, where it is installed, with its defaults for 2D.

The residual is the rms of found minus true drift per axis and frame, each freed from its mean; its
mean over the repeats, and the worst. The pull is that error over the SD that is claimed.
"""

import time
from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from report import Report, parse, parser
from scipy.fft import irfft2, rfft2
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter

from napari_smlm_diffusion.postprocessing import intersections
from napari_smlm_diffusion.postprocessing.drift import Drift, find_drift
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.simulation.observed import ObservedSettings, observe

SHAPE, WALK_NM, ROWS, CELL_NM = (128, 128), 0.3, 500, 20.0
# Frames, rows a frame.
SCENES = ((2000, 5), (5000, 2), (5000, 10), (20_000, 2), (20_000, 10))
RCC_PIXEL_NM, RCC_SEGMENTS, RCC_REACH = 20.0, 20, 25


def true_drift(frames: int, seed: int) -> NDArray[np.float64]:
    """A slow curve and a random walk, (T, 2) nm."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None] / frames
    wave = np.sin(2 * np.pi * (t * rng.uniform(0.5, 2, 2) + rng.random(2)))
    walk = WALK_NM * np.cumsum(rng.standard_normal((frames, 2)), axis=0)
    return 200 * (rng.uniform(-1, 1, 2) * t + 0.3 * wave) + walk


def ours(dataset: Dataset, frames: int) -> Drift:
    """Drive the job to its end."""
    job = find_drift(dataset)
    try:
        while True:
            next(job)
    except StopIteration as end:
        found: Drift = end.value
        return found


def segments_of(dataset: Dataset, frames: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rows, and the segment of each."""
    table = dataset.table
    return table[["x_nm", "y_nm"]].to_numpy(), table["frame"].to_numpy() * count // frames


def between(shifts: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    """Shifts of segments as a drift of frames."""
    middle = (np.arange(len(shifts)) + 0.5) * frames / len(shifts) - 0.5
    return CubicSpline(middle, shifts)(np.clip(np.arange(frames), middle[0], middle[-1]))


def published(dataset: Dataset, frames: int) -> NDArray[np.float64]:
    """AIM as in the paper, with segments of as many rows as ours."""
    count = max(10, len(dataset.table) // ROWS)
    xy, segment = segments_of(dataset, frames, count)
    *_, found = intersections.shifts(xy, segment, count, CELL_NM, grow=False, rounds=2)
    return between(found, frames)


def redundant(dataset: Dataset, frames: int) -> NDArray[np.float64]:
    """RCC: each two segments are correlated, and the shifts are fitted to all pairs."""
    xy, segment = segments_of(dataset, frames, RCC_SEGMENTS)
    low = xy.min(axis=0) - 500
    extent = np.ceil((xy.max(axis=0) + 500 - low) / RCC_PIXEL_NM).astype(int)
    pixel = ((xy - low) / RCC_PIXEL_NM).astype(int)
    shape = (int(extent[1]), int(extent[0]))
    pictures = []
    for k in range(RCC_SEGMENTS):
        x, y = pixel[segment == k].T
        counts = np.bincount(y * shape[1] + x, minlength=shape[0] * shape[1]).reshape(shape)
        pictures.append(rfft2(counts.astype(np.float32)))
    rows, shifts = [], []
    for i, j in combinations(range(RCC_SEGMENTS), 2):
        met = np.roll(irfft2(pictures[j] * pictures[i].conj(), shape), (RCC_REACH,) * 2, (0, 1))
        met = met[: 2 * RCC_REACH + 1, : 2 * RCC_REACH + 1]
        rows.append(np.eye(RCC_SEGMENTS)[j] - np.eye(RCC_SEGMENTS)[i])
        shifts.append(_centre(met))
    matrix, measured = np.array(rows), np.array(shifts) * RCC_PIXEL_NM
    kept = np.ones(len(measured), bool)
    for _ in range(10):  # pairs that do not fit are left out, as long as all segments are tied
        found = np.linalg.lstsq(matrix[kept], measured[kept], rcond=None)[0]
        off = np.hypot(*(matrix @ found - measured).T)
        better = off < max(RCC_PIXEL_NM, 3 * float(np.median(off[kept])))
        if np.linalg.matrix_rank(matrix[better]) < RCC_SEGMENTS - 1:
            break
        kept = better
    return between(found, frames)


def _centre(met: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift (x, y) of the peak from the middle, pixels: a parabola through the smoothed peak."""
    smooth = gaussian_filter(met, 1.5)
    y, x = np.unravel_index(int(smooth[1:-1, 1:-1].argmax()), np.array(smooth.shape) - 2)
    y, x = y + 1, x + 1
    out = []
    for line, at in ((smooth[y], x), (smooth[:, x], y)):
        a, b, c = line[at - 1 : at + 2]
        out.append(at + 0.5 * (a - c) / (a - 2 * b + c) - met.shape[0] // 2)
    return np.array(out)


def comet(dataset: Dataset, frames: int) -> NDArray[np.float64]:
    """COMET with segments of as many rows as ours."""
    from comet import comet_run_kd

    table = dataset.table
    rows = np.column_stack([table["x_nm"], table["y_nm"], 0 * table["x_nm"], table["frame"]])
    length = max(1, ROWS * frames // len(table))
    ends = (0, frames - 1)
    found = comet_run_kd(rows.astype(float), 2, length, mode="cpu", min_max_frames=ends)
    return found[:, :2]


def main() -> None:
    """Correct each scene with each method."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=4)
    options.add_argument("--scenes", type=int, default=len(SCENES), help="of those, the first")
    options.add_argument("--comet", action="store_true", help="COMET too, for few rows")
    options.add_argument("--most-rows-of-comet", type=int, default=20_000)
    args = parse(options, quick={"repeats": 1, "scenes": 1})
    methods: dict[str, Callable[..., object]] = {
        "intersections": ours, "AIM": published, "RCC": redundant
    }  # fmt: skip
    if args.comet:
        methods["COMET"] = comet
    with Report(args) as report:
        columns = {"frames": 0, "localizations": 0, "method": None, "residual, nm": 1}
        table = report.table("drift", columns | {"worst, nm": 1, "pull SD": 2, "seconds": 1})
        for frames, rate in SCENES[: args.scenes]:
            for name, method in methods.items():
                residuals, pulls, seconds = [], [], []
                for seed in range(args.repeats):
                    true = true_drift(frames, 100 + seed)
                    settings = ObservedSettings(
                        frames=frames, per_frame=rate, shape=SHAPE, seed=seed
                    )
                    rows = observe(settings, true)
                    if name == "COMET" and len(rows) > args.most_rows_of_comet:
                        break
                    dataset = Dataset(table=rows, pixel_size_nm=100.0, frame_shape=(frames, *SHAPE))
                    began = time.perf_counter()
                    found = method(dataset, frames)
                    seconds.append(time.perf_counter() - began)
                    xy = found.xy_nm if isinstance(found, Drift) else np.asarray(found)
                    error = (xy - xy.mean(axis=0)) - (true - true.mean(axis=0))
                    residuals.append(float(np.sqrt(np.mean(error**2))))
                    if isinstance(found, Drift):
                        pulls.append(float(np.std(error / found.sd_nm)))
                if residuals:
                    pull = np.mean(pulls) if pulls else None
                    numbers = (np.mean(residuals), max(residuals), pull, np.mean(seconds))
                    table.row(frames, len(rows), name, *numbers)


if __name__ == "__main__":
    main()
