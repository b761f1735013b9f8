"""Models on movies of other people's simulators, on which they were never trained.

    SMLM_DATA=/path/to/data python benchmarks/peers.py [--models general papers] [--out DIR]

Beside them a classical fit of one Gaussian to each maximum, with its Cramer-Rao bound as the
uncertainty (`classical.py`). A claimed uncertainty is honest if the pull SD is one.
The folders are those named below, with each movie's truth beside it. The PSF width is what the
movie check estimates, as a user would have it. Tolerance 100 nm. With --out a picture of each movie
is written, also of the real ones that have no truth: a frame with what was found in it, and the
density.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import classical
import h5py
import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from napari_smlm_diffusion.evaluation.metrics import evaluate
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.moviecheck.check import check_movie, sample_frames
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.phi import PhiLocalizer

DATA = Path(os.environ.get("SMLM_DATA", "../shared/data"))
TOLERANCE_NM = 100.0

# Insight3 records of storm-analysis: 18 four-byte fields, of which x, y and frame are used.
INSIGHT3 = np.dtype([("x", "<f4"), ("y", "<f4"), ("a", "<f4", 11), ("fr", "<i4"), ("b", "<f4", 4)])


@dataclass(frozen=True)
class Peer:
    """A movie, the camera it was made with, and where its truth is."""

    name: str
    pixel_nm: float
    camera: Camera
    frames: Callable[[], NDArray[np.generic]]
    truth: Callable[[], pd.DataFrame] | None = None


def table(frame: NDArray, x_px: NDArray, y_px: NDArray, pixel_nm: float) -> pd.DataFrame:
    """Return a truth table from 0-based frames and pixel-centred pixels."""
    return pd.DataFrame(
        {
            "frame": np.asarray(frame, dtype=np.int64),
            "x_nm": np.asarray(x_px, dtype=float) * pixel_nm,
            "y_nm": np.asarray(y_px, dtype=float) * pixel_nm,
        }
    )


def corner_csv(path: Path) -> pd.DataFrame:
    """Frames from 1, nm from the corner of the first pixel; 100 nm pixels."""
    t = pd.read_csv(path) if path.suffix == ".csv" else pd.read_excel(path)
    frame, x, y = (t[next(c for c in t if c.startswith(n))] for n in ("frame", "x", "y"))
    return table(frame - 1, x / 100 - 0.5, y / 100 - 0.5, 100.0)


def insight3(path: Path) -> pd.DataFrame:
    """Frames from 1, the first pixel's centre at 1; 160 nm pixels."""
    raw = path.read_bytes()[16:]
    t = np.frombuffer(raw[: len(raw) // 72 * 72], dtype=INSIGHT3)
    return table(t["fr"] - 1, t["x"] - 1, t["y"] - 1, 160.0)


def picasso_fits(path: Path) -> pd.DataFrame:
    """Picasso's own maximum-likelihood fits: not a truth, but a sparse movie's best fit."""
    with h5py.File(path) as file:
        t = file["locs"][:]
    return table(t["frame"], t["x"], t["y"], 160.0)


def dax(name: str, shape: tuple[int, int, int]) -> Callable[[], NDArray[np.generic]]:
    """Big-endian storm-analysis movie."""
    return lambda: np.fromfile(DATA / "storm-analysis" / f"{name}.dax", ">u2").reshape(shape)


def tif(path: str) -> Callable[[], NDArray[np.generic]]:
    """TIFF stack."""
    return lambda: tifffile.imread(DATA / path)


def emccd(offset: float, total_gain: float) -> Camera:
    """An EMCCD known by its offset and its ADU per photo-electron."""
    return Camera(offset=offset, gain=total_gain / 300, em_gain=300.0)


DEEP = DATA / "deep-storm-demo1"
PEERS = [
    # 131.6 ADU is the level of a background of 20 photons.
    Peer(
        "ArtificialDataset_demo1",
        100.0,
        emccd(131.6 - 20 * 2.06, 2.06),
        tif("deep-storm-demo1/ArtificialDataset_demo1.tif"),
        lambda: corner_csv(DEEP / "positions_demo1.csv"),
    ),
    Peer(
        "tubulins testStack",
        100.0,
        emccd(135.0, 1.4),
        tif("deep-storm-demo1/testStack_SimulatedMicrotubules.tif"),
        lambda: corner_csv(DEEP / "Positions_Bundeld_Tubulin_Recreated.xlsx"),
    ),
    Peer(
        "storm-analysis test",
        160.0,
        Camera(offset=100.0, gain=1.0),
        dax("test", (10, 256, 256)),
        lambda: insight3(DATA / "storm-analysis/test_olist.bin"),
    ),
    Peer(
        "storm-analysis test_300x200",
        160.0,
        Camera(offset=100.0, gain=1.0),
        dax("test_300x200", (10, 200, 300)),
        lambda: insight3(DATA / "storm-analysis/test_300x200_olist.bin"),
    ),
    Peer(
        "picasso origami (against Picasso's fits)",
        160.0,
        Camera(offset=0.0, gain=1.0),
        lambda: np.fromfile(DATA / "picasso/testdata_1000frames.raw", "<u2").reshape(-1, 32, 32),
        lambda: picasso_fits(DATA / "picasso/testdata_locs.hdf5"),
    ),
    Peer(
        "dna-paint-crop (real)",
        130.0,
        Camera(offset=100.0, gain=2.0, read_noise=1.5),
        tif("dna-paint-crop/3C_30px_100frames.tif"),
    ),
    Peer(
        "pMHC AF647 (real)",
        100.0,
        Camera(offset=200.0, gain=10.0, em_gain=1.0),
        tif("sdt-python/pMHC_AF647_10frames.tif"),
    ),
]


def picture(
    path: Path, frame: NDArray, found: pd.DataFrame, density: NDArray, pixel: float
) -> None:
    """Write a frame with its molecules beside the density of the whole movie."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(frame, cmap="gray")
    left.scatter(
        found["x_nm"] / pixel, found["y_nm"] / pixel, s=30, facecolors="none", edgecolors="r"
    )
    right.imshow(density, cmap="inferno", vmax=np.quantile(density, 0.999))
    left.set_title("frame 0 and what was found")
    right.set_title("density, all frames")
    figure.savefig(path, dpi=90)


def row(name: str, found: pd.DataFrame, truth: pd.DataFrame | None) -> str:
    """Return the cells of one localizer on one movie."""
    cells: list[object] = [name, len(found)]
    claimed = np.hypot(found["uncertainty_x_nm"], found["uncertainty_y_nm"]) / np.sqrt(2)
    if truth is not None:
        r = evaluate(found, truth, TOLERANCE_NM, np.random.default_rng(0))
        cells += [len(truth), r.jaccard, r.precision, r.recall]
        cells += [f"{r.rmse_lateral_nm.value / np.sqrt(2):.1f}"]
    else:
        cells += 5 * ["-"]
    cells += [f"{claimed.median():.1f}"]
    sure = "-"
    if truth is not None:
        cells += [r.honesty.pull_sd if r.honesty else "-"]
        sure = str(r.honesty_narrow.pull_sd) if r.honesty_narrow else "-"
    else:
        cells += ["-"]
    return " | ".join(str(c) for c in [*cells, sure])


def main() -> None:
    """Print a row per movie and localizer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["general", "papers"])
    parser.add_argument("--out", type=Path, help="for a picture of each movie, by the first model")
    args = parser.parse_args()
    models = {name: load_model(resolve(name)) for name in args.models}
    print(
        "| movie | PSF sigma, px | localizer | found | true | Jaccard | precision | recall "
        "| RMSE per axis, nm | claimed, median nm | pull SD | pull SD, sure rows |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for peer in PEERS:
        photons = peer.camera.effective(peer.frames())
        sample = np.concatenate([photons[a:b] for a, b in sample_frames(len(photons))])
        sigma = check_movie(sample).psf_sigma_px
        microscope = Microscope(
            camera=peer.camera, pixel_size_nm=peer.pixel_nm, psf_sigma_nm=sigma * peer.pixel_nm
        )
        truth = peer.truth() if peer.truth is not None else None
        head = f"| {peer.name} | {sigma:.2f} | "
        for name, model in models.items():
            result = PhiLocalizer(model).localize(photons, microscope)
            print(f"{head}{row(name, result.table, truth)} |", flush=True)
            if args.out and name == args.models[0]:
                args.out.mkdir(parents=True, exist_ok=True)
                first = result.table[result.table["frame"] == 0]
                file = "".join(c if c.isalnum() else "_" for c in peer.name)
                picture(args.out / f"{file}.png", photons[0], first, result.density, peer.pixel_nm)
        print(f"{head}{row('classical', classical.localize(photons, microscope), truth)} |")


if __name__ == "__main__":
    main()
