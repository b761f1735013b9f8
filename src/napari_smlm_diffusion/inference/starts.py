"""What a refiner begins with: sets of molecules, each with photons and a probability."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.inference.proposed import Proposed
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.localizer import Proposals, as_tensors
from napari_smlm_diffusion.proposals.photon_fit import fit_amplitudes


def starts_of(
    proposed: Sequence[Proposed], microscope: Microscope
) -> list[list[Emitters[np.ndarray]]]:
    """Return the sets that are proposed for each frame, one or more.

    Photons that were not proposed are those that fit the frame best, of each set alone.
    """
    return [
        sets for one in proposed for sets in _with_photons(one, microscope).sets(len(one.block))
    ]


@torch.inference_mode()
def _with_photons(one: Proposed, microscope: Microscope) -> Proposals:
    found = one.found
    emitters = found.emitters
    if emitters.photons is not None:
        return found
    frames, noise = as_tensors(one.block.frames, microscope)
    alone = emitters
    if found.sample is not None:  # each set has a copy of the frame to itself
        frames = frames.repeat_interleave(found.samples, dim=0)
        alone = replace(emitters, frame=emitters.frame * found.samples + found.sample)
    photons, _, _ = fit_amplitudes(frames, noise, microscope.build_psf(), alone)
    return replace(found, emitters=replace(emitters, photons=photons))
