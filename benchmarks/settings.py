"""What the benchmarks simulate and open: the papers' setting, a usual one, other people's movies.

The papers' setting: one molecule or K on a disc of radius 7 px, in 20 x 20 frames; PSF sigma 0.92
px, 200 photons, read noise 1 e-, no background, pixels of 108 nm. Found within 135 nm, which are 5
fine pixels.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import tifffile
import torch
from numpy.typing import ArrayLike, NDArray

from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.evaluation.metrics import evaluate
from napari_smlm_diffusion.evaluation.report import Estimate, Evaluation
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.information import crlb
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.simulation.light import ConstantPhotons, FlatBackground
from napari_smlm_diffusion.simulation.movie import Movie, MovieSettings, simulate
from napari_smlm_diffusion.simulation.prior import PAPERS, Prior
from napari_smlm_diffusion.simulation.structures import Disc
from napari_smlm_diffusion.training.pairs import Pairs, draw_pairs

SIZE, PIXEL_NM, SIGMA_PX = 20, 108.0, PAPERS.psf_sigma_px[0]
PHOTONS, READ_NOISE, DISC_PX = PAPERS.photons[0], PAPERS.read_noise[0], PAPERS.disc_radius_px
TOLERANCE_NM = 1.25 * PIXEL_NM
MICROSCOPE = Microscope(
    camera=Camera(offset=0.0, gain=1.0, read_noise=READ_NOISE),
    pixel_size_nm=PIXEL_NM,
    psf_sigma_nm=SIGMA_PX * PIXEL_NM,
)
PSF = Gaussian(SIGMA_PX)
# The density that all models are trained for: fine pixels to a camera pixel, SD of the kernel.
FINE, KERNEL = 4, 1.25

# No training has seen these, and no two benchmarks share frames.
SEEDS = {
    "learning": 71_000_001,
    "variance head": 77_000_001,
    "ambiguity": 88_000_001,
    "counting": 88_100_001,
    "evidence": 88_200_001,
    "maps": 91_000_001,
    "localizations": 92_000_001,
    "conditions": 93_000_001,
    "schedules": 94_000_001,
    "comparison": 95_000_001,
    "isolated samples": 96_000_001,
    "papers": 99_000_001,
    "dense": 99_000_301,
}


def papers_movie(molecules: int, frames: int, seed: int) -> Movie:
    """Simulate the papers' setting as a movie: through a camera, in its counts."""
    camera = Camera(offset=100.0, gain=2.2, read_noise=READ_NOISE)
    settings = MovieSettings(
        frames=frames,
        shape=(SIZE, SIZE),
        pixel_size_nm=PIXEL_NM,
        psf_sigma_nm=SIGMA_PX * PIXEL_NM,
        camera=camera,
        count_per_frame=molecules,
        structure=Disc(radius_px=DISC_PX),
        photons=ConstantPhotons(mean=PHOTONS),
        background=FlatBackground(level=0.0),
    )
    return simulate(settings, np.random.default_rng(seed))


def with_count(molecules: int, photons: float = PHOTONS) -> Prior:
    """Return the papers' setting with so many molecules on the disc."""
    return PAPERS.model_copy(
        update={"disc_count": (molecules, molecules), "photons": (photons, photons)}
    )


def pairs_of(
    prior: Prior, frames: int, seed: int | torch.Generator, size: int = SIZE, **more: Any
) -> Pairs:
    """Simulate frames of a prior, with their truth; the same seed gives the same frames."""
    generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
    return draw_pairs(prior, frames, size, DensityScale(FINE, KERNEL), generator, **more)


def truth_of(pairs: Pairs) -> pd.DataFrame:
    """Frame, x and y of the true molecules, in the papers' pixels."""
    true = pairs.emitters
    y, x = true.position.double().numpy().T
    return table(true.frame.numpy(), x, y, PIXEL_NM)


def judge(found: pd.DataFrame, pairs: Pairs) -> Evaluation:
    """Compare localizations with the truth."""
    return evaluate(found, truth_of(pairs), TOLERANCE_NM, np.random.default_rng(0))


def bound_nm(places: ArrayLike, photons: float = PHOTONS) -> float:
    """Root mean square of the exact bound per axis of isolated molecules, without background.

    `places` are y and x in pixels, (N, 2); a hundred are enough.
    """
    known = {"read_noise": READ_NOISE, "background_known": True, "exact": True}
    bounds = [
        crlb([[y, x]], photons, PSF, (SIZE, SIZE), **known)
        for y, x in np.asarray(places, float)[:100]
    ]
    return float(np.sqrt(np.mean([(b.y[0] ** 2 + b.x[0] ** 2) / 2 for b in bounds]))) * PIXEL_NM


