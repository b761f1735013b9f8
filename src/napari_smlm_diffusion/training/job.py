"""Training a model from settings to a model file: phi, its heads, Psi and its sampler."""

from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from napari_smlm_diffusion import __version__
from napari_smlm_diffusion.diffusion.psi import Psi
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.card import ModelCard
from napari_smlm_diffusion.models.file import TEACHER, part, with_prefix
from napari_smlm_diffusion.networks.deepstorm import DeepStorm
from napari_smlm_diffusion.networks.localization_head import LocalizationHead
from napari_smlm_diffusion.networks.settings import (
    LocalizationHeadSettings,
    Network,
    PsiSettings,
    SamplingSettings,
    VarianceSettings,
)
from napari_smlm_diffusion.networks.unet import UNet
from napari_smlm_diffusion.networks.variance import VarianceHead
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.training.batches import check_processes, draw
from napari_smlm_diffusion.training.distil import DistilStage, distilled_sampling
from napari_smlm_diffusion.training.distributed import Processes, Stopped, joined
from napari_smlm_diffusion.training.energy import EnergyStage
from napari_smlm_diffusion.training.hardware import training_device
from napari_smlm_diffusion.training.localization_head import collect_candidates, fit_head
from napari_smlm_diffusion.training.loop import train
from napari_smlm_diffusion.training.psi import PsiStage, measure_sigma_data
from napari_smlm_diffusion.training.scale import fit_scale
from napari_smlm_diffusion.training.settings import (
    ALL_STAGES,
    RATE_OF_SAMPLER,
    STAGE_WORDS,
    STAGES,
    StageName,
    TrainingSettings,
)
from napari_smlm_diffusion.training.stages import PhiStage, VarianceStage
from napari_smlm_diffusion.training.start import (
    denoiser_weights,
    prepared,
    psi_weights,
    start_file,
)
from napari_smlm_diffusion.training.start import weights as start_weights
from napari_smlm_diffusion.writing import disk_errors

# What a stage is trained on top of; training one anew makes those that need it worthless.
_NEEDS: dict[StageName, tuple[StageName, ...]] = {
    "phi": (),
    "variance": ("phi",),
    "rows": ("phi", "variance"),
    "psi": ("phi", "variance"),
    "distil": ("phi", "variance", "psi"),
    "energy": ("phi", "variance", "psi", "distil"),
}
Tensors = dict[str, torch.Tensor]
# From settings, folder of the model, folder of the checkpoint, whether to resume, and processes.
_Train = Callable[[TrainingSettings, Path, Path, bool, Processes], Generator[Progress, None, None]]

# Frames over which the SD of Psi's target is measured.
_FRAMES_TO_MEASURE = 128

# Frames simulated for the localization head: about 60,000 candidates of the general prior.
ROW_FRAMES = 2400
ROW_FRAME_SIZE = 40


def model_file(settings: TrainingSettings, out: Path) -> Path:
    """Return where the model of these settings is written."""
    return out / f"{settings.name}.safetensors"


def stage_folder(settings: TrainingSettings, out: Path, stage: StageName) -> Path:
    """Return the folder of a stage's resumable checkpoint."""
    return out / f"{settings.name}-{stage}"


