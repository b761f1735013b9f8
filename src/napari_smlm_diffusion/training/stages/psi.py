"""The stage that trains Psi: noise a target, ask for it back."""

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from napari_smlm_diffusion.diffusion.psi import Condition, Psi
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.training.batches import draw
from napari_smlm_diffusion.training.pairs import Pairs
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stage import (
    Built,
    LearningStage,
    Parts,
    Tensors,
    network_input_of,
    unit_noise,
)

# Of the settings of Psi, those that its weights belong to.
_BUILT = {"recipe", "width", "multipliers", "encoder_width"}
# Frames over which the SD of the target is measured.
_FRAMES_TO_MEASURE = 128
# Noise levels drawn for each frame: phi and the encoder then work once for all of them.
LEVELS_PER_FRAME = 4


class PsiStage(LearningStage):
    """The denoiser learns; phi and the variance head are fixed."""

    name = "psi"
    needs: ClassVar[tuple[str, ...]] = ("phi", "variance")
    writes: ClassVar[tuple[str, ...]] = ("psi",)
    # A guard against the absurd, not a habit: clipped gradients weigh rare, large errors less, and
    # it is those that make a posterior wide enough.
    clip = 5.0

    def __init__(self, psi: Psi) -> None:
        super().__init__(psi.unet, psi.phi, psi.head)
        self.psi = psi

    @classmethod
    def begin(cls, settings: TrainingSettings, built: Built, resume: bool) -> Self:
        """Begin with the weights of `start_from`, or new ones."""
        del resume
        phi, head = built.load("phi"), built.load("variance")
        torch.manual_seed(settings.seed)
        unet = settings.psi.build(built.networks)
        if start := start_weights(settings):
            # Weights are of use only on the scale that they were trained on.
            denoiser, scale = start
            unet.load_state_dict(denoiser)
        else:
            generator = torch.Generator().manual_seed(settings.seed + 2_000_003)
            frames = draw(settings, _FRAMES_TO_MEASURE, settings.frame_size, generator)
            scale = measure_sigma_data(Psi(phi, head, unet, settings.psi), frames)
        psi = settings.psi.model_copy(update={"sigma_data": scale, "sd_scale": None})
        stage = cls(Psi(phi, head, unet, psi))
        stage.notes["from_nothing"] = start is None
        return stage

    def loss(self, pairs: Pairs, noise: Sequence[Generator]) -> Tensor:
        """Return the mean loss of what the network predicts, over frames and noise levels."""
        psi, n = self.psi, LEVELS_PER_FRAME
        inputs = network_input_of(pairs)
        condition = psi.condition(inputs, *psi.look(inputs))
        clean = padded_target(pairs.density, condition)
        batch = len(clean)
        each, draw = batch // len(noise), psi.recipe.schedule.draw
        sigma = torch.cat([draw(n, source) for source in noise for _ in range(each)])
        clean = clean.repeat_interleave(n, 0)
        noisy = clean + sigma[:, None, None] * unit_noise(clean.shape, noise)
        half, camera = (part.repeat_interleave(n, 0) for part in condition.encoded)
        error = self.error(noisy, clean, sigma, (half, camera), condition.shape)
        return error.abs().pow(psi.recipe.power).mean()

    def error(
        self,
        noisy: Tensor,
        clean: Tensor,
        sigma: Tensor,
        encoded: tuple[Tensor, Tensor],
        shape: tuple[int, int],
    ) -> Tensor:
        """Return the network's answer less what it should have been, in frames of `shape`.

        (N, H, W) noisy and clean targets at (N,) levels, and a condition for each. Padding beyond
        `shape` is no part of the frame.
        """
        precondition = self.psi.precondition
        scale = precondition.coefficients(sigma[:, None, None])[2]
        answer: Tensor = self.psi.unet(scale * noisy, sigma.log(), encoded).float()
        error = answer - precondition.network_target(clean, noisy, sigma)
        return error[:, : shape[0], : shape[1]]

    def show(self, pairs: Pairs) -> dict[str, Tensor]:
        """Return phi's density and the head's SD: samples are drawn with the finished model."""
        _, density, variance = self.psi.look(network_input_of(pairs))
        return {"density": density, "sd": variance.sqrt()}

    def finish(self, settings: TrainingSettings) -> Parts:
        """Return the U-Net."""
        del settings
        return {"psi": (self.psi.settings, halved(self.psi.unet.state_dict()))}


def halved(weights: Tensors) -> Tensors:
    """Half precision: 4 MB less, and far below what the training left undetermined."""
    return {k: v.half() for k, v in weights.items()}


def padded_target(density: Tensor, condition: Condition) -> Tensor:
    """Return what is diffused for the true (B, sY, sX) densities, padded as the condition is."""
    height, width = condition.padded
    below, right = height - density.shape[1], width - density.shape[2]
    return condition.scaling.target(F.pad(density, (0, right, 0, below)))


@torch.no_grad()
def measure_sigma_data(psi: Psi, pairs: Pairs) -> float:
    """Return the rms of the target over simulated frames: EDM's sigma_data."""
    inputs = network_input_of(pairs)
    _, y_hat, variance = psi.look(inputs)
    target = psi.recipe.scaling(y_hat, variance).target(pairs.density)
    return float(target.square().mean().sqrt())


def start_weights(settings: TrainingSettings) -> tuple[Tensors, float] | None:
    """Return Psi's weights in `start_from`, and the SD of the target that they belong to.

    None where there are none, or those of another recipe or size: phi and the variance head of a
    model serve any Psi.
    """
    if settings.start_from is None:
        return None
    tensors, card = checkpoint.load(resolve(settings.start_from, "start_from"))
    wanted = settings.psi.model_dump(include=_BUILT)
    if card.psi is None or card.psi.model_dump(include=_BUILT) != wanted:
        return None
    return denoiser_weights(tensors), card.psi.sigma_data


def denoiser_weights(tensors: Tensors) -> Tensors:
    """Return the weights of a Psi that is a denoiser: before it was distilled, if it was."""
    half = checkpoint.part(tensors, checkpoint.TEACHER) or checkpoint.part(tensors, "psi")
    return {name: tensor.float() for name, tensor in half.items()}