def per_axis(result: Evaluation, of: float = 1.0) -> Estimate:
    """Return the RMSE per axis in nm, or over a bound."""
    lateral = result.rmse_lateral_nm
    return Estimate(lateral.value / 2**0.5 / of, lateral.error / 2**0.5 / of)


DATA = Path(os.environ.get("SMLM_DATA", "../shared/data"))
PEERS_TOLERANCE_NM = 100.0
# Insight3 records of storm-analysis: 18 four-byte fields, of which x, y and frame are used.
INSIGHT3 = np.dtype([("x", "<f4"), ("y", "<f4"), ("a", "<f4", 11), ("fr", "<i4"), ("b", "<f4", 4)])


@dataclass(frozen=True)
class Peer:
    """A movie, the camera it was made with, where its truth is, and what else is known of it."""

    name: str
    pixel_nm: float
    camera: Camera
    frames: Callable[[], NDArray[np.generic]]
    truth: Callable[[], pd.DataFrame] | None = None
    known: str = ""


def table(frame: NDArray, x_px: NDArray, y_px: NDArray, pixel_nm: float) -> pd.DataFrame:
    """Return a truth table from 0-based frames and pixel-centred pixels."""
    return pd.DataFrame(
        {
            "frame": np.asarray(frame, dtype=np.int64),
            "x_nm": np.asarray(x_px, dtype=float) * pixel_nm,
            "y_nm": np.asarray(y_px, dtype=float) * pixel_nm,
        }
    )


def corner_csv(path: str) -> pd.DataFrame:
    """Frames from 1, nm from the corner of the first pixel; 100 nm pixels."""
    t = pd.read_csv(DATA / path) if path.endswith(".csv") else pd.read_excel(DATA / path)
    frame, x, y = (t[next(c for c in t if c.startswith(n))] for n in ("frame", "x", "y"))
    return table(frame - 1, x / 100 - 0.5, y / 100 - 0.5, 100.0)


def insight3(path: str) -> pd.DataFrame:
    """Frames from 1, the first pixel's centre at 1; 160 nm pixels."""
    raw = (DATA / path).read_bytes()[16:]
    t = np.frombuffer(raw[: len(raw) // 72 * 72], dtype=INSIGHT3)
    return table(t["fr"] - 1, t["x"] - 1, t["y"] - 1, 160.0)


def picasso_fits(path: str) -> pd.DataFrame:
    """Picasso's own maximum-likelihood fits: not a truth, but a sparse movie's best fit."""
    with h5py.File(DATA / path) as file:
        t = file["locs"][:]
    return table(t["frame"], t["x"], t["y"], 160.0)


def dax(name: str, known: str, *shape: int) -> Peer:
    """Big-endian movie of storm-analysis, with Insight3's table of its truth."""
    return Peer(
        f"storm-analysis {name}",
        160.0,
        Camera(offset=100.0, gain=1.0),
        lambda: np.fromfile(DATA / "storm-analysis" / f"{name}.dax", ">u2").reshape(shape),
        lambda: insight3(f"storm-analysis/{name}_olist.bin"),
        known,
    )


def tif(path: str) -> Callable[[], NDArray[np.generic]]:
    """TIFF stack."""
    return lambda: tifffile.imread(DATA / path)


def emccd(offset: float, total_gain: float) -> Camera:
    """An EMCCD known by its offset and its ADU per photo-electron."""
    return Camera(offset=offset, gain=total_gain / 300, em_gain=300.0)


PEERS = (
    # 131.6 ADU is the level of a background of 20 photons.
    Peer(
        "ArtificialDataset_demo1, 6 molecules per square micron",
        100.0,
        emccd(131.6 - 20 * 2.06, 2.06),
        tif("deep-storm-demo1/ArtificialDataset_demo1.tif"),
        lambda: corner_csv("deep-storm-demo1/positions_demo1.csv"),
        "2,250 photons ± 6 %, 6.1 per µm², PSF sigma 110 nm",
    ),
    Peer(
        "tubulins testStack, bundles",
        100.0,
        emccd(135.0, 1.4),
        tif("deep-storm-demo1/testStack_SimulatedMicrotubules.tif"),
        lambda: corner_csv("deep-storm-demo1/Positions_Bundeld_Tubulin_Recreated.xlsx"),
        "2,150 photons, all alike, 5.5 per µm², PSF sigma 110 nm",
    ),
    dax("test", "0.12 per µm²", 10, 256, 256),
    dax("test_300x200", "0.065 per µm²", 10, 200, 300),
    Peer(
        "picasso origami (against Picasso's fits)",
        160.0,
        Camera(offset=0.0, gain=1.0),
        lambda: np.fromfile(DATA / "picasso/testdata_1000frames.raw", "<u2").reshape(-1, 32, 32),
        lambda: picasso_fits("picasso/testdata_locs.hdf5"),
        "PSF sigma 131 nm",
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
)
