"""When molecules shine: which of them, in which frame, for what share of the exposure."""

from typing import Annotated, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_smlm_diffusion.settings import Settings


class Activations(NamedTuple):
    """One entry for each frame in which a molecule shines, sorted by frame.

    ``frame`` and ``molecule`` (N,) int64, the latter from 0 to ``molecules`` - 1; ``fraction`` (N,)
    of the exposure, above 0 and at most 1.
    """

    frame: NDArray[np.int64]
    molecule: NDArray[np.int64]
    fraction: NDArray[np.float64]
    molecules: int


class Independent(Settings):
    """Every frame has its own molecules, each on for the whole exposure."""

    kind: Literal["independent"] = "independent"

    def draw(self, frames: int, mean: float, fixed: bool, rng: np.random.Generator) -> Activations:
        """Draw `mean` molecules per frame: in each exactly, if `fixed`, else a Poisson number."""
        counts = np.full(frames, round(mean)) if fixed else rng.poisson(mean, frames)
        n = int(counts.sum())
        return Activations(np.repeat(np.arange(frames), counts), np.arange(n), np.ones(n), n)


class Blinking(Settings):
    """Each molecule goes on and off at random, with exponential dwell times.

    Its share of the time on is `duty`. There are as many molecules as it takes to have the mean
    number of visible ones that was asked for; visible is a molecule that was on at any time of the
    exposure.
    """

    kind: Literal["blinking"] = "blinking"
    on_frames: float = Field(default=3.0, gt=0, le=1e6, description="mean time on, frames")
    duty: float = Field(
        default=0.02, gt=0, lt=1, description="share of the time that a molecule is on"
    )

    @property
    def off_frames(self) -> float:
        """Mean time off, frames."""
        return self.on_frames * (1 - self.duty) / self.duty

    @property
    def visible(self) -> float:
        """Probability that a molecule is seen in a given frame.

        It is not if it was off at the start and no switch came: a two-state Markov process.
        """
        return 1 - (1 - self.duty) * np.exp(-1 / self.off_frames)

    def draw(self, frames: int, mean: float, fixed: bool, rng: np.random.Generator) -> Activations:
        """Draw molecules of which on average `mean` are visible per frame; `fixed` is ignored."""
        molecules = max(round(mean / self.visible), 1) if mean > 0 else 0
        owner, start, end = self._intervals(molecules, frames, rng)
        # Cut each interval at the frame borders...
        first = np.floor(start).astype(np.int64)
        pieces = np.ceil(end).astype(np.int64) - first
        number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        frame = np.repeat(first, pieces) + number
        overlap = np.minimum(np.repeat(end, pieces), frame + 1.0)
        overlap -= np.maximum(np.repeat(start, pieces), frame)
        # ... and add up those of one molecule in one frame.
        key = frame * max(molecules, 1) + np.repeat(owner, pieces)
        unique, inverse = np.unique(key, return_inverse=True)
        fraction = np.minimum(np.bincount(inverse, overlap, len(unique)), 1.0)
        frame, molecule = np.divmod(unique, max(molecules, 1))
        return Activations(frame, molecule, fraction, molecules)

    def _intervals(
        self, molecules: int, frames: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Molecule, start and end of every time on within [0, frames)."""
        owner = np.arange(molecules)
        time = np.zeros(molecules)
        on = rng.random(molecules) < self.duty  # as after a long time; dwell times have no memory
        found: list[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]] = []
        while len(owner):
            dwell = np.where(on, self.on_frames, self.off_frames) * rng.exponential(size=len(owner))
            end = np.minimum(time + dwell, frames)
            found.append((owner[on], time[on], end[on]))
            running = end < frames
            owner, time, on = owner[running], end[running], ~on[running]
        if not found:
            return owner, time, time
        parts = [np.concatenate(column) for column in zip(*found, strict=True)]
        return parts[0], parts[1], parts[2]


Activity: TypeAlias = Annotated[Independent | Blinking, Field(discriminator="kind")]
