"""Other ways to an uncertainty, for `comparison.py`: MC dropout, an ensemble, reversible jump.

Each answers a frame with K density images that it takes for equally likely.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from learning import trained
from numpy.typing import NDArray
from settings import FINE, KERNEL, PHOTONS, PSF, READ_NOISE, SIZE
from torch import Tensor

from napari_smlm_diffusion.density import density_image
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import Model, load_model
from napari_smlm_diffusion.networks.deepstorm import DeepStorm
from napari_smlm_diffusion.reference.patches import Patches
from napari_smlm_diffusion.reference.reversible_jump import Draws, sample_patches
from napari_smlm_diffusion.simulation.prior import PAPERS
from napari_smlm_diffusion.simulation.structures import Disc
from napari_smlm_diffusion.training.loop import train
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stages.phi import PhiStage

# Gal & Ghahramani 2016 and Lakshminarayanan et al. 2017.
DROPOUT, MEMBERS = 0.1, 3
CHAINS = 4

Images = NDArray[np.float32]


class Claim(NamedTuple):
    """Mean and variance of every pixel, (sY, sX); nothing is said of two pixels together."""

    mean: Images
    variance: Images

    def draw(self, samples: int, rng: np.random.Generator) -> Images:
        """Take the claim at its word: Gaussian pixels, and independent."""
        images = np.broadcast_to(self.mean, (samples, *self.mean.shape))
        return with_noise(images, self.variance, rng)


def with_noise(images: Images, variance: Images, rng: np.random.Generator) -> Images:
    """Add independent noise of this variance to (K, sY, sX) images."""
    return images + np.sqrt(variance) * rng.standard_normal(images.shape, dtype=np.float32)


@torch.inference_mode()
def head_claim(model: Model, inputs: Tensor) -> Claim:
    """What phi and its variance head say of (1, 3, Y, X) inputs."""
    assert model.variance is not None
    features = model.phi.features(inputs)
    density = model.phi.density(features)
    return Claim(density[0].numpy(), model.variance(features, density).exp()[0].numpy())


def draw_members(
    members: Sequence[Claim], heads: bool, samples: int, rng: np.random.Generator
) -> Images:
    """Draw from an ensemble: a Gaussian with the covariance of the members' means.

    Its pixels move together as the members do. With `heads`, what these claim for each pixel comes
    on top, for each on its own.
    """
    means = np.stack([one.mean for one in members])
    mean = means.mean(0)
    # The mean of M members has an error of its own: 1 + 1/M.
    scale = np.sqrt((1 + 1 / len(means)) / (len(means) - 1))
    weights = rng.standard_normal((samples, len(means))).astype(np.float32)
    images = mean + scale * np.tensordot(weights, means - mean, axes=1)
    if not heads:
        return images
    variance = np.mean([one.variance for one in members], axis=0)
    return with_noise(images, variance, rng)


def ensemble(out: Path, minutes: float) -> list[Model]:
    """Train the members from nothing, each with a seed of its own, `minutes` each."""
    return [
        load_model(
            trained(
                TrainingSettings(
                    name=f"member-{seed}-{minutes:g}",
                    prior=PAPERS,
                    start_from=None,
                    frame_size=SIZE,
                    batch=32,
                    steps=10**6,
                    seed=seed,
                ),
                out,
                minutes,
                ("phi", "variance"),
            )
        )
        for seed in range(1, MEMBERS + 1)
    ]


def _always_drop(phi: DeepStorm) -> DeepStorm:
    for block in phi.trunk:
        block.register_forward_hook(lambda _, __, x: F.dropout2d(x, DROPOUT))
    return phi


def dropout_phi(out: Path, minutes: float) -> DeepStorm:
    """Fine-tune the phi of `papers` with channels dropped after every block, as they stay."""
    settings = TrainingSettings(
        name="dropout",
        prior=PAPERS,
        start_from="papers",
        frame_size=SIZE,
        batch=32,
        steps=10**6,
        minutes=minutes,
    )
    model = load_model(resolve("papers"))
    file = out / "dropout.safetensors"
    phi = _always_drop(model.card.phi.build())
    if file.exists():
        phi.load_state_dict(safetensors.torch.load_file(file))
        return phi.eval()
    phi.load_state_dict(model.phi.state_dict())
    stage = PhiStage(phi, model.card.phi.kernel_sigma)
    (out / "dropout-phi").mkdir(exist_ok=True)
    for progress in train(stage, settings, out / "dropout-phi"):
        if "validation" in progress.info:
            print(f"dropout {progress.done}: {progress.info['validation']:.4f}", flush=True)
    weights = {k: v.contiguous() for k, v in phi.state_dict().items()}
    safetensors.torch.save_file(weights, file)
    return phi.eval()


def jumps(frames: NDArray[np.float64], draws: int, seed: int = 5) -> Draws:
    """Reversible-jump chains that know what the training knew."""
    low, high = PAPERS.disc_count
    patches = Patches(
        frames=frames,
        psf=PSF,
        counts=np.array([float(low <= n <= high) for n in range(high + 1)]),
        photons=PHOTONS,
        read_noise=READ_NOISE,
        region=Disc(radius_px=PAPERS.disc_radius_px),
    )
    return sample_patches(
        patches, np.random.default_rng(seed), chains=CHAINS, draws=draws, burn_in=draws
    )


def places(chains: Draws, frame: int, samples: int) -> Iterator[NDArray]:
    """Places (M, 2) of the molecules in K draws of a frame, spread evenly over its chains."""
    length = chains.count.shape[2]
    for k in range(samples):
        c, d = k % CHAINS, (k // CHAINS) * length * CHAINS // samples
        n = chains.count[frame, c, d]
        yield chains.position[frame, c, d, :n]


def density_of(draws: Iterator[NDArray]) -> Images:
    """(K, sY, sX) densities of draws."""
    images = [density_image(*place.T, (SIZE, SIZE), FINE, KERNEL) for place in draws]
    return np.stack(images).astype(np.float32)
