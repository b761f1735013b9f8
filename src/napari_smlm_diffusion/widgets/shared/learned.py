"""What a run refined by draws has learned from its movie, in words and as a curve."""

from typing import Any

import numpy as np
from qtpy.QtWidgets import QWidget

from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.line_plot import Axes, Line, LinePlot

# Photons less likely than this share of the likeliest are not drawn.
_DRAWN = 0.01


class Learned(QWidget):
    """The movie's prior: what draws from the posterior know before they look at a frame."""

    def __init__(self) -> None:
        super().__init__()
        self.words = fields.label(
            "What was learned from the movie itself: brightness and density of molecules, "
            "background, width of the spot."
        )
        self.photons = LinePlot(
            "What draws learn from this movie is shown here.", (300, 130), (220, 100)
        )
        self.photons.setToolTip(
            "How bright molecules are: those with many photons in a frame are more certain.\n"
            "Molecules that shine for a part of a frame are among the dim ones."
        )
        fields.column(self, self.words, self.photons, margins=(6, 6, 6, 6))

    def show_plan(self, plan: Any) -> None:
        """Show what the plan of a run knows of its movie; nothing, if it has not learned."""
        self.words.setText(plan.learned)
        if plan.prior is None:
            self.photons.clear()
            return
        prior = plan.prior.photons
        seen = np.flatnonzero(prior.log_density > prior.log_density.max() + np.log(_DRAWN))
        drawn = slice(seen[0], seen[-1] + 1)
        # Per photon, not per step of their logarithm.
        share = np.exp(prior.log_density[drawn] - prior.ln[drawn])
        photons = np.exp(prior.ln[drawn]) * plan.microscope.camera.photons_per_effective
        axes = Axes("photons of a molecule in a frame", "molecules, relative", low=0.0)
        self.photons.show_lines(axes, Line("molecules", photons, share / share.max()))
