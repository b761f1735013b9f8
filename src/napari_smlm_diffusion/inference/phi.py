"""The first localizer: phi's density, its components, the calibrated rows."""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.inference.candidates import Candidates, find_candidates
from napari_smlm_diffusion.inference.localizer import Localized
from napari_smlm_diffusion.inference.model import Model
from napari_smlm_diffusion.inference.rows import RowEstimates, estimate, features
from napari_smlm_diffusion.localizations import empty, sort
from napari_smlm_diffusion.settings import Microscope

# One batch holds about this many camera pixels: enough to keep the cores busy, and 30 MB for each
# of the network's images at four times the resolution.
_PIXELS_PER_BATCH = 65_536


class PhiLocalizer:
    """Runs a loaded model.

    Parameters
    ----------
    model : Model
        Networks, row predictor and card.
    min_probability : float
        Candidates below it give no row. A row that is true with probability p raises the expected
        Jaccard index J when p > J / (1 + J), about 0.4 in dense frames.
    batch : int or None
        Frames evaluated at once; None chooses by the frame's size. The answer does not depend on it
        beyond rounding.
    """

    def __init__(
        self, model: Model, min_probability: float = 0.4, batch: int | None = None
    ) -> None:
        self.model = model
        self.name = model.card.name
        self.min_probability = min_probability
        self.batch = batch

    def batch_size(self, shape: tuple[int, int]) -> int:
        """Return the frames evaluated at once for frames of this (Y, X) shape."""
        return self.batch or max(1, _PIXELS_PER_BATCH // (shape[0] * shape[1]))

    def localize(
        self,
        effective: NDArray[np.float32],
        microscope: Microscope,
        first_frame: int = 0,
        origin: tuple[int, int] = (0, 0),
    ) -> Localized:
        """Localize (T, Y, X) effective photons; see `Localizer.localize`."""
        scale = self.model.card.network.upsampling
        height, width = effective.shape[1:]
        density = np.zeros((height * scale, width * scale))
        variance = np.zeros_like(density)
        tables = []
        step = self.batch_size((height, width))
        for start in range(0, len(effective), step):
            found = self.candidates(effective[start : start + step], microscope)
            # Frame by frame in double precision, so that the sum does not depend on the batch.
            for y_hat, v in zip(found.density.numpy(), found.variance.numpy(), strict=True):
                density += y_hat
                variance += v
            tables.append(self._table(found, microscope, first_frame + start, origin))
        tables = [t for t in tables if len(t)]
        table = sort(pd.concat(tables, ignore_index=True)) if tables else empty()
        return Localized(table, density, variance)

    def candidates(self, effective: NDArray[np.float32], microscope: Microscope) -> Candidates:
        """Return the candidates of one batch of (B, Y, X) effective photons."""
        noise = np.asarray(microscope.camera.effective_read_noise, dtype=np.float32)
        network = self.model.card.network
        return find_candidates(
            self.model.phi,
            self.model.variance,
            torch.from_numpy(np.ascontiguousarray(effective, dtype=np.float32)),
            torch.from_numpy(np.atleast_2d(noise**2)[None]),
            microscope.psf_sigma_px,
            network.upsampling,
            network.kernel_sigma,
        )

    def estimates(self, found: Candidates, microscope: Microscope) -> RowEstimates:
        """Return calibrated positions, SDs and probabilities of candidates."""
        network = self.model.card.network
        with torch.inference_mode():
            numbers = features(
                found, microscope.psf_sigma_px, network.kernel_sigma, network.upsampling
            )
            return estimate(self.model.rows, found, numbers)

    def _table(
        self, found: Candidates, microscope: Microscope, first_frame: int, origin: tuple[int, int]
    ) -> pd.DataFrame:
        rows = self.estimates(found, microscope)
        pixel = microscope.pixel_size_nm
        photons = microscope.camera.photons_per_effective
        shape = np.array(found.density.shape[1:]) / self.model.card.network.upsampling
        inside = (rows.y > -0.5) & (rows.y < shape[0] - 0.5)
        inside &= (rows.x > -0.5) & (rows.x < shape[1] - 0.5)
        keep = inside & (rows.probability >= self.min_probability)

        def pick(values: torch.Tensor, scale: float = 1.0) -> NDArray[np.float64]:
            return values[keep].numpy().astype(np.float64) * scale

        ux, uy = pick(rows.sd_x, pixel), pick(rows.sd_y, pixel)
        cx, cy = pick(found.fit.crlb_x, pixel), pick(found.fit.crlb_y, pixel)
        background = pick(found.fit.background, photons)
        table = pd.DataFrame(
            {
                "frame": found.parts.frame[keep].numpy() + first_frame,
                "x_nm": pick(rows.x + origin[1], pixel),
                "y_nm": pick(rows.y + origin[0], pixel),
                "sigma_nm": microscope.psf_sigma_nm,
                "photons": pick(found.fit.photons, photons),
                "background": background,
                # Photons of the background alone, with the read noise: what a fit calls bkgstd.
                "background_sd": np.sqrt(photons * background + self._read_sd(microscope) ** 2),
                "uncertainty_x_nm": ux,
                "uncertainty_y_nm": uy,
                "uncertainty_xy_nm": np.sqrt(0.5 * (ux**2 + uy**2)),
                "probability": pick(rows.probability),
                "crlb_xy_nm": np.sqrt(0.5 * (cx**2 + cy**2)),
                "density_sd": pick(found.density_sd),
                "multiplicity": np.maximum(1, np.rint(pick(found.parts.mass))).astype(np.int64),
                "uncertainty_source": "head" if self.model.rows is not None else "crlb",
            }
        )
        return table

    @staticmethod
    def _read_sd(microscope: Microscope) -> float:
        """Return the read noise in photons, its median for a camera with a map."""
        camera = microscope.camera
        return float(np.median(camera.effective_read_noise)) * camera.photons_per_effective
