"""When uncertainties count as true.

Significance alone fails everyone once there are enough rows, and a fixed band alone passes the
lucky: so a number may lie outside its band by its own statistical error, and no further.
"""

import math
from collections.abc import Iterator

from napari_smlm_diffusion.evaluation.report import Estimate, Honesty

COVERAGE_BAND = 0.03
PULL_MEAN_BAND = 0.1
PULL_SD_BAND = 0.07
SIGMAS = 2.576  # two-sided 99 %


def check_honesty(honesty: Honesty) -> list[str]:
    """Return what is not honest about the uncertainties, one sentence each; empty if all is well.

    Checked are the mean pull (0 +- 0.1), the SD of the pull (1 +- 0.07) and the coverage of every
    interval (its level +- 0.03), each band widened by the 99 % bootstrap error of the number. A
    number that cannot be computed is not honest.
    """
    return [
        f"{what} is {got}, allowed is {target:g} +- {band:g}"
        for what, got, target, band in _rules(honesty)
        if not abs(got.value - target)
        <= band + (0 if math.isnan(got.error) else SIGMAS * got.error)
    ]


def _rules(honesty: Honesty) -> Iterator[tuple[str, Estimate, float, float]]:
    yield "the mean pull", honesty.pull_mean, 0.0, PULL_MEAN_BAND
    yield "the SD of the pull", honesty.pull_sd, 1.0, PULL_SD_BAND
    for level, share in honesty.coverage.items():
        yield f"the coverage of the {level} % interval", share, float(level) / 100, COVERAGE_BAND
