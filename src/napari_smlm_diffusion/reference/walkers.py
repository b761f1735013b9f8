"""Sets of molecules that move side by side by Metropolis-Hastings."""

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.reference.molecules import Molecules, Sets
from napari_smlm_diffusion.reference.region import Array

# Acceptance at which a random walk in the plane moves fastest.
_TARGET = 0.35
# Share of the single moves that put the molecule somewhere else, by the light of the frame.
_ELSEWHERE = 0.1
# Each step is this wide in units of the adapted one, at random: ridges have two widths.
_WIDTHS = np.array([0.5, 1.0, 2.0])
_WIDEST = 3.0


class Walkers:
    """M sets, and the one rule by which they move.

    Parameters
    ----------
    model : Molecules
    sets : Sets
        Where they start.
    rng : numpy.random.Generator
    width_px : float or None
        Of the first steps; None is the PSF's.

    Attributes
    ----------
    powers : (float, float)
        p and q; what is sampled is posterior^p guess^q.
    gain : float
        How fast widths adapt to the acceptance; 0 is not at all.
    """

    def __init__(
        self, model: Molecules, sets: Sets, rng: np.random.Generator, width_px: float | None = None
    ) -> None:
        self.model, self.sets, self.rng = model, sets, rng
        self.powers, self.gain = (1.0, 0.0), 1.0
        self.log_guess, self.log_posterior = model.log_guess(sets), model.log_posterior(sets)
        width = float(np.log(width_px or model.observation.psf.sigma_px))
        self._log_width = {"one": width, "pair": width, "photons": float(np.log(0.3))}

    def take(self, rows: NDArray[np.intp]) -> None:
        """Put the walkers where those of these rows are."""
        self.sets = self.sets.take(rows)
        self.log_guess, self.log_posterior = self.log_guess[rows], self.log_posterior[rows]

    def move(self) -> Array:
        """One round: every molecule, a pair in opposite directions, the photons.

        Two close molecules are known better by their middle than by their distance. Returns the
        share of its single moves that each walker accepted, (M,).
        """
        rng, model = self.rng, self.model
        m, count = len(self.log_guess), model.count
        accepted = np.zeros(m)
        for k in range(count):
            proposed = self.sets.positions.copy()
            proposed[:, k] += self._step("one", 2)
            elsewhere = rng.random(m) < _ELSEWHERE
            proposed[elsewhere, k] = model.guess_places(int(elsewhere.sum()), rng)
            log_hastings = np.zeros(m)
            old, new = self.sets.positions[elsewhere, k], proposed[elsewhere, k]
            log_hastings[elsewhere] = model.log_guess_places(old) - model.log_guess_places(new)
            ok = self.accept(self.sets._replace(positions=proposed), log_hastings)
            self._adapt("one", ok[~elsewhere])
            accepted += ok
        if count > 1:
            one, other = rng.choice(count, 2, replace=False)
            step = self._step("pair", 2)
            proposed = self.sets.positions.copy()
            proposed[:, one] += step
            proposed[:, other] -= step
            self._adapt("pair", self.accept(self.sets._replace(positions=proposed)))
        if model.unknown_photons:
            log_photons = self.sets.log_photons.copy()
            which = rng.integers(model.unknown_photons)
            log_photons[:, which] += self._step("photons", 1)[:, 0]
            self._adapt("photons", self.accept(self.sets._replace(log_photons=log_photons)))
        return accepted / count

    def accept(self, proposed: Sets, log_hastings: Array | float = 0.0) -> NDArray[np.bool_]:
        """Move the walkers that accept, (M,).

        `log_hastings` is the log of the proposal's density back over that forth.
        """
        log_guess = self.model.log_guess(proposed)
        log_posterior = self.model.log_posterior(proposed)
        possible = np.isfinite(log_posterior) & np.isfinite(log_guess)
        with np.errstate(invalid="ignore"):  # -inf - -inf, of what is not possible
            rise = self.powers[0] * (log_posterior - self.log_posterior)
            rise += self.powers[1] * (log_guess - self.log_guess) + log_hastings
        ok = possible & (np.log1p(-self.rng.random(len(rise))) < rise)
        self.sets = self.sets.where(ok, proposed)
        self.log_guess = np.where(ok, log_guess, self.log_guess)
        self.log_posterior = np.where(ok, log_posterior, self.log_posterior)
        return ok

    def _step(self, kind: str, size: int) -> Array:
        m = len(self.log_guess)
        width = np.exp(self._log_width[kind]) * self.rng.choice(_WIDTHS, (m, 1))
        return width * self.rng.standard_normal((m, size))

    def _adapt(self, kind: str, ok: NDArray[np.bool_]) -> None:
        # By all walkers together, so that no single one steers its own step.
        if ok.size:
            width = self._log_width[kind] + self.gain * (ok.mean() - _TARGET)
            self._log_width[kind] = min(float(width), float(np.log(_WIDEST)))
