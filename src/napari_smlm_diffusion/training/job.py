"""Training a model from settings to a model file, stage after stage."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from napari_smlm_diffusion import __version__
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.card import ModelCard
from napari_smlm_diffusion.models.file import with_prefix
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.training.batches import check_processes
from napari_smlm_diffusion.training.distributed import Stopped, joined
from napari_smlm_diffusion.training.hardware import training_device
from napari_smlm_diffusion.training.settings import (
    ALL_STAGES,
    STAGE_WORDS,
    STAGES,
    StageName,
    TrainingSettings,
)
from napari_smlm_diffusion.training.stage import Built, Parts, Stage, stage_class
from napari_smlm_diffusion.training.start import prepared
from napari_smlm_diffusion.writing import disk_errors


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
    _built_on(settings, out, stage_class(stages[0]))  # before the folder is made
    with joined(training_device(settings)) as processes:
        check_processes(settings, processes)
        try:
            for name in stages:
                kind, folder = stage_class(name), stage_folder(settings, out, name)
                with disk_errors(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                going_on = resume and name == stages[0]
                rate = settings.learning_rate or kind.rate
                own = settings.model_copy(update={"learning_rate": rate})
                built = _built_on(settings, out, kind)
                stage = kind.begin(own, built, going_on)
                result = yield from stage.run(own, folder, going_on, processes)
                with processes.waiting():
                    if processes.leads:
                        result |= stage.notes
                        _save(own, out, kind, built, stage.finish(own), result)
        except Stopped:  # by the first process, which says why
            pass
    return model_file(settings, out)


def _named(stage: StageName) -> str:
    """Return a stage by what it trains, for people, and by its name."""
    if stage not in STAGE_WORDS:
        return f"the stage {stage}"
    return f"the {STAGE_WORDS[stage]} (the stage {stage})"


def _built_on(settings: TrainingSettings, out: Path, stage: type[Stage]) -> Built:
    """Return what a stage is added to."""
    if not stage.needs:
        return Built()
    path, last = model_file(settings, out), stage.needs[-1]
    if not path.exists() and settings.start_from is not None:
        path = resolve(settings.start_from, "start_from")
    if not path.exists():
        raise InputError(f"{path} does not exist; train {_named(last)} into {out} first")
    tensors, card = checkpoint.load(path)
    if last not in card.stages:
        raise InputError(f"{path} has no {last}; train {_named(last)} first")
    if card.phi != settings.network:
        raise InputError(
            f"{settings.network} is asked for, {path} has {card.phi}; make them the same, or "
            f"train {_named('phi')} again",
            field="network",
        )
    return Built(card.networks, tensors, card.stages)


def _save(
    settings: TrainingSettings,
    out: Path,
    stage: type[Stage],
    built: Built,
    parts: Parts,
    result: dict[str, Any],
) -> None:
    """Write the model file with this stage's result, without what was built on an older one."""
    kept = {
        name: record
        for name, record in built.stages.items()
        if name != stage.name and stage.name not in stage_class(name).needs
    }
    record = {
        "command": f"smlm-diffusion train --config {settings.name}.json --stage {stage.name}",
        "settings": settings.model_dump(mode="json"),
        **result,
    }
    stages = kept | {stage.name: record}
    order = [name for name in (*ALL_STAGES, *stages) if name in stages]
    written = {network for name in kept for network in stage_class(name).writes}
    networks = {k: v for k, v in built.networks.items() if k in written and k not in parts}
    tensors = {k: v for k, v in built.tensors.items() if k.split(".")[0] in networks}
    for name, (network, weights) in parts.items():
        networks[name] = network
        tensors |= with_prefix(weights, name)
    card = ModelCard(
        name=settings.name,
        description=settings.description,
        package_version=__version__,
        networks=networks,
        prior=settings.prior.model_dump(mode="json"),
        stages={name: stages[name] for name in order},
        licence=settings.licence,
    )
    checkpoint.save(model_file(settings, out), tensors, card)
