"""What a localizer is: frames in, proposals of molecules out, with or without a density."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.kinds import found
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.networks.localization_head import LocalizationHead
from napari_smlm_diffusion.optics.microscope import Microscope


@dataclass(frozen=True)
class FrameBlock:
    """Frames that follow each other in a movie, and neighbours in time that are only looked at.

    Attributes
    ----------
    effective : (before + T + after, Y, X) float32 array
        Effective photons (see `optics.camera`).
    first : int
        Absolute index of the first of the T frames, from 0.
    before, after : int
        Neighbours among them; fewer than the localizer's `context` where the movie ends.
    """

    effective: NDArray[np.float32]
    first: int = 0
    before: int = 0
    after: int = 0

    def __len__(self) -> int:
        return len(self.effective) - self.before - self.after

    @property
    def frames(self) -> NDArray[np.float32]:
        """(T, Y, X) those that are localized."""
        return self.effective[self.before : self.before + len(self)]

    def part(self, start: int, stop: int, context: tuple[int, int]) -> "FrameBlock":
        """Return frames `start` to `stop` of the T, with as many neighbours as there are."""
        before = min(context[0], self.before + start)
        after = min(context[1], len(self) - stop + self.after)
        where = slice(self.before + start - before, self.before + stop + after)
        return FrameBlock(self.effective[where], self.first + start, before, after)


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """M molecules that are proposed for T frames.

    Attributes
    ----------
    emitters : Emitters
        Sorted by frame, the index among the T frames. The probability is the multiplicity, up to 1,
        where only that is known.
    density, variance : Tensor or None
        (T, sY, sX) on the localizer's `scale`, if it has one.
    density_sd : Tensor or None
        (M,) root of the variance at each.
    samples : int
        Sets of molecules that are proposed for each frame, one beside the other.
    sample : Tensor or None
        (M,) set that each belongs to, if there are several.
    """

    emitters: Emitters[Tensor]
    density: Tensor | None = None
    variance: Tensor | None = None
    density_sd: Tensor | None = None
    samples: int = 1
    sample: Tensor | None = None

    def sets(self, frames: int) -> list[list[Emitters[np.ndarray]]]:
        """Return what is proposed for each of T frames, set by set, with a probability each."""
        found = self.emitters
        if found.probability is None:
            mass = found.multiplicity
            sure = torch.ones(len(found)) if mass is None else mass.clamp(0.0, 1.0)
            found = replace(found, probability=sure)
        every = found.each(Tensor.numpy)
        sample = np.zeros(len(every)) if self.sample is None else self.sample.numpy()
        return [
            [every.select((every.frame == t) & (sample == k)) for k in range(self.samples)]
            for t in range(frames)
        ]


class Localizer(ABC):
    """Proposes molecules; a subclass with a `kind` is found by it.

    Attributes
    ----------
    kind : str
        By which a model's card, or the user, names it.
    model : Model or None
        Whose networks it runs; None: it runs none.
    context : (before, after)
        Neighbours in time that it looks at for a frame.
    head : LocalizationHead or None
        What says how good a proposal is, if the model has learned that.
    """

    kind: ClassVar[str]
    context: ClassVar[tuple[int, int]] = (0, 0)
    _known: ClassVar[dict[str, type["Localizer"]]] = {}

    model: Model | None = None
    head: LocalizationHead | None = None

    def __init_subclass__(cls) -> None:
        Localizer._known[cls.kind] = cls

    def __init__(self, model: Model | None = None) -> None:
        self.model = model

    @property
    def scale(self) -> DensityScale | None:
        """Of the density; None: positions only."""
        return None

    @property
    def has_variance(self) -> bool:
        """Whether it knows the variance of its density."""
        return self.scale is not None and self.model is not None and self.model.variance is not None

    @abstractmethod
    def propose(self, block: FrameBlock, microscope: Microscope) -> Proposals:
        """Propose molecules for the frames of a block.

        Parameters
        ----------
        block : FrameBlock
        microscope : Microscope
            Camera, pixel size, PSF; its maps are already cropped to these frames.
        """


def localizer_of(model: Model) -> Localizer:
    """Return the localizer that a model's card names; a new one is a new file in this room.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    return _named(model.card.localizer)(model)


def localizer_without_model(kind: str) -> Localizer:
    """Return a localizer that runs no network; raises as `localizer_of`."""
    return _named(kind)()


def _named(kind: str) -> type[Localizer]:
    return found(Localizer._known, kind, "localizer", __package__)


def as_tensors(effective: NDArray[np.float32], microscope: Microscope) -> tuple[Tensor, Tensor]:
    """Return (T, Y, X) effective photons, and their squared effective read noise (1, Y|1, X|1)."""
    photons = torch.from_numpy(np.ascontiguousarray(effective, dtype=np.float32))
    noise = np.asarray(microscope.camera.effective_read_noise, dtype=np.float32)
    return photons, torch.from_numpy(np.atleast_2d(noise**2)[None])
