"""Failures end in a notification with a sentence; settings have the names of the forms."""

import functools
from collections.abc import Callable
from typing import Any

from napari.utils.notifications import notification_manager, show_error
from qtpy.QtWidgets import QLabel

from napari_smlm_diffusion.errors import Remark, SmlmError, worded
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.settings import Settings
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.training.settings import TrainingSettings

# Whose fields have titles; a form made of other settings adds them.
FORMS: list[type[Settings]] = [LocalizeSettings, TrainingSettings, Prior]


def title_of(field: str) -> str:
    """Return what the forms call a setting, in quotes; its name where none has it."""
    for name in field.split("."):
        for form in FORMS:
            if name in form.model_fields and (title := form.model_fields[name].title):
                return f"“{title}”"
    return field.replace("_", " ")


def said(what: SmlmError | Remark) -> str:
    """Return an error or a remark in the words of the forms."""
    return worded(what, title_of)


def doubts(*what: SmlmError | Remark) -> str:
    """Return what is likely to be wrong, a line each, for a panel."""
    return "\n".join(f"⚠ {said(one)}." for one in what)


def tell(error: Exception) -> None:
    """Say an error to the user: a sentence for what the user can change, else a bug's trace."""
    if isinstance(error, SmlmError):
        show_error(said(error))
    else:
        notification_manager.receive_error(type(error), error, error.__traceback__)


def tell_in(label: QLabel, error: Exception) -> None:
    """Say an error in a panel, where a notification would come with each letter typed."""
    if isinstance(error, SmlmError):
        label.setText(doubts(error))
    else:
        tell(error)


def reported(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn an `SmlmError` of a slot into a notification; anything else is a bug and stays one."""

    @functools.wraps(method)
    def slot(*args: Any, **options: Any) -> Any:
        try:
            return method(*args, **options)
        except SmlmError as error:
            tell(error)
            return None

    return slot
