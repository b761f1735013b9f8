"""What a stage of a training is: it begins on what is there, learns, and says what to keep."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from napari_smlm_diffusion.kinds import found
from napari_smlm_diffusion.models.file import build
from napari_smlm_diffusion.networks.inputs import network_input
from napari_smlm_diffusion.networks.settings import Network
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.training.distributed import Processes
from napari_smlm_diffusion.training.pairs import Pairs
from napari_smlm_diffusion.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Generator as Noise

Tensors = dict[str, Tensor]
Parts = dict[str, tuple[Network, Tensors]]
"""Networks for the model file: by name, what rebuilds each, and its weights."""
Metrics = Callable[[], dict[str, float]]


@dataclass(frozen=True)
class Built:
    """What a stage is added to: the networks and the record of a model file; nothing at first."""

    networks: Mapping[str, Network] = field(default_factory=dict)
    tensors: Tensors = field(default_factory=dict)
    stages: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def load(self, name: str) -> Any:
        """Return one of the networks, trained, not to be trained on."""
        return build(self.networks, self.tensors, name)


class Stage(ABC):
    """One step on the way to a model; a subclass with a `name` is found by it.

    Attributes
    ----------
    name : str
        Of the stage, and of its file in `training.stages`.
    needs : tuple of str
        All stages that it is trained on top of, the last one last: training one of them anew makes
        it worthless.
    writes : tuple of str
        Networks of the model file that it makes.
    rate : float or None
        Learning rate if none is given, where the usual ones are not for this stage.
    notes : dict
        What the model's card says of it beyond what `run` returns.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]]
    rate: ClassVar[float | None] = None
    _known: ClassVar[dict[str, type["Stage"]]] = {}

    def __init__(self) -> None:
        self.notes: dict[str, Any] = {}

    def __init_subclass__(cls) -> None:
        if "name" in vars(cls):
            Stage._known[cls.name] = cls

    @classmethod
    @abstractmethod
    def begin(cls, settings: TrainingSettings, built: Built, resume: bool) -> Self:
        """Begin on what `built` has, which are the stages of `needs` at least.

        Raises
        ------
        InputError
            If that is not what it needs.
        """

    @abstractmethod
    def run(
        self, settings: TrainingSettings, folder: Path, resume: bool, processes: Processes
    ) -> Generator[Progress, None, dict[str, Any]]:
        """Learn; returns what the model's card says of it. `folder` is for checkpoints."""

    @abstractmethod
    def finish(self, settings: TrainingSettings) -> Parts:
        """Return the networks of `writes`, after `run`."""


class LearningStage(Stage):
    """A stage whose network learns by a loss, step by step (`training.loop`).

    Parameters
    ----------
    network : nn.Module
        The one whose weights are trained.
    fixed : nn.Module
        Those that it is trained on; they change no more.

    Attributes
    ----------
    clip : float
        Norm of the gradient at most.
    """

    clip: ClassVar[float]

    def __init__(self, network: nn.Module, *fixed: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._fixed = [one.eval().requires_grad_(False) for one in fixed]

    def move(self, device: torch.device) -> None:
        """Bring all networks to a device, in the memory layout its convolutions like."""
        for network in (self.network, *self._fixed):
            network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @abstractmethod
    def loss(self, pairs: Pairs, noise: "Sequence[Noise]") -> Tensor:
        """Return the scalar loss of a batch, the mean over its frames.

        A loss that needs noise takes it from `noise`, one source for each of so many equal parts
        of the batch.
        """

    @abstractmethod
    def show(self, pairs: Pairs) -> dict[str, Tensor]:
        """Return the (B, sY, sX) ``density`` of frames and, if claimed, the ``sd`` of its error."""

    def metrics(self, settings: TrainingSettings, batches: Sequence[Pairs]) -> Metrics:
        """Return what measures the stage beyond its loss; `batches` are the validation's frames."""
        del settings, batches
        return dict

    def run(
        self, settings: TrainingSettings, folder: Path, resume: bool, processes: Processes
    ) -> Generator[Progress, None, dict[str, Any]]:
        """Run the training loop."""
        from napari_smlm_diffusion.training.loop import train  # which knows stages

        return (yield from train(self, settings, folder, resume, processes))


def stage_class(name: str) -> type[Stage]:
    """Return a stage.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    return found(Stage._known, name, "stage", f"{__package__}.stages")


def unit_noise(shape: Sequence[int], noise: "Sequence[Noise]") -> Tensor:
    """Return standard normal images of this shape, an equal part of the first axis from each."""
    each = (shape[0] // len(noise), *shape[1:])
    return torch.cat([torch.randn(each, generator=g, device=g.device) for g in noise])


def network_input_of(pairs: Pairs) -> Tensor:
    """Return the (B, 3, Y, X) input of the networks."""
    return network_input(pairs.effective, pairs.read_variance, pairs.psf_sigma_px)
