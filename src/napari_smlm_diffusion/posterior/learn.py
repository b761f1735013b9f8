"""Learn a movie's prior from a sample of its frames by rounds of short chains.

Stochastic EM (Celeux & Diebolt 1985): draws of the molecules say how bright they are, where they
are, what lies under them and how wide a spot is, and these make the next draws. In a crowd that has
a trap: molecules that were merged teach that molecules are bright, and bright ones are merged. Four
things keep out of it. The first guess comes from the moments of blinking, for which no molecule
need be found (`moviecheck`). Photons are learned where molecules are sparse. Where they are is read
off the light, which does not care how many share it (`density_field`). And of the chains of a frame
half begin with many dim molecules and half with few bright ones.
"""

from collections.abc import Generator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.moviecheck.check import check_movie
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.posterior.background import LEAST, first_field, improved
from napari_smlm_diffusion.posterior.blinking import Blinking
from napari_smlm_diffusion.posterior.density_field import (
    EMPTY,
    block_means,
    blocks_of,
    on_cells,
    shares,
)
from napari_smlm_diffusion.posterior.draws import Draws
from napari_smlm_diffusion.posterior.misfit import dark_variance, misfit, widened
from napari_smlm_diffusion.posterior.prior import MoviePrior, PhotonPrior
from napari_smlm_diffusion.posterior.refiner import Refiner
from napari_smlm_diffusion.posterior.sample import Sample, part_for_chains
from napari_smlm_diffusion.posterior.starts import peeled, rendered
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.settings import Roi

Array = NDArray[np.float64]

_ROUNDS = 12
# Times the background is improved before.
_PEELED = 3
_DRAWS = 4
# Of the last rounds all photons count.
_POOLED = 4
# Cells of the density field along the longer side.
_CELLS = 1024
# Molecules may be this many widths of a spot outside of the frame.
_MARGIN_SIGMAS = 2.0
# Fewer molecules than this say nothing of how bright molecules are.
_FEWEST = 30
# Then they are as bright as from five to a thousand times the noise under one, any equally likely.
_BROAD = (5.0, 1000.0)
# First guess of the photons' spread, and how far half of the chains begin below and above.
_CV, _APART = 0.25, (1.25, 100.0)
# Read noise that is this many SDs from the camera's is believed.
_SURE = 3.0
# A molecule this many SDs of the noise under it is no figment of the prior.
_SEEN = 4.0
# Photons are believed if at least this share of the molecules can be seen.
_BELIEVED = 0.5
# Of fewer, brightness is known up to this factor of what blinking says.
_ABOUT = 10.0
# With this many times the molecules that were expected, fewer frames are enough.
_FAR_MORE = 1.5
# Relative error of the width of a spot that is given, and its largest change in a round.
_WIDTH_ERROR = 0.1


@dataclass(frozen=True)
class Fixed:
    """What the user knows of a movie; None and False is to be learned.

    Attributes
    ----------
    photons : PhotonPrior or None
        Effective photons.
    density_per_px2 : float or None
        Mean molecules per square pixel and frame.
    background : float or None
        Effective photons per pixel, the same everywhere and always.
    psf, read_noise : bool
        Whether the microscope's are right.
    """

    photons: PhotonPrior | None = None
    density_per_px2: float | None = None
    background: float | None = None
    psf: bool = False
    read_noise: bool = False


