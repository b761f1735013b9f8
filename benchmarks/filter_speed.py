"""How long the picture takes to follow a handle of the filter.

    python benchmarks/filter_speed.py [--rows 100000 1000000] [--threads 2] [--repeats 30]

A table of uniform molecules and a filter of three ranges and a threshold on the SD image. One end
of one range moves to and fro by a part of its column's range, as under the mouse, and each time the
rows are judged and the picture follows: the histogram, or the rows under the density's kernel.
"From scratch" judges every criterion again, counts all kept rows and smooths them: the same
picture without what is remembered from one step to the next.
"""

import statistics
import time

import numpy as np
import pandas as pd
from report import Report, Table, parse, parser

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.results.criteria import Range, Region, SdMap
from napari_smlm_diffusion.results.filters import Filter, LiveFilter
from napari_smlm_diffusion.results.fine_grid import FineGrid
from napari_smlm_diffusion.results.render import LivePicture, kernel_picture

PIXEL_NM, UPSAMPLING, SIGMA = 100.0, 4, 1.25


def table_of(rows: int, size: int) -> pd.DataFrame:
    """Return `rows` molecules, uniform over `size` x `size` camera pixels."""
    rng = np.random.default_rng(0)
    table = localizations.empty().reindex(range(rows))
    for column in localizations.COLUMNS:
        if not column.required:
            continue
        if column.dtype == "float64":
            table[column.name] = rng.uniform(0.0, 100.0, rows)
        elif column.dtype == "int64":
            table[column.name] = rng.integers(0, 10_000, rows)
        else:
            table[column.name] = "head"
    for name in ("x_nm", "y_nm"):
        table[name] = rng.uniform(-0.5, size - 0.5, rows) * PIXEL_NM
    return localizations.validate(table)


def move(
    out: Table, molecules: pd.DataFrame, size: int, step: float, threads: int, repeats: int
) -> None:
    """Move a handle to and fro by this part of its range."""
    grid = FineGrid(
        shape=(size * UPSAMPLING, size * UPSAMPLING), pixel_size_nm=PIXEL_NM, upsampling=UPSAMPLING
    )
    maps = SdMap(np.random.default_rng(1).random(grid.shape), grid)
    fixed = (
        Range(column="photons", minimum=10.0),
        Range(column="probability", minimum=5.0, maximum=90.0),
    )
    live = LiveFilter(molecules, maps)
    histogram, kernel = LivePicture(molecules, grid), LivePicture(molecules, grid, SIGMA, threads)
    tops = [50.0 + (turn % 2) * 100.0 * step for turn in range(repeats + 2)]
    filters = [
        Filter(
            ranges=(*fixed, Range(column="uncertainty_xy_nm", maximum=top)),
            region=Region(maximum=0.9),
        )
        for top in tops
    ]
    times: dict[str, list[float]] = {name: [] for name in ("mask", "counts", "kernel", "scratch")}
    for turn, moved in enumerate(filters):
        began = time.perf_counter()
        kept = live.apply(moved).kept
        judged = time.perf_counter()
        histogram.show(kept)
        _ = histogram.image
        counted = time.perf_counter()
        kernel.show(kept)
        _ = kernel.image
        smoothed = time.perf_counter()
        anew = LivePicture(molecules, grid)
        anew.show(moved.apply(molecules, maps).kept)
        kernel_picture(anew.counts, SIGMA, threads)
        ended = time.perf_counter()
        if turn >= 2:  # the first turns meet columns and pixels that are not remembered yet
            parts = (judged - began, counted - judged, smoothed - counted, ended - smoothed)
            for name, part in zip(times, parts, strict=True):
                times[name].append(1e3 * part)
    mask, counts, smooth, scratch = (statistics.median(t) for t in times.values())
    whole = sorted(m + k for m, k in zip(times["mask"], times["kernel"], strict=True))
    slow = whole[int(0.95 * len(whole))]
    numbers = (mask, counts, mask + counts, mask + smooth, slow, scratch)
    out.row(len(molecules), f"{size} x {size}", f"{step:.0%}", *numbers)


def main() -> None:
    """Measure tables, frames and moves of several sizes."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=30)
    options.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    args = parse(options, quick={"repeats": 2, "rows": [1000]})
    with Report(args) as report:
        known = {"localizations": 0, "camera pixels": None, "handle moves": None}
        parts = {"mask, ms": 1, "histogram, ms": 1, "mask + histogram, ms": 1}
        kernel = {"mask + kernel, ms": 1, "its slowest 5 %, ms": 1, "kernel from scratch, ms": 0}
        table = report.table("filter_speed", known | parts | kernel)
        for rows in args.rows:
            for size in (256, 512):
                molecules = table_of(rows, size)
                for step in (0.01, 0.1, 0.4):
                    move(table, molecules, size, step, args.threads, args.repeats)


if __name__ == "__main__":
    main()
