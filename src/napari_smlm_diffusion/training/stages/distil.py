"""The stage that teaches Psi to take few steps that lead where many lead.

As progressive distillation (Salimans & Ho 2022), but in one go and along the sampler's own paths:
the teacher goes from noise to a sample in many steps, and the student learns to get from each of a
few of its points to the next at once. Its denoiser is then no mean any more, and belongs to these
noise levels.
"""

import copy
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import torch
from torch import Generator, Tensor

from napari_smlm_diffusion.diffusion.psi import Condition, Psi
from napari_smlm_diffusion.diffusion.samplers import multistep
from napari_smlm_diffusion.diffusion.schedule import LogSchedule
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models.file import TEACHER
from napari_smlm_diffusion.networks.settings import PsiSettings, SamplingSettings
from napari_smlm_diffusion.networks.settings.network import needed
from napari_smlm_diffusion.networks.unet import UNet
from napari_smlm_diffusion.training.pairs import Pairs
from napari_smlm_diffusion.training.settings import RATE_OF_SAMPLER, TrainingSettings
from napari_smlm_diffusion.training.stage import Built, Parts, network_input_of, unit_noise
from napari_smlm_diffusion.training.stages.psi import PsiStage, denoiser_weights, halved

# Steps of the teacher for one of the student's.
TEACHER_STEPS = 4
# The student's last level: of order one the residual is resolved, and the teacher goes on from
# there down to its own last level.
_LAST_NOISE = 1.0


def distilled_sampling(taught: SamplingSettings, steps: int) -> SamplingSettings:
    """Return how a student of so many steps samples."""
    return taught.model_copy(
        update={
            "sampler": "ddim",
            "steps": steps,
            "start": "guided",
            "first_noise": None,
            "last_noise": _LAST_NOISE,
        }
    )


def teacher_levels(schedule: LogSchedule, student: Tensor) -> Tensor:
    """Return the (m n + 1,) levels of the teacher; every m-th is one of the (n + 1,) student's.

    Evenly spaced in log sigma between two of the student's levels, and from its last one above 0 to
    that of `schedule`.
    """
    ends = [*student[:-1].log().tolist(), math.log(schedule.last)]
    m = TEACHER_STEPS
    inner = [torch.linspace(a, b, m + 1)[:-1] for a, b in pairwise(ends[:-1])]
    inner.append(torch.linspace(ends[-2], ends[-1], m))
    return torch.cat([*(part.double().exp() for part in inner), student[-1:]])


class DistilStage(PsiStage):
    """The student learns; it starts as its teacher."""

    name = "distil"
    needs = ("phi", "variance", "psi")
    writes = ("psi", TEACHER)
    rate = RATE_OF_SAMPLER

    def __init__(self, psi: Psi) -> None:
        """`psi` holds the weights of the teacher, and the settings of the student."""
        super().__init__(psi)
        schedule, sampling = psi.recipe.schedule, psi.settings.sampling
        if not isinstance(schedule, LogSchedule):
            raise InputError(
                f"the recipe {psi.recipe.name} has fixed noise levels and cannot be distilled; "
                "a model of the recipe residual can"
            )
        self.levels = psi.levels(sampling)
        self._teacher_levels = teacher_levels(schedule, self.levels)
        teacher: UNet = copy.deepcopy(psi.unet).eval().requires_grad_(False)
        self.teacher = Psi(psi.phi, psi.head, teacher, psi.settings)
        self._fixed.append(teacher)

    @classmethod
    def begin(cls, settings: TrainingSettings, built: Built, resume: bool) -> Self:
        """Begin with the denoiser: what it was before, if it was distilled."""
        del resume
        psi = needed(built.networks, "psi", PsiSettings)
        sampling = distilled_sampling(psi.sampling, settings.distil_steps)
        psi = psi.model_copy(update={"sampling": sampling, "sd_scale": None})
        phi, head = built.load("phi"), built.load("variance")
        unet = psi.build(built.networks)
        unet.load_state_dict(denoiser_weights(built.tensors))
        return cls(Psi(phi, head, unet, psi))

    @torch.no_grad()
    def path(self, condition: Condition, start: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the teacher's images at the student's levels, and its sample, from `start`."""
        seen: list[Tensor] = []
        done = 0

        def denoise(noisy: Tensor, sigma: float) -> Tensor:
            nonlocal done
            if done % TEACHER_STEPS == 0:
                seen.append(noisy)
            done += 1
            return self.teacher.denoise(noisy, sigma, condition).float()

        sample = multistep(denoise, start, self._teacher_levels, lambda _: start)
        return seen, sample

    def loss(self, pairs: Pairs, noise: Sequence[Generator]) -> Tensor:
        """Return the mean squared error of what the student predicts, over frames and steps."""
        psi = self.psi
        inputs = network_input_of(pairs)
        seen = psi.look(inputs)
        with torch.no_grad():
            taught = self.teacher.condition(inputs, *seen)
        start = taught.guess + float(self.levels[0]) * unit_noise(taught.guess.shape, noise)
        images, sample = self.path(taught, start)
        now, after = self.levels[:-1].float(), self.levels[1:].float()
        ratio = (after / now).to(start.device)[:, None, None, None]
        noisy = torch.stack(images)
        ends = torch.stack([*images[1:], sample])
        # The clean image that one step of DDIM towards it ends at `ends`.
        clean = (ends - ratio * noisy) / (1.0 - ratio)
        half, camera = psi.condition(inputs, *seen).encoded
        steps = len(images)
        sigma = now.to(start.device).repeat_interleave(len(inputs))
        encoded = (half.repeat(steps, 1, 1, 1), camera.repeat(steps, 1, 1, 1))
        flat = noisy.flatten(0, 1), clean.flatten(0, 1)
        return self.error(*flat, sigma, encoded, taught.shape).square().mean()

    def finish(self, settings: TrainingSettings) -> Parts:
        """Return the student, and the teacher: what can be trained on, or distilled again."""
        usual = {"sampling": SamplingSettings(), "sd_scale": None}
        teacher = self.psi.settings.model_copy(update=usual)
        weights = halved(self.teacher.unet.state_dict())
        return {**super().finish(settings), TEACHER: (teacher, weights)}
