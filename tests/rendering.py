"""Frames for tests: what the forward model expects of Gaussian spots, in numpy."""

import numpy as np
import torch

from napari_smlm_diffusion.optics import forward
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian


def expected_image(y, x, photons, shape, sigma, background=0.0):
    """Return the (Y, X) expected photons of M molecules, float64."""
    position = torch.from_numpy(np.stack(np.broadcast_arrays(np.asarray(y, float), x), axis=-1))
    bright = torch.as_tensor(np.broadcast_to(np.asarray(photons, float), len(position)).copy())
    width = torch.as_tensor(sigma, dtype=torch.float64) if np.ndim(sigma) else float(sigma)
    return forward.expected(position, bright, Gaussian(width), shape).numpy() + background
