"""A training as it lies in the user's data folder: settings, stages, how far it is. No torch."""

import shutil
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.train.settings_file import write_settings
from napari_smlm_diffusion.models import library
from napari_smlm_diffusion.settings import Settings
from napari_smlm_diffusion.training.settings import STAGE_WORDS, StageName, TrainingSettings
from napari_smlm_diffusion.writing import disk_errors

FILE = "training.json"
LOCALIZATIONS: tuple[StageName, ...] = ("phi", "variance", "rows")
SAMPLES: tuple[StageName, ...] = ("psi",)
# The variance head learns faster than phi, and a step of it costs less.
_HEAD_SHARE = 1 / 3
# Where minutes are the limit; a JSON file that says otherwise is heard.
_NO_LIMIT = 10**9


class StoredTraining(Settings):
    """What is trained and how far that is; kept as JSON beside the checkpoints."""

    # Minutes or steps count for phi and for Psi; the variance head gets a third
    settings: TrainingSettings
    stages: tuple[StageName, ...]
    left: tuple[StageName, ...]  # those that are not done; the first may have a checkpoint

    @property
    def folder(self) -> Path:
        """Where model, checkpoints and this are."""
        return folder_of(self.settings.name)

    @property
    def model(self) -> Path:
        """Where the model file is written."""
        return self.folder / f"{self.settings.name}.safetensors"

    @property
    def words(self) -> str:
        """What is trained, and from what."""
        first = self.settings.start_from
        return f"“{self.settings.name}”, from {'nothing' if first is None else Path(first).stem}"

    def place(self, stage: StageName) -> str:
        """Return which stage of how many this is."""
        return f"{self.stages.index(stage) + 1} of {len(self.stages)}: {STAGE_WORDS[stage]}"

    def settings_of(self, stage: StageName) -> TrainingSettings:
        """Return the settings of one stage."""
        settings = self.settings
        given = settings.model_fields_set
        new: dict[str, float] = {}
        if "minutes" in given and "steps" not in given:
            new["steps"] = _NO_LIMIT
        if stage == "variance":
            new["minutes"] = settings.minutes * _HEAD_SHARE
            if "steps" in given:
                new["steps"] = max(1, round(settings.steps * _HEAD_SHARE))
        return settings.model_copy(update=new)

    def begin(self) -> None:
        """Make the folder, without what an older training left there.

        Raises `OutputError` if that is not possible.
        """
        discard(self.settings.name)
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True)
        self._write()

    def reached(self, stage: StageName | None) -> Self:
        """Note which stage comes now; None: all are done.

        Raises `OutputError` if that cannot be written.
        """
        left = self.stages[self.stages.index(stage) :] if stage is not None else ()
        plan = self.model_copy(update={"left": left})
        plan._write()
        return plan

    def _write(self) -> None:
        write_settings(self, self.folder / FILE)


def folder_of(name: str) -> Path:
    """Return the folder of a training."""
    return library.own_folder() / "training" / name


def find(name: str) -> StoredTraining | None:
    """Return the training of this name, if there is one that can be read."""
    try:
        text = (folder_of(name) / FILE).read_text(encoding="utf-8")
        return StoredTraining.model_validate_json(text)
    except (OSError, ValueError, ValidationError, InputError):
        return None


def names() -> list[str]:
    """Return the names of all trainings, the latest first."""
    files = list(folder_of("x").parent.glob(f"*/{FILE}"))
    return [file.parent.name for file in sorted(files, key=lambda f: -f.stat().st_mtime)]


def discard(name: str) -> None:
    """Remove a training with its checkpoints.

    Raises `OutputError` if that is not possible.
    """
    folder = folder_of(name)
    with disk_errors(folder):
        if folder.exists():
            shutil.rmtree(folder)


def free_name() -> str:
    """Return a name that no model and no training has."""
    taken = {*library.shipped_names(), *library.own_names(), *names()}
    tried = ("mine", *(f"mine-{n}" for n in range(2, len(taken) + 3)))
    return next(name for name in tried if name not in taken)


def check_name(name: str) -> None:
    """Refuse a name under which something would be replaced.

    Raises `InputError` if it is taken.
    """
    if name in library.shipped_names():
        raise InputError(
            f"a model “{name}” is shipped with the plugin; choose another", field="name"
        )
    if name in library.own_names():
        raise InputError(f"“{name}” is one of your own models; choose another name", field="name")
    found = find(name)
    if found is not None and found.left:
        raise InputError(
            f"the training “{name}” is not finished; resume it, discard it, or choose another name",
            field="name",
        )
    if found is not None:
        raise InputError(
            f"“{name}” was trained, and is not kept yet; use it, save it or discard it, or "
            "choose another name",
            field="name",
        )
