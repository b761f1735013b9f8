"""The form of the tab "Training" that says what to train, how long and on what."""

from collections.abc import Mapping
from typing import Any, get_args

from qtpy.QtCore import QLocale
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import QDoubleSpinBox, QWidget

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.train.stored import LOCALIZATIONS, SAMPLES
from napari_smlm_diffusion.training.settings import StageName, TrainingSettings
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.model_form import choose_model, offer_models

_MINUTES, _STEPS = "minutes", "steps"
# More is no limit that a user has set.
_LONGEST_MIN = 100_000
_DEVICES = get_args(TrainingSettings.model_fields["device"].annotation)


class TrainingForm(QWidget):
    """Name, start, stages, how long, and on what; what it has no field for is kept as loaded."""

    def __init__(self) -> None:
        super().__init__()
        self._others: dict[str, Any] = {}
        self._build()
        stages = fields.line_of(self.localizations, self.samples)
        limit = fields.line_of((self.limit, 1), (self.unit, 1))
        frame = fields.line_of((self.frame_size, 1), "Rate", (self.rate, 1))
        layout = fields.form(owner=self, margins=(6, 6, 6, 0), spacing=3)
        for words, field, tip_of in (
            ("Name", self.name, self.name),
            ("Start from", self.start, self.start),
            ("Train", stages, self.localizations),
            ("Each for", limit, self.limit),
            ("Device", self.device, self.device),
            ("Frame side (px)", frame, self.frame_size),
            ("Notes", self.notes, self.notes),
            ("Licence", self.licence, self.licence),
        ):
            layout.addRow(words, field)
            if (name := layout.labelForField(field)) is not None:
                name.setToolTip(tip_of.toolTip())
        self.offer_models("general")

    def _build(self) -> None:
        self.name = fields.text_field(
            "Name", "Of the model and of its file: letters, digits, '.', '_', '-'."
        )
        self.start = fields.combo(
            "The model whose weights come first: a new microscope is then learned in a fraction of "
            "the time.\nFrom nothing, 20 minutes and more are needed."
        )
        self.localizations = fields.check(
            "localizations",
            "The density, its SD, and the uncertainty of the molecules: what Localize needs.",
            ticked=True,
        )
        self.samples = fields.check(
            "samples",
            "The diffusion model, from which Uncertainty draws samples, and which the check needs.",
            ticked=True,
        )
        self.limit = QDoubleSpinBox()
        self.limit.setDecimals(0)
        self.limit.setRange(1, 10_000_000)
        self.limit.setValue(20)
        self.limit.setToolTip(
            "How long the density and the samples are trained, each; the SD gets a third of it, "
            "and\nthe molecules need a few minutes more."
        )
        self.unit = fields.combo(
            "Minutes, or steps: a step learns from a batch of frames.",
            [(_MINUTES, _MINUTES), (_STEPS, _STEPS)],
        )
        self.unit.setMinimumContentsLength(6)
        self.device = fields.combo(
            "Where it trains; auto takes a CUDA GPU where there is one.",
            [(name, name) for name in _DEVICES],
        )
        self.frame_size = fields.spin(16, 1024, 48, "Side of a training frame, camera pixels.")
        self.rate = fields.text_field(
            "Learning rate",
            "Learning rate: empty is usual; lower it where the training diverges.",
            "usual",
        )
        validator = QDoubleValidator(self.rate)
        validator.setLocale(QLocale.c())
        self.rate.setValidator(validator)
        self.notes = fields.text_field(
            "Notes",
            "What the model is for, in a sentence; kept on its card.",
            "microscope, camera, sample…",
        )
        self.licence = fields.text_field(
            "Licence", "Under which the model may be passed on; on its card."
        )
        self.licence.setText("BSD-3-Clause")
        fields.squeezed(self.limit, self.frame_size, self.rate, least=64)
        # The settings that are a line of text, by their names.
        self._lines = {"name": self.name, "description": self.notes, "licence": self.licence}

    def offer_models(self, chosen: str | None = None) -> None:
        """List the models that are at hand; the one chosen before stays chosen."""
        offer_models(self.start, ("nothing", None), chosen or self.start.currentData())

    def stages(self) -> tuple[StageName, ...]:
        """Return what is ticked; an `InputError` says that nothing can be trained of it."""
        wanted = (LOCALIZATIONS if self.localizations.isChecked() else ()) + (
            SAMPLES if self.samples.isChecked() else ()
        )
        if not wanted:
            raise InputError("“Train”: tick localizations, samples or both")
        if wanted == SAMPLES and self.start.currentData() is None:
            raise InputError(
                "“Train”: samples are learned on top of localizations; tick these too, or start "
                "from a model"
            )
        return wanted

    def values(self) -> dict[str, Any]:
        """Return the settings of the training, without the prior."""
        limit = self.limit.value()
        in_minutes = self.unit.currentText() == _MINUTES
        rate = self.rate.text().strip()
        return {
            **self._others,
            **{name: line.text().strip() for name, line in self._lines.items()},
            "start_from": self.start.currentData(),
            "frame_size": self.frame_size.value(),
            "device": self.device.currentText(),
            **({"learning_rate": rate} if rate else {}),
            **({_MINUTES: limit} if in_minutes else {_STEPS: int(limit)}),
        }

    def settings(self, prior: Any) -> TrainingSettings:
        """Return the settings with a prior; an `InputError` says what cannot be used."""
        return TrainingSettings(**self.values(), prior=prior)

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Fill in the settings that are given; keep those that have no field."""
        others = dict(values)
        others.pop("prior", None)
        for name, line in self._lines.items():
            if name in others:
                line.setText(str(others.pop(name)))
                line.setCursorPosition(0)
        if "learning_rate" in others:
            rate = others.pop("learning_rate")
            self.rate.setText("" if rate is None else f"{rate:g}")
        if "start_from" in others:
            choose_model(self.start, others.pop("start_from"))
        if "frame_size" in others:
            self.frame_size.setValue(others.pop("frame_size"))
        if "device" in others:
            self.device.setCurrentText(others.pop("device"))
        minutes = others.pop(_MINUTES, _LONGEST_MIN)
        if minutes < _LONGEST_MIN:  # a file may have both limits: then the steps are kept
            self.unit.setCurrentText(_MINUTES)
            self.limit.setDecimals(0 if float(minutes).is_integer() else 2)
            self.limit.setMinimum(min(1.0, minutes))
            self.limit.setValue(minutes)
        elif _STEPS in others:
            self.unit.setCurrentText(_STEPS)
            self.limit.setDecimals(0)
            self.limit.setValue(others.pop(_STEPS))
        self._others = others

    def set_stages(self, stages: tuple[StageName, ...]) -> None:
        """Tick what these belong to."""
        self.localizations.setChecked("phi" in stages)
        self.samples.setChecked("psi" in stages)
