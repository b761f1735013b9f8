"""The drift, or the ring correlation, as lines of a plot."""

import numpy as np

from napari_smlm_diffusion.postprocessing.drift import Drift
from napari_smlm_diffusion.postprocessing.fourier_ring import THRESHOLD, RingCorrelation
from napari_smlm_diffusion.widgets.shared.line_plot import Axes, Line

# Beyond this frequency, times that of the resolution, a curve is only noise.
_SHOWN = 2.5


def lines_of(found: Drift | RingCorrelation) -> tuple[Axes, tuple[Line, ...]]:
    """Return axes and lines."""
    if isinstance(found, Drift):
        frame = np.arange(len(found.xy_nm), dtype=float)
        lines = [Line(n, frame, found.xy_nm[:, i], found.sd_nm[:, i]) for i, n in enumerate("xy")]
        return Axes("frame", "drift, nm"), tuple(lines)
    down, shown = None, len(found.frequency)
    frequency = 1e3 * found.frequency
    if np.isfinite(found.resolution_nm):
        crossing = 1e3 / found.resolution_nm
        down = crossing, f"{found.resolution_nm:.1f} ± {found.resolution_error_nm:.1f} nm"
        shown = int(np.searchsorted(frequency, _SHOWN * crossing))
    part = slice(0, max(shown, 2))
    axes = Axes(
        "spatial frequency, 1/µm", "ring correlation", (THRESHOLD, "1/7"), down, low=0, high=1
    )
    return axes, (Line("FRC", frequency[part], found.curve[part], found.error[part]),)
