"""What a sampler and its steps cost where the network is perfect.

    python benchmarks/exact_denoiser.py [--draws 160]

First of a mode that is Gaussian, as a displacement nearly is: SD of samples over the true one, by
the mode's SD in units of the residual, from a guided start; no random number is in it. Then the
density of one molecule whose place has a Gaussian posterior is diffused as the shipped recipe does
it, with the denoiser computed exactly over a grid of places. Prints the SD of the density over the
true one for each sampler, number of steps and SD of the place.
"""

import torch
from report import Report, parse, parser
from schedules import spaced
from torch import Tensor

from napari_smlm_diffusion.density import kernel_density
from napari_smlm_diffusion.diffusion.recipe import RECIPES
from napari_smlm_diffusion.diffusion.samplers import SAMPLERS

SIZE = 24
MODES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
# Levels: power of time, first; even in log sigma is the power 1 (`schedules.spaced`).
EVEN, BENT = ("1", 80.0), ("1.4", 20.0)
LAST = 0.1
PLACES = (0.32, 1.2)
RUNS = (
    ("ddim", 8, EVEN),
    ("ddim", 32, EVEN),
    ("ancestral", 8, EVEN),
    ("ancestral", 32, EVEN),
    ("heun", 4, EVEN),
    ("multistep", 4, EVEN),
    ("multistep", 8, EVEN),
    ("multistep", 32, EVEN),
    ("multistep", 4, BENT),
    ("multistep", 8, BENT),
)


def levels_of(steps: int, schedule: tuple[str, float]) -> Tensor:
    """Return the noise levels of a schedule, highest first, then 0."""
    power, first = schedule
    return torch.tensor(spaced(power, first, LAST, steps), dtype=torch.float64)


def sd_ratio(name: str, levels: Tensor, sd_fine: float, draws: int) -> float:
    """Return sampled over true SD of the density, for a place known to `sd_fine` fine pixels."""
    line = torch.linspace(-3.5 * sd_fine, 3.5 * sd_fine, 23)
    dy, dx = (part.flatten() for part in torch.meshgrid(line, line, indexing="ij"))
    centre = SIZE / 8 - 0.5
    y, x = (centre + d[:, None] / 4 for d in (dy, dx))
    kernels = kernel_density(
        torch.stack([y, x], -1), torch.ones_like(y), (SIZE // 4, SIZE // 4), 4, 1.25
    )
    weight = torch.softmax(-(dy**2 + dx**2) / (2 * sd_fine**2), 0)
    mean = (weight[:, None, None] * kernels).sum(0)
    variance = (weight[:, None, None] * (kernels - mean) ** 2).sum(0)
    scaling = RECIPES["residual"].scaling(mean, variance)
    targets = scaling.target(kernels).flatten(1)
    power = (targets**2).sum(1)

    def denoise(noisy: Tensor, sigma: float) -> Tensor:
        flat = noisy.flatten(1)
        log_share = weight.log() - (power - 2 * flat @ targets.T) / (2 * sigma**2)
        return (torch.softmax(log_share, 1) @ targets).reshape(noisy.shape)

    generator = torch.Generator().manual_seed(1)

    def noise(step: int) -> Tensor:
        return torch.randn(draws, SIZE, SIZE, generator=generator)

    start = float(levels[0]) * noise(0)
    drawn = scaling.density(SAMPLERS[name](denoise, start, levels, noise))
    inside = variance.sqrt() > 0.01
    return float((drawn.var(0)[inside].sum() / variance[inside].sum()).sqrt())


def mode_ratio(levels: Tensor, sd: float) -> float:
    """Return sampled over true SD of a Gaussian mode, whose flow only scales the noise."""

    def denoise(noisy: Tensor, sigma: float) -> Tensor:
        return noisy * sd**2 / (sd**2 + sigma**2)

    end = SAMPLERS["multistep"](denoise, levels[:1], levels, lambda _: levels[:1])
    return float(end) / sd


def modes(report: Report) -> None:
    """SD of Gaussian modes."""
    columns = {"mode's SD, in units of the residual": None} | {f"{sd:g}": 2 for sd in MODES}
    table = report.table("modes", columns)
    for first in (80.0, 20.0):
        for power in ("1", "1.4", "2"):
            for steps in (4, 8, 100):
                levels = levels_of(steps, (power, first))
                name = f"{steps} levels, {said(power, first)}"
                table.row(name, *(mode_ratio(levels, sd) for sd in MODES))


def said(power: str, first: float) -> str:
    """Describe a schedule."""
    return f"{'even' if power == '1' else f'power {power}'}, from {first:g}"


def main() -> None:
    """Measure both."""
    options = parser(__doc__)
    options.add_argument("--draws", type=int, default=160)
    args = parse(options, quick={"draws": 4})
    with Report(args) as report:
        modes(report)
        widths = {f"place known to {sd:g} fine px": 3 for sd in PLACES}
        table = report.table("denoiser", {"sampler": None, "steps": 0, "levels": None} | widths)
        for name, steps, schedule in RUNS:
            levels = levels_of(steps, schedule)
            ratios = [sd_ratio(name, levels, sd, args.draws) for sd in PLACES]
            table.row(name, steps, said(*schedule), *ratios)


if __name__ == "__main__":
    main()
