"""Wrong on purpose: what error bars are worth where the model is not true, and what says so.

    python benchmarks/wrong.py [--frames 24] [--size 64] [--conditions width ...]

Movies of one molecule per square micron, 1,000 photons ± 30 %, sigma 1.3 px, background 20, read
noise 1, each wrong in one way. `fixed`: a refined run that is sure of what it was told, and knows
the rest; `learned`: its prior comes from the frames, the width of the spot too. Three ask whether
something is wrong: the share of `fit_p` below 0.05 (which is 0.05 where nothing is), the command
`check` (which names what does not fit), and the movie check, before anything runs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from refined import (
    HONESTY,
    PULLS,
    Kinds,
    Scene,
    check_says,
    expose,
    honesty,
    known,
    learned,
    mixed,
    refined,
    uniform,
)
from report import Report, mean, parse, parser
from scipy.special import j1
from torch import Tensor

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.models.card import load_card
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.moviecheck.check import check_movie
from napari_smlm_diffusion.moviecheck.out_of_range import compare_with_prior, width_mismatch
from napari_smlm_diffusion.optics.psf.base import PSF
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf
from napari_smlm_diffusion.simulation.light import GradientBackground

SIGMA_PX, LEVEL, DENSITY = 1.3, 20.0, 0.01
ALIKE = ((1000.0, 0.3),)


class Elliptic:
    """A Gaussian spot that is wider along one axis, as out of the focus of a cylindrical lens."""

    axes, z_range_nm = ("y", "x"), None

    def __init__(self, sigma_y: float, sigma_x: float) -> None:
        self._along = Gaussian(sigma_y), Gaussian(sigma_x)
        self.sigma_px = (sigma_y * sigma_x) ** 0.5
        self.radius_px = max(one.radius_px for one in self._along)

    def profiles(self, position: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the shares along y and along x."""
        along_y, along_x = self._along
        return along_y.profiles(position, shape)[0], along_x.profiles(position, shape)[1]

    slopes = profiles  # nothing is fitted with it