def learn(
    sample: Sample,
    microscope: Microscope,
    refiner: Refiner | None = None,
    *,
    fixed: Fixed | None = None,
    photons: float | None = None,
    seed: int = 0,
) -> Generator[Progress, None, MoviePrior]:
    """Learn the prior of a movie; a generator that returns it.

    Parameters
    ----------
    sample : Sample
        From `read_sample`.
    microscope : Microscope
        Its camera has the shape of the frames; the width of its PSF is where learning starts.
    refiner : Refiner, optional
        Draws from the posterior of frames; by default two short chains for each.
    fixed : Fixed, optional
    photons : float, optional
        Mean effective photons to begin with, instead of what the moments of blinking say.
    seed : int
    """
    yield Progress(0, _ROUNDS, "Looking at the movie")
    if refiner is None:
        # Compiled when it is first called; whoever only says what was learned needs none of it.
        from napari_smlm_diffusion.posterior.chains.refine import Chains

        refiner = Chains(chains=2, burn_in=4, thin=2, sweeps=0, rounds=1)
    learner = _Learner(sample, microscope, fixed or Fixed(), photons)
    starts = learner.starts()
    for done in range(_ROUNDS):
        yield Progress(done, _ROUNDS, "Learning from the movie", learner.state())
        draws = refiner(
            starts,
            learner.frames.astype(np.float32),
            0,
            learner.microscope,
            learner.prior(whole=False),
            draws=_DRAWS,
            seed=_ROUNDS * seed + done,
        )
        learner.update(draws, done)
        starts = _last(draws, len(learner.frames))
        if done < _ROUNDS - 1 and learner.too_many(draws):
            starts = learner.starts()
    yield Progress(_ROUNDS, _ROUNDS, "Learned from the movie", learner.state())
    return learner.prior(whole=True)


