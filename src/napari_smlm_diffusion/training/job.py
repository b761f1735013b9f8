"""Training a model from settings to a model file: phi, the variance head, the rows, Psi."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from napari_smlm_diffusion import __version__
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.inference.model import build_phi
from napari_smlm_diffusion.inference.psi import Psi, build_unet
from napari_smlm_diffusion.inference.rows import RowPredictor
from napari_smlm_diffusion.networks import checkpoint
from napari_smlm_diffusion.networks.card import ModelCard, PsiSettings
from napari_smlm_diffusion.networks.checkpoint import part, with_prefix
from napari_smlm_diffusion.networks.deepstorm import DeepStorm
from napari_smlm_diffusion.networks.library import resolve
from napari_smlm_diffusion.networks.variance import VarianceHead
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.training.loop import TrainingSettings, draw, train
from napari_smlm_diffusion.training.psi import PsiStage, measure_sigma_data
from napari_smlm_diffusion.training.rows import collect_rows, fit_rows
from napari_smlm_diffusion.training.scale import fit_scale
from napari_smlm_diffusion.training.stages import PhiStage, VarianceStage

StageName = Literal["phi", "variance", "rows", "psi"]
STAGES: tuple[StageName, ...] = ("phi", "variance", "rows", "psi")
# What a stage is trained on top of; training one anew makes those that need it worthless.
_NEEDS: dict[StageName, tuple[StageName, ...]] = {
    "phi": (),
    "variance": ("phi",),
    "rows": ("phi", "variance"),
    "psi": ("phi", "variance"),
}
Tensors = dict[str, torch.Tensor]

# Frames over which the SD of Psi's target is measured.
_FRAMES_TO_MEASURE = 128

# Frames simulated for the row predictor: about 60,000 rows of the general prior.
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

    Parameters
    ----------
    settings : TrainingSettings
        The same for every stage; steps and minutes count for each.
    out : Path
        Gets `model_file` and the folders of the checkpoints.
    stages : sequence of str
        Of `STAGES`. The variance head needs a phi in the model file, or in `start_from` when there
        is no model file yet; the rows and Psi need the head too.
    resume : bool
        Continue the first of the stages from its checkpoint.

    Returns
    -------
    Path
        The model file.

    Raises
    ------
    InputError
        If a stage finds nothing to build on.
    """
    _built_on(settings, out, stages[0])  # before the folder is made
    out.mkdir(parents=True, exist_ok=True)
    run = {"phi": _train_phi, "variance": _train_variance, "rows": _train_rows, "psi": _train_psi}
    for stage in stages:
        folder = stage_folder(settings, out, stage)
        folder.mkdir(exist_ok=True)
        yield from run[stage](settings, out, folder, resume and stage == stages[0])
    return model_file(settings, out)


def _start(settings: TrainingSettings, name: str) -> Tensors:
    """Return the weights to begin with: of `start_from`, or none."""
    if settings.start_from is None:
        return {}
    tensors, card = checkpoint.load(resolve(settings.start_from))
    if card.network != settings.network:
        raise InputError(
            f"start_from {settings.start_from}: its network is {card.network}, the settings ask "
            f"for {settings.network}; make them the same or start from nothing"
        )
    return part(tensors, name)


def _built_on(
    settings: TrainingSettings, out: Path, stage: StageName
) -> tuple[Tensors, ModelCard | None]:
    """Return the weights and the card that a stage is added to."""
    path = model_file(settings, out)
    if stage == "phi":
        return {}, None
    if not path.exists() and settings.start_from is not None:
        path = resolve(settings.start_from)
    needed = _NEEDS[stage][-1]
    if not path.exists():
        raise InputError(f"{path} does not exist; train the stage {needed} into {out} first")
    tensors, card = checkpoint.load(path)
    if needed not in card.stages:
        raise InputError(f"{path} has no {needed}; train the stage {needed} first")
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
    stages = {name: kept.get(name, record) for name in STAGES if name in kept or name == stage}
    if psi is None and card is not None and "psi" in kept:
        psi = card.psi
    new = ModelCard(
        name=settings.name,
        description=settings.description,
        package_version=__version__,
        network=settings.network,
        psi=psi,
        prior=settings.prior.model_dump(mode="json"),
        stages=stages,
    )
    weights = {k: v for k, v in tensors.items() if k.split(".")[0] in stages}
    checkpoint.save(model_file(settings, out), weights, new)