def train_model(
    settings: TrainingSettings,
    out: Path,
    stages: Sequence[StageName] = STAGES,
    resume: bool = False,
) -> Generator[Progress, None, Path]:
    """Train stages in their order and write the model file after each.

    Started by ``torchrun`` in several processes, all of them train, and the first one yields and
    writes (see `distributed`).

    Parameters
    ----------
    settings : TrainingSettings
        The same for every stage; steps and minutes count for each.
    out : Path
        Gets `model_file` and the folders of the checkpoints.
    stages : sequence of str
        Of `ALL_STAGES`. The variance head needs a phi in the model file, or in `start_from` when
        there is no model file yet; `rows` and Psi need the head too, distil a Psi, and energy a
        distilled one that has not had it.
    resume : bool
        Continue the first of the stages from its checkpoint.

    Returns
    -------
    Path
        The model file.

    Raises
    ------
    InputError
        If a stage finds nothing to build on, the model to start from does not fit, or the device is
        not there.
    OutputError
        If a file cannot be written.
    SmlmError
        If the training diverges.
    """
    settings = prepared(settings)
    _built_on(settings, out, stages[0])  # before the folder is made
    run: dict[StageName, _Train] = {
        "phi": _train_phi,
        "variance": _train_variance,
        "rows": _train_localization_head,
        "psi": _train_psi,
        "distil": partial(_train_sampler, "distil"),
        "energy": partial(_train_sampler, "energy"),
    }
    with joined(training_device(settings)) as processes:
        check_processes(settings, processes)
        try:
            for stage in stages:
                folder = stage_folder(settings, out, stage)
                with disk_errors(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                going_on = resume and stage == stages[0]
                yield from run[stage](settings, out, folder, going_on, processes)
        except Stopped:  # by the first process, which says why
            pass
    return model_file(settings, out)


def _named(stage: StageName) -> str:
    """Return a stage by what it trains, for people, and by its name."""
    return f"the {STAGE_WORDS[stage]} (the stage {stage})"


def _built_on(
    settings: TrainingSettings, out: Path, stage: StageName
) -> tuple[Tensors, ModelCard | None]:
    """Return the weights and the card that a stage is added to."""
    path = model_file(settings, out)
    if stage == "phi":
        return {}, None
    if not path.exists() and settings.start_from is not None:
        path = start_file(settings.start_from)
    needed = _NEEDS[stage][-1]
    if not path.exists():
        raise InputError(f"{path} does not exist; train {_named(needed)} into {out} first")
    tensors, card = checkpoint.load(path)
    if needed not in card.stages:
        raise InputError(f"{path} has no {needed}; train {_named(needed)} first")
    if card.phi != settings.network:
        raise InputError(
            f"{settings.network} is asked for, {path} has {card.phi}; make them the same, or "
            f"train {_named('phi')} again",
            field="network",
        )
    return tensors, card


def _save(
    settings: TrainingSettings,
    out: Path,
    stage: StageName,
    tensors: Tensors,
    card: ModelCard | None,
    result: dict[str, Any],
    psi: PsiSettings | None = None,
) -> None:
    """Write the model file with this stage's result, without what was built on an older one."""
    before = {} if card is None else card.stages
    kept = {k: v for k, v in before.items() if k != stage and stage not in _NEEDS[k]}  # type: ignore[index]
    record = {
        "command": f"smlm-diffusion train --config {settings.name}.json --stage {stage}",
        "settings": settings.model_dump(mode="json"),
        **result,
    }
    stages = {name: kept.get(name, record) for name in ALL_STAGES if name in kept or name == stage}
    if psi is None and card is not None and "psi" in kept:
        psi = card.psi
    networks: dict[str, Network] = {"phi": settings.network}
    if "variance" in stages:
        networks["variance"] = VarianceSettings()
    if "rows" in stages:
        networks["rows"] = LocalizationHeadSettings()
    if psi is not None:
        networks["psi"] = psi
        if "distil" in stages:
            usual = {"sampling": SamplingSettings(), "sd_scale": None}
            networks[TEACHER] = psi.model_copy(update=usual)
    new = ModelCard(
        name=settings.name,
        description=settings.description,
        package_version=__version__,
        networks=networks,
        prior=settings.prior.model_dump(mode="json"),
        stages=stages,
        licence=settings.licence,
    )
    weights = {k: v for k, v in tensors.items() if k.split(".")[0] in networks}
    checkpoint.save(model_file(settings, out), weights, new)


def _train_phi(
    settings: TrainingSettings, out: Path, folder: Path, resume: bool, processes: Processes
) -> Generator[Progress, None, None]:
    torch.manual_seed(settings.seed)
    phi = settings.network.build()
    if start := start_weights(settings, "phi"):
        phi.load_state_dict(start)
    stage = PhiStage(phi, settings.network.kernel_sigma)
    result = yield from train(stage, settings, folder, resume, processes)
    with processes.waiting():
        if processes.leads:
            _save(settings, out, "phi", with_prefix(phi.state_dict(), "phi"), None, result)


def _phi_of(settings: TrainingSettings, tensors: Tensors) -> DeepStorm:
    phi = settings.network.build()
    phi.load_state_dict(part(tensors, "phi"))
    return phi.eval().requires_grad_(False)


def _head_of(settings: TrainingSettings, tensors: Tensors) -> VarianceHead:
    head = VarianceHead(settings.network.channels)
    head.load_state_dict(part(tensors, "variance"))
    return head.eval().requires_grad_(False)


def _train_variance(
    settings: TrainingSettings, out: Path, folder: Path, resume: bool, processes: Processes
) -> Generator[Progress, None, None]:
    tensors, card = _built_on(settings, out, "variance")
    phi = _phi_of(settings, tensors)
    torch.manual_seed(settings.seed)
    head = VarianceHead(settings.network.channels)
    if start := start_weights(settings, "variance"):
        head.load_state_dict(start)
    result = yield from train(VarianceStage(phi, head), settings, folder, resume, processes)
    with processes.waiting():
        if processes.leads:
            fit_scale(phi, head, settings)
            tensors |= with_prefix(head.state_dict(), "variance")
            _save(settings, out, "variance", tensors, card, result)


def _train_localization_head(
    settings: TrainingSettings, out: Path, folder: Path, resume: bool, processes: Processes
) -> Generator[Progress, None, None]:
    # Minutes of work: there is nothing to resume, and the folder stays empty.
    del folder, resume
    with processes.waiting():
        if processes.leads:
            yield from _fit_head(settings, out)


def _fit_head(settings: TrainingSettings, out: Path) -> Generator[Progress, None, None]:
    tensors, card = _built_on(settings, out, "rows")
    phi = _phi_of(settings, tensors)
    head = _head_of(settings, tensors)
    # Not the seed of the other stages: the head must see frames phi was not trained on.
    generator = torch.Generator().manual_seed(settings.seed + 1_000_003)
    size = settings.frame_size if "disc" in settings.prior.structures else ROW_FRAME_SIZE
    candidates = yield from collect_candidates(
        phi, head, settings.prior, settings.network, ROW_FRAMES, size, generator
    )
    torch.manual_seed(settings.seed)
    predictor = LocalizationHead()
    numbers = yield from fit_head(predictor, candidates, generator)
    tensors |= with_prefix(predictor.state_dict(), "rows")
    matched = candidates[-1]
    result = {"rows": len(matched), "matched": float(matched.mean()), **numbers}
    _save(settings, out, "rows", tensors, card, result)


def _train_psi(
    settings: TrainingSettings, out: Path, folder: Path, resume: bool, processes: Processes
) -> Generator[Progress, None, None]:
    tensors, card = _built_on(settings, out, "psi")
    phi, head = _phi_of(settings, tensors), _head_of(settings, tensors)
    torch.manual_seed(settings.seed)
    unet = settings.psi.build({"phi": settings.network})
    if start := psi_weights(settings):
        # Weights are of use only on the scale that they were trained on.
        start_tensors, scale = start
        unet.load_state_dict(start_tensors)
    else:
        generator = torch.Generator().manual_seed(settings.seed + 2_000_003)
        frames = draw(settings, _FRAMES_TO_MEASURE, settings.frame_size, generator)
        scale = measure_sigma_data(Psi(phi, head, unet, settings.psi), frames)
    psi = settings.psi.model_copy(update={"sigma_data": scale, "sd_scale": None})
    stage = PsiStage(Psi(phi, head, unet, psi))
    result = yield from train(stage, settings, folder, resume, processes)
    result["from_nothing"] = start is None
    with processes.waiting():
        if processes.leads:
            _save(settings, out, "psi", _with_psi(tensors, unet), card, result, psi)


def _train_sampler(
    name: Literal["distil", "energy"],
    settings: TrainingSettings,
    out: Path,
    folder: Path,
    resume: bool,
    processes: Processes,
) -> Generator[Progress, None, None]:
    rate = settings.learning_rate or RATE_OF_SAMPLER
    settings = settings.model_copy(update={"learning_rate": rate})
    tensors, card = _built_on(settings, out, name)
    if card is None or card.psi is None:
        raise InputError(f"model {settings.name} has no psi; train {_named('psi')} first")
    psi = card.psi.model_copy(update={"sd_scale": None})
    if name == "distil":
        weights = denoiser_weights(tensors)
        # What can be trained on, or distilled again, is the teacher: it stays in the file.
        tensors |= with_prefix(_halved(weights), TEACHER)
        sampling = distilled_sampling(psi.sampling, settings.distil_steps)
        psi = psi.model_copy(update={"sampling": sampling})
    elif "energy" in card.stages and not resume:
        raise InputError(
            f"model {settings.name} has had the stage energy; train the stage distil first, which "
            "begins with the teacher again, or go on from the checkpoint",
            field="resume",
        )
    else:
        weights = part(tensors, "psi")
    phi, head = _phi_of(settings, tensors), _head_of(settings, tensors)
    unet = psi.build({"phi": settings.network})
    unet.load_state_dict(weights)
    stage = {"distil": DistilStage, "energy": EnergyStage}[name](Psi(phi, head, unet, psi))
    result = yield from train(stage, settings, folder, resume, processes)
    with processes.waiting():
        if processes.leads:
            _save(settings, out, name, _with_psi(tensors, unet), card, result, psi)


def _with_psi(tensors: Tensors, unet: UNet) -> Tensors:
    """Put these weights in the place of those of another Psi, which may have had more layers."""
    others = {k: v for k, v in tensors.items() if not k.startswith("psi.")}
    return others | with_prefix(_halved(unet.state_dict()), "psi")


def _halved(weights: Tensors) -> Tensors:
    """Half precision: 4 MB less, and far below what the training left undetermined."""
    return {k: v.half() for k, v in weights.items()}
