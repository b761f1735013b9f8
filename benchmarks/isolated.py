"""An isolated molecule: samples against the exact posterior, and the law of the guided start.

    python benchmarks/isolated.py [--model papers] [--frames 24] [--samples 256]

How far the SD map (over pixels where the exact SD is above 0.01) and the mean map of K samples are
from the exact ones of a position grid, those of Metropolis-Hastings (beta = 1) and of the papers'
tempered chain beside them. Then the SD of samples for lower first noise levels, over that of a
start at 120, and what the law predicts.
"""

import numpy as np
from numpy.typing import NDArray
from report import Report, mean, parse, parser
from settings import (
    FINE,
    KERNEL,
    MICROSCOPE,
    PHOTONS,
    PSF,
    READ_NOISE,
    SIZE,
    pairs_of,
    with_count,
)

from napari_smlm_diffusion.density import density_image
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import Model, load_model
from napari_smlm_diffusion.networks.inputs import network_input
from napari_smlm_diffusion.networks.settings import SamplingSettings
from napari_smlm_diffusion.proposals.diffusion_samples import Moments, Posterior
from napari_smlm_diffusion.reference.grid import grid_posterior
from napari_smlm_diffusion.reference.metropolis import papers_chain, sample_posterior
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.simulation.structures import Disc
from napari_smlm_diffusion.training.pairs import Pairs

LEVELS = (120.0, 80.0, 40.0, 20.0, 10.0, 5.0, 2.5)
LEAST_SD = 0.01
Image = NDArray[np.float64]


def distance(got: tuple[Image, Image], exact: tuple[Image, Image]) -> tuple[float, ...]:
    """Compare mean and SD maps: SDs' correlation, rms difference, ratio; means' worst."""
    (mean_map, sd), (exact_mean, exact_sd) = got, exact
    inside = exact_sd > LEAST_SD
    a, b = sd[inside], exact_sd[inside]
    power = np.mean(b**2)
    return (
        float(np.corrcoef(a, b)[0, 1]),
        float(np.sqrt(np.mean((a - b) ** 2) / power)),
        float(np.sqrt(np.mean(a**2) / power)),
        float(np.abs(mean_map - exact_mean).max()),
    )


def sampled(posterior: Posterior, frame: NDArray[np.float32], index: int, samples: int) -> Moments:
    """Return the moments of K samples."""
    moments = Moments((FINE * SIZE, FINE * SIZE))
    for batch in posterior.draw(frame, index, samples):
        moments.add(batch.numpy())
    return moments


def compare(model: Model, frames: int, samples: int, report: Report) -> None:
    """Compare with the exact posterior."""
    pairs = pairs_of(with_count(1), frames, seed=31)
    posterior = Posterior(model, MICROSCOPE)
    rng = np.random.default_rng(5)
    found: dict[str, list[tuple[float, ...]]] = {}
    for index, frame in enumerate(pairs.effective.numpy()):
        seen = Observation(frame, PSF, read_noise=READ_NOISE, region=Disc())
        drawn = sampled(posterior, frame, index, samples)
        made = {
            "Metropolis-Hastings": sample_posterior(seen, PHOTONS, 1, rng),
            "papers' chain (tempered)": papers_chain(seen, PHOTONS, 1, rng),
            "exact": grid_posterior(seen, PHOTONS),
        }
        maps = {f"diffusion, K = {samples}": (drawn.mean, np.sqrt(drawn.variance))}
        for name, draws in made.items():
            images = draws.density_maps(FINE, KERNEL)
            maps[name] = (images.mean, images.sd)
        exact = maps.pop("exact")
        for name, pair in maps.items():
            *spread, worst = distance(pair, exact)
            found.setdefault(name, []).append((*spread, worst / exact[0].max()))
    columns = {"SD map: correlation": 3, "rms difference": 3, "SD / exact": 3}
    table = report.table("isolated", {"sampler": None} | columns | {"mean map: worst / peak": 3})
    for name, values in found.items():
        table.row(name, *map(mean, np.array(values).T))


