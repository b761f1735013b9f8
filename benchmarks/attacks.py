"""Where claims broke: one condition of a movie at a time, inside the range of `general`.

    python benchmarks/attacks.py [--frames 24] [--size 64] [--conditions pairs ...]

Each is a movie of its own; sigma is 1.3 px, the background 10, the read noise 1 unless said.
`known` is a refined run whose prior has the photons, density and flat background of the movie,
`learned` one whose prior comes from the frames alone, `broad` one that knows only that molecules
have 50 to 20,000 photons; all start from spots. Pull SDs are about 0, bias included.
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from refined import (
    HONESTY,
    PULLS,
    Kinds,
    Scene,
    as_proposed,
    expose,
    groups,
    honesty,
    known,
    learned,
    mixed,
    refined,
    uniform,
)
from report import Report, parse, parser

from napari_smlm_diffusion.evaluation.report import Estimate
from napari_smlm_diffusion.inference.estimator import estimator_of
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.posterior.prior import PhotonPrior
from napari_smlm_diffusion.posterior.words import words
from napari_smlm_diffusion.proposals.localizer import FrameBlock

APART_PX = 12.0
ONE = ((0.0, 0.0),)
Array = NDArray[np.float64]
Places = tuple[tuple[float, float], ...]
Background = Callable[[int, int, np.random.Generator], Array]


def flat(level: float) -> Background:
    """The same everywhere."""
    return lambda frames, size, rng: np.full((frames, size, size), level)


TEN = flat(10.0)


def step(frames: int, size: int, rng: np.random.Generator) -> Array:
    """Background of 5, and of 85 beyond an edge of 4 px."""
    ramp = np.clip((np.arange(size) - size / 2) / 4 + 0.5, 0, 1)
    return np.broadcast_to(5 + 80 * ramp, (frames, size, size))


def blobs(peak: float) -> Background:
    """Light out of focus: three blobs of sigma 3 px in each frame, elsewhere in the next."""

    def images(frames: int, size: int, rng: np.random.Generator) -> Array:
        y, x = rng.uniform(0, size, (2, frames, 3, 1))
        at = np.arange(size)
        rows, columns = (np.exp(-(((at - v) / 3) ** 2) / 2) for v in (y, x))
        return 10 + peak * np.einsum("tky,tkx->tyx", rows, columns)

    return images


def hot(more: float) -> Background:
    """One pixel that always reads too much."""

    def images(frames: int, size: int, rng: np.random.Generator) -> Array:
        image = np.full((frames, size, size), 10.0)
        image[:, size // 2, size // 2] += more
        return image

    return images


def ring(count: int, radius: float) -> Places:
    """Places on a circle."""
    angle = 2 * np.pi * np.arange(count) / count
    return tuple(zip(radius * np.sin(angle), radius * np.cos(angle), strict=True))


@dataclass(frozen=True, eq=False)
class Condition:
    """A movie: groups of molecules, each with its photons, far from each other.

    Attributes
    ----------
    judged : (N,) or None
        Molecules of a group whose errors count; all, if None.
    at_edge : bool
        Groups lie within a pixel of the frame's left edge.
    """

    name: str
    photons: tuple[float, ...] = (1000.0,)
    shape: Places = ONE
    background: Background = TEN
    sigma_px: float = 1.3
    read_noise: float = 1.0
    judged: tuple[bool, ...] | None = None
    at_edge: bool = False
    density: float | None = None

    @property
    def kinds(self) -> Kinds:
        """No two molecules are equally bright."""
        return [(mean, 0.1) for mean in self.photons]

    def scene(self, frames: int, size: int, rng: np.random.Generator) -> Scene:
        """Simulate it."""
        if self.density is not None:
            truth = uniform(frames, size, self.density, self.kinds, rng)
        else:
            truth = groups(frames, size, APART_PX, np.array(self.shape), self.kinds, rng)
        if self.at_edge:
            truth = truth.select(truth.x < APART_PX)
            x = rng.uniform(-0.5, 0.5, len(truth))
            truth = replace(truth, position=np.stack([truth.y, x], axis=1))
        if self.judged is not None:
            judged = np.tile(np.float64(self.judged), len(truth) // len(self.photons))
            truth = replace(truth, probability=judged)
        background = self.background(frames, size, rng)
        of_microscope: dict[str, Any] = {"sigma_px": self.sigma_px, "read_noise": self.read_noise}
        return expose(truth, background, rng, **of_microscope)


TWO, THREE, EIGHT = 2 * (1000.0,), 3 * (1000.0,), 8 * (1000.0,)
CONDITIONS = (
    Condition("uniform, 1 per square micron", density=0.01),
    Condition("uniform, 3 per square micron", density=0.03),
    Condition("isolated 500 on 100", (500.0,), background=flat(100.0)),
    Condition("isolated 500 on 500", (500.0,), background=flat(500.0)),
    Condition("isolated 1000 on 500", background=flat(500.0)),
    Condition("isolated 1000, read noise 20", read_noise=20.0),
    Condition("isolated 4000, sigma 1.8", (4000.0,), sigma_px=1.8),
    Condition("isolated 5000 on 0", (5000.0,), background=flat(0.0)),
    Condition("pairs 1 px apart", TWO, ring(2, 0.5)),
    Condition("three within 0.5 px", THREE, ring(3, 0.25)),
    Condition("pairs 2 px apart", TWO, ring(2, 1.0)),
    Condition("pairs 3 px apart, sigma 1.8", TWO, ring(2, 1.5), sigma_px=1.8),
    Condition("5000 and 500, 2 px: the dim", (5000.0, 500.0), ring(2, 1.0), judged=(False, True)),
    Condition("ring of 8 within 0.55 px", EIGHT, ring(8, 0.275)),
    Condition("edge of the frame, 4000", (4000.0,), at_edge=True),
    Condition("blobs, sigma 3 px, peak 20", background=blobs(20.0)),
    Condition("blobs of peak 50 among 500 photons", (500.0,), background=blobs(50.0)),
    Condition("background step 5 to 85", background=step),
    Condition("hot pixel + 100", background=hot(100.0)),
    Condition("hot pixel + 400", background=hot(400.0)),
)


def runs(
    args: Namespace, condition: Condition, scene: Scene
) -> Iterator[tuple[str, pd.DataFrame, float | None]]:
    """Give the name of each run, its localizations and the share that stayed as proposed."""
    seen = scene.effective, scene.microscope
    level = max(float(np.median(scene.background)), 1e-3)
    for name in args.runs:
        if name == "phi":
            model = load_model(resolve(args.model))
            yield name, estimator_of(model).localize(FrameBlock(seen[0]), seen[1]).table, None
            continue
        if name == "learned":
            prior = learned(*seen)
            print(f"{condition.name}: {words(prior, seen[1])}", file=sys.stderr, flush=True)
        else:
            broad = PhotonPrior.loguniform(50.0, 20_000.0)
            photons = broad if name == "broad" else mixed(condition.kinds)
            prior = known(scene, photons, background=np.full(scene.background.shape, level))
        run = refined(*seen, prior, args.draws)
        yield name, run.table, as_proposed(run)


def holds(numbers: Mapping[str, Estimate]) -> bool:
    """Whether pulls are true to 0.07 and probabilities to 0.03, two standard errors granted."""
    pulls = [numbers[name] for name in ("pull SD along", "across")]
    claimed, true = numbers["P claimed"].value, numbers["precision"]
    return all(abs(one.value - 1) <= 0.07 + 2 * one.error for one in pulls) and bool(
        abs(claimed - true.value) <= 0.03 + 2 * true.error
    )


def main() -> None:
    """Measure phi and refined runs in each condition."""
    names = ("phi", "known", "broad", "learned")
    options = parser(__doc__)
    options.add_argument("--frames", type=int, default=24)
    options.add_argument("--size", type=int, default=64, help="of the frames, camera pixels")
    options.add_argument("--draws", type=int, default=64)
    options.add_argument("--model", default="general")
    options.add_argument("--conditions", nargs="+", default=[""], help="begin so; all by default")
    options.add_argument("--runs", nargs="+", choices=names, default=names)
    quick = {"frames": 2, "size": 24, "draws": 16, "conditions": ["pairs 2"], "runs": ["known"]}
    args = parse(options, quick)
    with Report(args) as report:
        columns = {"condition": None, "run": None} | HONESTY | PULLS | {"as proposed": 3}
        table = report.table("attacks", columns)
        true: dict[str, list[bool]] = {}
        for seed, condition in enumerate(CONDITIONS):
            if condition.name.startswith(tuple(args.conditions)):
                scene = condition.scene(args.frames, args.size, np.random.default_rng((90, seed)))
                for name, found, stayed in runs(args, condition, scene):
                    numbers = honesty(found, scene)
                    shown = [numbers[column] for column in HONESTY | PULLS]
                    table.row(condition.name, name, *shown, stayed)
                    true.setdefault(name, []).append(holds(numbers))
        said = ", ".join(f"{name} {sum(them)} of {len(them)}" for name, them in true.items())
        report.say(f"Claims are true, within two standard errors, in: {said} conditions.")


if __name__ == "__main__":
    main()