def _train_phi(
    settings: TrainingSettings, out: Path, folder: Path, resume: bool
) -> Generator[Progress, None, None]:
    torch.manual_seed(settings.seed)
    phi = build_phi(settings.network)
    if start := _start(settings, "phi"):
        phi.load_state_dict(start)
    result = yield from train(
        PhiStage(phi, settings.network.kernel_sigma), settings, folder, resume
    )
    _save(settings, out, "phi", with_prefix(phi.state_dict(), "phi"), None, result)


def _phi_of(settings: TrainingSettings, tensors: Tensors) -> DeepStorm:
    phi = build_phi(settings.network)
    phi.load_state_dict(part(tensors, "phi"))
    return phi.eval().requires_grad_(False)


def _head_of(settings: TrainingSettings, tensors: Tensors) -> VarianceHead:
    head = VarianceHead(settings.network.channels)
    head.load_state_dict(part(tensors, "variance"))
    return head.eval().requires_grad_(False)


def _train_variance(
    settings: TrainingSettings, out: Path, folder: Path, resume: bool
) -> Generator[Progress, None, None]:
    tensors, card = _built_on(settings, out, "variance")
    phi = _phi_of(settings, tensors)
    torch.manual_seed(settings.seed)
    head = VarianceHead(settings.network.channels)
    if start := _start(settings, "variance"):
        head.load_state_dict(start)
    result = yield from train(VarianceStage(phi, head), settings, folder, resume)
    fit_scale(phi, head, settings)
    tensors |= with_prefix(head.state_dict(), "variance")
    _save(settings, out, "variance", tensors, card, result)


def _train_rows(
    settings: TrainingSettings, out: Path, folder: Path, resume: bool
) -> Generator[Progress, None, None]:
    # Minutes of work: there is nothing to resume, and the folder stays empty.
    del folder, resume
    tensors, card = _built_on(settings, out, "rows")
    phi = _phi_of(settings, tensors)
    head = _head_of(settings, tensors)
    # Not the seed of the other stages: the rows must see frames phi was not trained on.
    generator = torch.Generator().manual_seed(settings.seed + 1_000_003)
    size = settings.frame_size if "disc" in settings.prior.structures else ROW_FRAME_SIZE
    rows = yield from collect_rows(
        phi, head, settings.prior, settings.network, ROW_FRAMES, size, generator
    )
    torch.manual_seed(settings.seed)
    predictor = RowPredictor()
    loss = yield from fit_rows(predictor, rows, generator)
    tensors |= with_prefix(predictor.state_dict(), "rows")
    result = {"rows": int(rows[-1].shape[0]), "matched": float(rows[-1].mean()), "loss": loss}
    _save(settings, out, "rows", tensors, card, result)


def _train_psi(
    settings: TrainingSettings, out: Path, folder: Path, resume: bool
) -> Generator[Progress, None, None]:
    tensors, card = _built_on(settings, out, "psi")
    phi, head = _phi_of(settings, tensors), _head_of(settings, tensors)
    torch.manual_seed(settings.seed)
    unet = build_unet(settings.psi, settings.network.channels)
    generator = torch.Generator().manual_seed(settings.seed + 2_000_003)
    frames = draw(settings, _FRAMES_TO_MEASURE, settings.frame_size, generator)
    measured = measure_sigma_data(Psi(phi, head, unet, settings.psi), frames)
    psi = settings.psi.model_copy(update={"sigma_data": measured})
    if start := _start(settings, "psi"):
        unet.load_state_dict(start)
    stage = PsiStage(Psi(phi, head, unet, psi))
    result = yield from train(stage, settings, folder, resume)
    # Half precision: 4 MB less, and far below what the training left undetermined.
    half = {k: v.half() for k, v in unet.state_dict().items()}
    _save(settings, out, "psi", tensors | with_prefix(half, "psi"), card, result, psi)
