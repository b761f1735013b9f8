"""The averaged weights on frames that never change, so that any two trainings compare."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator

from napari_smlm_diffusion.training.batches import draw
from napari_smlm_diffusion.training.ema import Ema
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stage import LearningStage

_FRAMES = 64
_SEED = 20_240_607
# Share of the training's time that metrics may take: on a fast GPU they are skipped now and then.
_SHARE = 0.03


class Validation:
    """What is measured of a stage, always on the same frames.

    Parameters
    ----------
    stage : LearningStage
    settings : TrainingSettings
        Prior and frame size; the frames do not depend on the seed.
    device : torch.device
        Where the stage's networks are.

    Attributes
    ----------
    example : Mapping
        Of one frame, after a validation: ``frame`` (Y, X) effective photons, ``truth`` and
        ``density`` (sY, sX), and ``sd`` (sY, sX), what the stage claims the density to be wrong by,
        if it claims anything. Arrays of float32.
    """

    def __init__(
        self, stage: LearningStage, settings: TrainingSettings, device: torch.device
    ) -> None:
        self.stage, self.device = stage, device
        frames = draw(settings, _FRAMES, settings.frame_size, Generator().manual_seed(_SEED))
        self._batches = [
            frames.select(slice(i, i + settings.batch)).to(device)
            for i in range(0, _FRAMES, settings.batch)
        ]
        self._metrics = stage.metrics(settings, self._batches)
        self._seconds = 0.0
        # A frame with something to see, which is not the most crowded one.
        order = self._batches[0].density.sum((1, 2)).argsort()
        self._seen = int(order[2 * len(order) // 3])
        self.example: Mapping[str, Any] = {}

    @torch.no_grad()
    def __call__(self, ema: Ema, spent: float | None = None) -> dict[str, float]:
        """Return the mean loss of the averaged weights, and what a user understands of it.

        Parameters
        ----------
        ema : Ema
            Whose weights are judged; the network gets its own back.
        spent : float, optional
            Seconds of training so far: metrics beyond the loss are left out while they have taken
            more than 3 % of them. None measures all.
        """
        with self._averaged(ema):
            noise = Generator(self.device).manual_seed(0)  # the same noise every time
            losses = [float(self.stage.loss(batch, [noise])) for batch in self._batches]
            numbers = {"loss": sum(losses) / len(losses)}
            if spent is None or self._seconds <= _SHARE * spent:
                began = time.monotonic()
                numbers |= self._metrics()
                self._seconds += time.monotonic() - began
            self.example = self._example()
        return numbers

    @torch.no_grad()
    def look(self, ema: Ema) -> Mapping[str, Any]:
        """Return the `example` as the averaged weights see it now; as cheap as one frame."""
        with self._averaged(ema):
            return self._example()

    @contextmanager
    def _averaged(self, ema: Ema) -> Iterator[None]:
        """Lend the network the averaged weights; it gets its own back."""
        network = self.stage.network
        current = {k: v.clone() for k, v in network.state_dict().items()}
        network.load_state_dict(ema.state)
        try:
            yield
        finally:
            network.load_state_dict(current)

    def _example(self) -> Mapping[str, Any]:
        seen = self._batches[0].select(slice(self._seen, self._seen + 1))
        images = {"frame": seen.effective, "truth": seen.density, **self.stage.show(seen)}
        return {k: v[0].float().cpu().numpy() for k, v in images.items()}
