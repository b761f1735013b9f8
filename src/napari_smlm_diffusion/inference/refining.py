"""What turns proposals into the answer of the likelihood, a few frames at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.inference.proposed import Proposed
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.localizer import FrameBlock


@dataclass(frozen=True)
class Answer:
    """What is known of T frames.

    Attributes
    ----------
    table : DataFrame
        Their localizations, in order of frame.
    images : Mapping
        By name, (T, ...) images that are summed over frames: ``density``, ``variance`` on the
        scale of `Refining`, ``residual`` on the camera's pixels.
    draws : DataFrame or None
        Molecules of all draws, when they were to be kept.
    """

    table: pd.DataFrame
    images: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    draws: pd.DataFrame | None = None


class Refining(Protocol):
    """Lets the likelihood correct what was proposed."""

    @property
    def source(self) -> str:
        """What `uncertainty_source` says of a localization that it stands for."""
        ...

    @property
    def scale(self) -> DensityScale | None:
        """Of its density; None: it makes none, and the proposals' own stays."""
        ...

    def __call__(
        self,
        proposed: Sequence[Proposed],
        block: FrameBlock,
        microscope: Microscope,
        origin: tuple[int, int],
    ) -> Answer:
        """Return what the frames of a block say, of which the proposals come part by part.

        The answer for a frame depends on nothing but that frame.
        """
        ...