def predicted_ratio(model: Model, pairs: Pairs, index: int, sd_px: float, first: float) -> float:
    """SD ratio by the law of the guided start, for the mean over the frame's molecules.

    r is the displacement's variance over what noise of this level hides of it:
    r = sd^2 sum_x (dk/dd)^2 / (first s(x))^2; the ratio is sqrt(r / (1 + r)^2 + 1 / (1 + r)).
    """
    assert model.psi is not None
    inputs = network_input(
        pairs.effective[index : index + 1],
        pairs.read_variance[index : index + 1],
        pairs.psf_sigma_px[index : index + 1],
    )
    _, y_hat, variance = model.psi.look(inputs)
    spread = model.psi.recipe.scaling(y_hat, variance).spread[0].double().numpy()
    ratios = []
    for y, x in pairs.position[index]:
        kernel = [
            density_image([float(y)], [float(x) + d], (SIZE, SIZE), FINE, KERNEL)
            for d in (-0.05, 0.05)
        ]
        slope = (kernel[1] - kernel[0]) / 0.1
        r = sd_px**2 * float((slope**2 / (first * spread) ** 2).sum())
        ratios.append(r / (1 + r) ** 2 + 1 / (1 + r))
    return float(np.mean(ratios))


def law(model: Model, frames: int, samples: int, steps: int, report: Report) -> None:
    """Measured and predicted SD for several first noise levels, over that of the highest."""
    shown = [f"{level:g}" for level in LEVELS[1:]]
    table = report.table("first noise", {"first noise": None} | dict.fromkeys(shown, 3))
    for name, molecules, seed in (("one molecule", 1, 41), ("ten on the disc", 10, 42)):
        pairs = pairs_of(with_count(molecules), frames, seed)
        measured = {}
        for first in LEVELS:
            sampling = SamplingSettings(sampler="multistep", steps=steps, first_noise=first)
            posterior = Posterior(model, MICROSCOPE, sampling, seed=3)
            drawn = [
                sampled(posterior, frame, i, samples).variance.sum()
                for i, frame in enumerate(pairs.effective.numpy())
            ]
            measured[first] = np.array(drawn)
        whole = measured[LEVELS[0]]
        # The displacement of a molecule from what its variance does to the density.
        sd = np.sqrt(whole / molecules / _slope_power())
        ratios = [np.sqrt(measured[first].sum() / whole.sum()) for first in LEVELS[1:]]
        table.row(f"{name}, measured", *ratios)
        claims = [
            [predicted_ratio(model, pairs, i, one, first) for i, one in enumerate(sd)]
            for first in LEVELS[1:]
        ]
        table.row(f"{name}, predicted", *np.sqrt(np.dot(claims, whole) / whole.sum()))


def _slope_power() -> float:
    """Sum over the density of the squared change with a molecule's y and x, per camera pixel^2."""
    middle = (SIZE - 1) / 2
    power = 0.0
    for dy, dx in ((0.05, 0.0), (0.0, 0.05)):
        a = density_image([middle - dy], [middle - dx], (SIZE, SIZE), FINE, KERNEL)
        b = density_image([middle + dy], [middle + dx], (SIZE, SIZE), FINE, KERNEL)
        power += float((((b - a) / 0.1) ** 2).sum())
    return power


def main() -> None:
    """Measure both."""
    options = parser(__doc__)
    options.add_argument("--model", default="papers")
    options.add_argument("--frames", type=int, default=24)
    options.add_argument("--samples", type=int, default=256)
    options.add_argument("--steps", type=int, default=16, help="that only the start differs")
    args = parse(options, quick={"frames": 2, "samples": 8, "steps": 2})
    model = load_model(resolve(args.model))
    with Report(args) as report:
        compare(model, args.frames, args.samples, report)
        law(model, max(2, args.frames // 2), max(4, args.samples // 4), args.steps, report)


if __name__ == "__main__":
    main()
