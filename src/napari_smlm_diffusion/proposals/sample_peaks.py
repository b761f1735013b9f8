"""The molecules of each posterior sample: a set of positions from a density that is nearly clean.

A sample looks like the density of a set of molecules, so that the mixture that explains phi's
density explains it too: what has a mass of at least one half is a molecule, everything below it is
the sampler's grain.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from napari_smlm_diffusion.emitters import Emitters, concatenate
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.proposals.components import find_components

MIN_MASS = 0.5
"""Nearest to one molecule rather than to none."""
# Far above the grain, whose false seeds cost two thirds of the time.
_SEED_THRESHOLD = 0.25
# A molecule of a sample is as narrow as the kernel. Further out is grain only, which has leverage:
# with the window that phi's blurred molecules need it doubles the error of the centres.
_REACH = 2.5
_PIXELS_AT_ONCE = 2_000_000


@torch.inference_mode()
def peaks_of_samples(
    samples: Tensor | ArrayLike,
    kernel_sigma: float,
    upsampling: int,
    min_mass: float = MIN_MASS,
    first: int = 0,
) -> Emitters[np.ndarray]:
    """Find the molecules of each of K samples; no sample depends on the others.

    Parameters
    ----------
    samples : (K, sY, sX) Tensor or array
        Densities in units of one molecule's peak.
    kernel_sigma : float
        SD of the density kernel, fine pixels.
    upsampling : int
        s.
    min_mass : float
        Least mass of a molecule.
    first : int
        Number of the first sample.

    Returns
    -------
    Emitters
        Their frame is the number of the sample, their multiplicity the mass, 1 for one molecule.

    Raises
    ------
    InputError
        If `samples` is not a stack of images.
    """
    stack = torch.as_tensor(np.asarray(samples) if not isinstance(samples, Tensor) else samples)
    if stack.ndim != 3:
        raise InputError(f"samples must be (K, sY, sX) densities, got shape {tuple(stack.shape)}")
    at_once = max(1, _PIXELS_AT_ONCE // max(1, stack[0].numel())) if len(stack) else 1
    found: list[Emitters[np.ndarray]] = []
    for batch in stack.split(at_once):
        parts = find_components(batch.float().cpu(), kernel_sigma, _SEED_THRESHOLD, _REACH)
        parts = parts.select(parts.mass >= min_mass)
        parts = replace(parts, position=parts.position.double(), mass=parts.mass.double())
        peaks = parts.emitters(upsampling).each(Tensor.numpy)
        found.append(replace(peaks, frame=peaks.frame + first))
        first += len(batch)
    return concatenate(found)