class Airy:
    """The spot of a perfect lens without a cover glass, whose nearest Gaussian has `sigma_px`."""

    axes, z_range_nm, radius_px = ("y", "x"), None, 14

    def __init__(self, sigma_px: float) -> None:
        self.sigma_px = sigma_px
        # Zhang et al. 2007: sigma = 0.21 wavelengths / NA, and v = 2 pi NA r / wavelength.
        self._per_px = 2 * np.pi * 0.21 / sigma_px

    def image(self, offset: Tensor, radius_px: int | None = None) -> Tensor:
        """Return the share of the light in each pixel of a window, by 5 x 5 points of each."""
        radius, fine = radius_px or self.radius_px, 5
        steps = (np.arange((2 * radius + 1) * fine) - fine // 2) / fine - radius
        y, x = (steps - offset[..., axis, None].numpy() for axis in (0, 1))
        v = self._per_px * np.hypot(y[..., :, None], x[..., None, :]) + 1e-9
        light = (2 * j1(v) / v) ** 2 * self._per_px**2 / (4 * np.pi)
        pixels = light.reshape(*light.shape[:-2], 2 * radius + 1, fine, 2 * radius + 1, fine)
        return torch.from_numpy(pixels.mean((-3, -1)))


@dataclass(frozen=True)
class Wrong:
    """A movie that is not as it is said to be.

    Attributes
    ----------
    name : str
    scene : callable
        From frames, size and a generator to what is told of the movie.
    kinds : Kinds
        What is told of their photons.
    """

    name: str
    scene: Callable[[int, int, np.random.Generator], Scene]
    kinds: Kinds = ALIKE


def movie(
    *,
    kinds: Kinds = ALIKE,
    psf: PSF | None = None,
    told_sigma: float = 1.0,
    told_gain: float = 1.0,
    travel_px: float = 0.0,
    contrast: float = 0.0,
) -> Callable[[int, int, np.random.Generator], Scene]:
    """Return what simulates a movie; widths and gains are told as factors of the true ones."""

    def made(frames: int, size: int, rng: np.random.Generator) -> Scene:
        shine = truth = uniform(frames, size, DENSITY, kinds, rng)
        if travel_px:
            shine = on_the_way(truth, travel_px, rng)
        field = GradientBackground(level=LEVEL, contrast=contrast)
        background = np.array(field.images(frames, (size, size), rng))
        scene = expose(shine, background, rng, sigma_px=SIGMA_PX, psf=psf)
        seen = scene.microscope
        camera = replace(seen.camera, gain=seen.camera.gain * told_gain)
        spot = GaussianPsf(sigma_nm=seen.psf_sigma_nm * told_sigma)
        return Scene(
            effective=scene.effective / np.float32(told_gain),
            truth=truth,
            microscope=seen.model_copy(update={"camera": camera, "psf": spot}),
            background=np.full((size, size), LEVEL / told_gain),
        )

    return made


def on_the_way(
    truth: Emitters[np.ndarray], travel_px: float, rng: np.random.Generator
) -> Emitters[np.ndarray]:
    """Return molecules in eight places along a line that they move in one exposure."""
    parts = 8
    angle = rng.uniform(0, 2 * np.pi, len(truth))
    along = travel_px * ((np.arange(parts) + 0.5) / parts - 0.5)
    way = np.stack([np.sin(angle), np.cos(angle)], 1)[:, None] * along[:, None]
    return replace(
        truth,
        frame=np.repeat(truth.frame, parts),
        position=(truth.position[:, None] + way).reshape(-1, 2),
        photons=np.repeat(truth.photons / parts, parts),
    )


WRONG = (
    Wrong("nothing", movie()),
    *(Wrong(f"width told x {f:g}", movie(told_sigma=f)) for f in (0.8, 0.9, 0.95, 1.05, 1.1, 1.2)),
    Wrong("Airy spot", movie(psf=Airy(SIGMA_PX))),
    Wrong("spot 1.15 by 1.50 px", movie(psf=Elliptic(1.5, 1.15))),
    Wrong("gain told x 1.5", movie(told_gain=1.5), ((1000 / 1.5, 0.3),)),
    Wrong("gain told / 1.5", movie(told_gain=1 / 1.5), ((1500.0, 0.3),)),
    Wrong("photons 400 and 1,600, told 1,000", movie(kinds=((400.0, 0.15), (1600.0, 0.15)))),
    Wrong("moving 3 px in a frame", movie(travel_px=3.0)),
    Wrong("background ± 50 %, told flat", movie(contrast=0.5)),
)


def before(scene: Scene, ranges: dict[str, object]) -> str:
    """Return what the movie check says of a movie of which the width is told."""
    found = check_movie(scene.effective, scene.sigma_px)
    said = [one.quantity for one in compare_with_prior(found, ranges)]
    return ", ".join([*said, *(["width"] if width_mismatch(found) else [])]) or "nothing"


def main() -> None:
    """Measure each."""
    options = parser(__doc__)
    options.add_argument("--frames", type=int, default=24)
    options.add_argument("--size", type=int, default=64, help="of the frames, camera pixels")
    options.add_argument("--draws", type=int, default=64)
    options.add_argument("--conditions", nargs="+", default=[""], help="begin so; all by default")
    options.add_argument("--runs", nargs="+", default=["fixed", "learned"])
    quick = {"frames": 2, "size": 32, "draws": 16, "conditions": ["spot"], "runs": ["fixed"]}
    args = parse(options, quick)
    ranges = load_card(resolve("general")).prior
    with Report(args) as report:
        columns = {"wrong": None, "prior": None, "spot, px": 3} | HONESTY | PULLS
        says = {"fit_p < 0.05": 3, "check": None, "movie check": None}
        table = report.table("wrong", columns | says)
        for seed, wrong in enumerate(WRONG):
            if not wrong.name.startswith(tuple(args.conditions)):
                continue
            scene = wrong.scene(args.frames, args.size, np.random.default_rng((92, seed)))
            seen = scene.effective, scene.microscope
            for name in args.runs:
                prior = known(scene, mixed(wrong.kinds)) if name == "fixed" else learned(*seen)
                run = refined(*seen, prior, args.draws)
                numbers = honesty(run.table, scene)
                low = mean(np.float64(run.table["fit_p"].dropna() < 0.05))
                width = prior.psf.nearest_sigma_nm / seen[1].pixel_size_nm
                shown = [numbers[column] for column in HONESTY | PULLS]
                said = check_says(run, scene), before(scene, ranges)
                table.row(wrong.name, name, width, *shown, low, *said)


if __name__ == "__main__":
    main()
