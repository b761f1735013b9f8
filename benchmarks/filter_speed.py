"""How long the picture takes to follow a handle of the filter.

    python benchmarks/filter_speed.py [--rows 100000 1000000] [--threads 2] [--repeats 30]

A table of uniform molecules and a filter of three ranges and a threshold on the SD image. One end
of one range moves to and fro by a part of its column's range, as under the mouse, and each time the
rows are judged and the picture follows: the histogram, or the rows under the density's kernel.
"From scratch" judges every criterion again, counts all kept rows and smooths them: the same
picture without what is remembered from one step to the next.
"""

import argparse
import statistics
import time

import numpy as np
import pandas as pd

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


def row(rows: int, size: int, step: float, threads: int, repeats: int) -> None:
    """Print one row of the table."""
    table = table_of(rows, size)
    grid = FineGrid(
        shape=(size * UPSAMPLING, size * UPSAMPLING), pixel_size_nm=PIXEL_NM, upsampling=UPSAMPLING
    )
    maps = SdMap(np.random.default_rng(1).random(grid.shape), grid)
    fixed = (
        Range(column="photons", minimum=10.0),
        Range(column="probability", minimum=5.0, maximum=90.0),
    )
    live = LiveFilter(table, maps)
    histogram, kernel = LivePicture(table, grid), LivePicture(table, grid, SIGMA, threads)
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
        anew = LivePicture(table, grid)
        anew.show(moved.apply(table, maps).kept)
        kernel_picture(anew.counts, SIGMA, threads)
        ended = time.perf_counter()
        if turn >= 2:  # the first turns meet columns and pixels that are not remembered yet
            parts = (judged - began, counted - judged, smoothed - counted, ended - smoothed)
            for name, part in zip(times, parts, strict=True):
                times[name].append(1e3 * part)
    mask, counts, smooth, scratch = (statistics.median(t) for t in times.values())
    whole = sorted(m + k for m, k in zip(times["mask"], times["kernel"], strict=True))
    print(
        f"| {rows:,} | {size} x {size} | {step:.0%} | {mask:.1f} | {counts:.1f} "
        f"| {mask + counts:.1f} | {mask + smooth:.1f} | {whole[int(0.95 * len(whole))]:.1f} "
        f"| {scratch:.0f} | {(mask + smooth) / scratch:.2f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="for the kernel picture")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    args = parser.parse_args()
    print(
        "| rows | camera pixels | handle moves | mask, ms | histogram, ms | mask + histogram, ms "
        "| mask + kernel, ms | its slowest 5 %, ms | kernel from scratch, ms | ratio |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for rows in args.rows:
        for size in (256, 512):
            for step in (0.01, 0.1, 0.4):
                row(rows, size, step, args.threads, args.repeats)


if __name__ == "__main__":
    main()