class _Learner:
    """What is known so far."""

    def __init__(
        self, sample: Sample, microscope: Microscope, fixed: Fixed, photons: float | None
    ) -> None:
        effective, numbers = sample
        self.fixed = fixed
        self.pixel_size_nm = microscope.pixel_size_nm
        self.psf = self.given = microscope.psf
        check = check_movie(effective, self.sigma_px)
        size = (effective.shape[1], effective.shape[2])
        self.effective, self.numbers, self.whole = effective, numbers, microscope
        self.blocks = blocks_of(numbers)
        self._choose(*part_for_chains(size, len(effective), np.nan_to_num(check.density_per_px2)))
        known = self.microscope.camera.effective_read_noise
        self.camera_variance = float(np.mean(np.square(known)))
        self.read_variance = self.camera_variance
        if not self.camera_variance and not fixed.read_noise:
            self.read_variance = check.read_noise**2

        self.means, self.counts = block_means(effective, numbers, self.blocks)
        if fixed.background is not None:
            self.background = np.full(size, max(fixed.background, LEAST))
        else:
            field, bare = first_field(effective, self.sigma_px, self.read_variance)
            # In a crowd the darkest places hold light that the moments know of.
            level = 1.0 if bare else np.clip(check.background / field.mean(), 0.3, 1.0)
            self.background = np.maximum(field * level, LEAST)
        self.blinking = Blinking.of(effective, self.sigma_px, self.read_variance)
        self.typical = photons or check.photons
        blinks = self.typical > 0
        first = PhotonPrior.lognormal(self.typical, _CV) if blinks else self._broad()
        self.photons = fixed.photons or first
        self.few = False
        self.pool: list[tuple[Array, Array]] = []
        self.errors: dict[str, float] = {}
        self._spread(self._rest(), np.zeros(len(self.blocks)), again=True)

    def _choose(self, chosen: NDArray[np.intp], part: Roi) -> None:
        """Take these frames of the sample and this part of them for the chains."""
        self.part = part
        self.cut = np.s_[:, part.y0 : part.y1, part.x0 : part.x1]
        self.frames = self.effective[chosen][self.cut].astype(np.float64)
        camera = self.whole.camera.crop(*part)
        self.microscope = self.whole.model_copy(update={"camera": camera})
        edges = [start for start, _ in self.blocks[1:]]
        self.own = np.searchsorted(edges, self.numbers[chosen], side="right")

    def too_many(self, draws: Draws) -> bool:
        """Whether there are far more molecules than was thought; then fewer frames are taken."""
        density = len(draws.emitters) / draws.count / self.frames.size
        size, count = self.effective.shape[1:], len(self.effective)
        chosen, part = part_for_chains((size[0], size[1]), count, density)
        pixels = len(chosen) * (part.y1 - part.y0) * (part.x1 - part.x0)
        if _FAR_MORE * pixels > self.frames.size:
            return False
        self._choose(chosen, part)
        self._spread(self._rest(), np.full(len(self.blocks), density), again=True)
        return True

    def _rest(self) -> Array:
        """Return the light (B,) that the mean frames of the part have beyond the background."""
        rest: Array = self.means[self.cut].mean((1, 2)) - self.background[self.cut[1:]].mean()
        return rest

    def _broad(self) -> PhotonPrior:
        """Return what may be seen at all, about what blinking says of it."""
        dark = float(self.background.mean()) + self.read_variance
        noise = float(np.sqrt(4 * np.pi * self.sigma_px**2 * dark))
        low, high = (factor * noise for factor in _BROAD)
        if low < self.typical < high:
            low, high = max(low, self.typical / _ABOUT), min(high, self.typical * _ABOUT)
        return PhotonPrior.loguniform(low, high)

    @property
    def sigma_px(self) -> float:
        return self.psf.nearest_sigma_nm / self.pixel_size_nm

    def state(self) -> dict[str, float]:
        """Return what is known so far, by name."""
        return {
            "photons": self.photons.mean,
            "photons_cv": self.photons.cv,
            "density_per_px2": float(self.fields.mean()),
            "background": float(self.background.mean()),
            "psf_sigma_px": self.sigma_px,
            "read_noise": float(self.read_variance**0.5),
        }

    def starts(self) -> list[list[Emitters[Array]]]:
        """Return for each frame many dim and few bright molecules that explain it."""
        # What looks like no molecule is background. In a crowd nothing does.
        apart = self.light.mean() < self.background.mean() and self.fixed.background is None
        levels = np.ones(len(self.frames))
        if apart:
            levels = np.median(self.frames / self.background[self.cut[1:]], axis=(1, 2))
            levels = np.maximum(levels / max(levels.mean(), LEAST), LEAST)
        for _ in range(_PEELED if apart else 0):
            under = self.background[self.cut[1:]] * levels[:, None, None]
            bright = self._peeled(under, _APART[1])
            psf = self.psf.build(self.pixel_size_nm)
            light = np.array([rendered(some, psf, self.frames.shape[1:]) for some in bright])
            self._update_background(self.background[self.cut[1:]], levels, light + under)
        under = self.background[self.cut[1:]] * levels[:, None, None]
        ends = [self._peeled(under, factor) for factor in _APART]
        return [list(pair) for pair in zip(*ends, strict=True)]

    def _peeled(self, under: Array, factor: float) -> list[Emitters[Array]]:
        """Return molecules of at most so many times the usual light that explain each frame."""
        variance = np.full(self.frames.shape[1:], self.read_variance)
        psf, most = self.psf.build(self.pixel_size_nm), factor * float(self.photons.quantile(0.5))
        return [
            peeled(frame, dark, variance, psf, most)
            for frame, dark in zip(self.frames, under, strict=True)
        ]

    def prior(self, whole: bool) -> MoviePrior:
        """Return what is known, of the whole field or of the frames of the chains."""
        blocks, fields, background = self.blocks, self.fields, self.background
        if not whole:
            # There a frame's number is its place among them.
            edges = np.searchsorted(self.own, np.arange(len(blocks) + 1)).tolist()
            blocks = tuple(pairwise(edges))
            fields, background = fields[self.fine], background[self.cut[1:]]
        margin = int(np.ceil(_MARGIN_SIGMAS * self.sigma_px))
        density, cell = on_cells(fields, margin, self.cells, _CELLS)
        known = self.camera_variance
        return MoviePrior(
            photons=self.photons,
            density=density,
            blocks=blocks,
            margin_px=float(margin),
            cell_px=cell,
            background=background,
            background_free=self.fixed.background is None,
            psf=self.psf,
            read_noise_scale=(self.read_variance / known) ** 0.5 if known else 1.0,
            extra_variance=0.0 if known else self.read_variance,
            errors=dict(self.errors),
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        """Return what a user should know of how this was learned."""
        notes = []
        if self.few and self.fixed.photons is None:
            low, high = self.photons.quantile((0.01, 0.99))
            notes.append(
                f"Too few molecules in the sample to learn how bright they are: any brightness "
                f"from {low:,.0f} to {high:,.0f} effective photons counts as equally likely."
            )
        elif self.light.mean() > self.background.mean() and not np.isfinite(self.blinking.error):
            notes.append(
                "Molecules overlap and do not blink enough to tell how bright one is: the photons "
                "may be those of merged molecules."
            )
        if self.read_variance != self.camera_variance and not self.fixed.read_noise:
            notes.append(
                f"The frames have a read noise of {self.read_variance**0.5:.2g} effective photons; "
                f"the camera is said to have {self.camera_variance**0.5:.2g}."
            )
        return tuple(notes)

    def update(self, draws: Draws, done: int) -> None:
        """Learn from draws of the frames."""
        fit = misfit(
            self.frames,
            draws.emitters,
            draws.draw,
            draws.field,
            draws.background,
            self.read_variance,
            self.psf,
            self.pixel_size_nm,
        )
        if self.fixed.background is None:
            self._update_background(draws.field, draws.background.mean(1), fit.expected)
        seen = draws.emitters.select(draws.emitters.inside(self.frames.shape[1:]))
        row, column = np.rint(seen.position).astype(int).T
        crowd = self.crowd[self.cut][self.own[seen.frame], row, column]
        self._update_photons(seen, crowd, fit.expected[seen.frame, row, column], done)
        again = 2 * done == _ROUNDS or done == _ROUNDS - 1
        number = np.bincount(seen.frame, minlength=len(self.own)) / (
            draws.count * self.frames[0].size
        )
        self._spread(self._light(draws, fit.expected), self._others(number), again)
        levels = draws.background.mean(1)
        per_frame = np.array([levels / levels.mean(), number / max(number.mean(), 1e-9)])
        level, count = per_frame.std(axis=1) / len(levels) ** 0.5
        self.errors["background"] = float(level * self.background.mean())
        self.errors["density"] = float(count * self.fields.mean())
        if not self.fixed.psf and np.isfinite(fit.width_step):
            # What was given counts as known to ten per cent.
            known, seen_by = _WIDTH_ERROR**-2, fit.width_sd**-2
            off = np.log(self.psf.nearest_sigma_nm / self.given.nearest_sigma_nm)
            step = (seen_by * fit.width_step - known * off) / (seen_by + known)
            step = float(np.clip(step, -_WIDTH_ERROR, _WIDTH_ERROR))
            self.psf = widened(self.psf, float(np.exp(step))) or self.psf
            self.blinking = Blinking.of(self.effective, self.sigma_px, self.read_variance)
            self.errors["psf_sigma_nm"] = fit.width_sd * self.psf.nearest_sigma_nm
        if not self.fixed.read_noise and 2 * done > _ROUNDS:
            change, sd = dark_variance(fit, self.read_variance)
            new = max(self.read_variance + change, 0.0)
            far = abs(new - self.camera_variance) > _SURE * sd
            self.read_variance = new if far else self.camera_variance
            self.errors["read_variance"] = sd

    def _light(self, draws: Draws, expected: Array) -> Array:
        """Return the light of molecules (B,) in the mean frames of the part, photons per pixel."""
        under = draws.background.mean(1) * draws.field.mean()
        light = expected.mean((1, 2)) - under
        # What molecules have in the frames of the chains, or all light there is less the background
        # of those: whichever changes less from frame to frame. All frames have more molecules;
        # but a background that flickers is known in these only.
        weight = under.var() / max(float(under.var() + light.var()), 1e-30)
        rest = self.means[self.cut].mean((1, 2)) - self._others(under)
        return weight * self._others(light) + (1 - weight) * rest

    def _others(self, values: Array) -> Array:
        """Return the mean (B,) of (T,) values over the frames that are not in a block."""
        only = len(self.blocks) == 1
        return np.array([values[(self.own != b) | only].mean() for b in range(len(self.blocks))])

    def _update_background(self, field: Array, levels: Array, expected: Array) -> None:
        weight = 1 / (np.maximum(expected, LEAST) + self.read_variance)
        field = improved(field, self.frames - expected, weight, levels, self.sigma_px)
        ratio = levels.mean() * field / self.background[self.cut[1:]]
        # Beyond the frames of the chains the field goes on as it was, changed as at their border.
        part, (height, width) = self.part, self.background.shape
        beyond = ((part.y0, height - part.y1), (part.x0, width - part.x1))
        self.background = np.maximum(self.background * np.pad(ratio, beyond, mode="edge"), LEAST)

    def _update_photons(self, seen: Emitters[Array], crowd: Array, light: Array, done: int) -> None:
        """Learn photons where few molecules share the light, and from those that can be seen."""
        if self.fixed.photons is not None:
            return
        area = 4 * np.pi * self.sigma_px**2
        noise = np.sqrt(area * (light + self.read_variance))
        alone, kept = np.exp(-crowd), seen.photons > _SEEN * noise
        # Where most are too dim to be seen they are no molecules, or nothing is known of them.
        figments = alone[kept].sum() < _BELIEVED * alone.sum()
        photons, weight, crowd = seen.photons[kept], alone[kept], crowd[kept]
        self.few = bool(figments) or len(photons) < _FEWEST * _DRAWS
        if self.few:
            self.photons, self.pool = self._broad(), []
            self.errors = {k: v for k, v in self.errors.items() if not k.startswith("photons")}
            return
        # Where molecules share their light, how it blinks says more than draws of them.
        ln = np.log(photons)
        at = float(np.average(ln, weights=weight))
        spread = float(np.average((ln - at) ** 2, weights=weight))
        shared = float(np.average(crowd, weights=weight))
        (middle, variance), errors = self.blinking.anchored(
            (at, max(spread, 1e-6)), shared, self.light, self.sigma_px
        )
        photons = np.exp(middle + (ln - at) * (variance / max(spread, 1e-6)) ** 0.5)
        pooled_before = self.pool if done > _ROUNDS - _POOLED else []
        self.pool = [*pooled_before, (photons, weight)]
        pooled = [np.concatenate(some) for some in zip(*self.pool, strict=True)]
        self.photons = PhotonPrior.of_samples(*pooled)
        sampled = (variance * _DRAWS / len(photons)) ** 0.5
        self.errors["photons_mean"] = self.photons.mean * float(np.hypot(errors[0], sampled))
        self.errors["photons_cv"] = errors[1] / (2 * variance**0.5)

    def _spread(self, light: Array, number: Array, again: bool) -> None:
        """Make density fields of the mean frames, given light and number of molecules, (B,) each.

        Per pixel of the part. Where the photons of a molecule are known the light counts.
        """
        mean = float(self.background[self.cut[1:]].mean())
        levels = (self.means[self.cut].mean((1, 2)) - light) / mean
        rest = self.means - levels[:, None, None] * self.background
        if again:
            under = self.background + self.read_variance
            self.shares = shares(rest, under, self.counts, self.photons.mean, self.sigma_px)
        self.cells = self.shares.shape[1] // self.means.shape[1]
        y0, y1, x0, x1 = (self.cells * edge for edge in self.part)
        self.fine = np.s_[:, y0:y1, x0:x1]
        density = rest.mean((1, 2)) / self.photons.mean if not self.few else number
        density = np.maximum(density, EMPTY)
        if self.fixed.density_per_px2 is not None:
            density = np.full_like(density, self.fixed.density_per_px2)
        self.fields = density[:, None, None] * self.shares
        # Other molecules that share a molecule's light.
        area = 4 * np.pi * self.sigma_px**2
        self.crowd = area * np.maximum(rest, 0) / self.photons.mean
        self.light = rest.mean(0)


def _last(draws: Draws, frames: int) -> list[list[Emitters[Array]]]:
    """Return the last draw of each chain, for each frame."""
    chains = draws.chains
    kept = draws.draw >= draws.count - chains
    emitters = draws.emitters.select(kept)
    key = emitters.frame * chains + draws.draw[kept] - (draws.count - chains)
    borders = np.searchsorted(key, np.arange(frames * chains + 1)).reshape(-1)
    return [
        [emitters.select(slice(borders[i], borders[i + 1])) for i in range(t, t + chains)]
        for t in range(0, frames * chains, chains)
    ]
