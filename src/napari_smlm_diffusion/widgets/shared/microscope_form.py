"""The form that describes a microscope: pixel size, PSF and camera."""

from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QWidget

from napari_smlm_diffusion.jobs.localize.settings import CAMERA, LocalizeSettings
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.presets import PRESETS
from napari_smlm_diffusion.widgets.shared.settings_form import SettingsForm

# Each field, and what an empty one means.
_FIELDS = {
    "pixel_size_nm": "not known",
    "psf_sigma_nm": "estimated",
    "offset": "not known",
    "gain": "not known",
    "em_gain": "1",
    "qe": "1",
    "read_noise": "0",
    "camera": "none",
}


class MicroscopeForm(QWidget):
    """Pixel size, PSF and camera; presets; the button that estimates them."""

    changed = Signal(str)
    """The name of a setting."""

    def __init__(self) -> None:
        super().__init__()
        self.preset = fields.combo(
            "Typical values of a kind of camera to start from.",
            [
                ("choose a camera to start from…", None),
                *((preset.title, preset, preset.about) for preset in PRESETS),
            ],
        )
        self.settings = SettingsForm(LocalizeSettings, _FIELDS, _FIELDS)
        self.estimate = fields.button(
            "Estimate from this movie",
            "Gain and offset from how the noise grows with the brightness, for the read noise and\n"
            "the EM gain above; PSF sigma from isolated spots, or from the spectrum of a crowd.",
        )
        self.said = fields.label("What was found in the movie, or in its file.")
        head = fields.form(("Preset", self.preset), margins=(6, 0, 6, 0))
        parts = (head, self.settings, self.estimate, self.said, None)
        fields.column(self, *parts, margins=(0, 6, 0, 0), spacing=2)
        self.preset.activated.connect(self._on_preset)
        self.settings.changed.connect(self._on_changed)

    def _on_preset(self) -> None:
        preset = self.preset.currentData()
        if preset is None:
            return
        # What the metadata or an estimate have said is better than typical values.
        known = self.settings.values()
        values = {k: v for k, v in preset.values.items() if v is not None or k not in known}
        self.settings.set_values({**values, "camera": None})
        self.said.setText(preset.about)
        self._on_changed("camera")

    def _on_changed(self, name: str) -> None:
        file = self.settings.value("camera") is not None
        for number in CAMERA:
            self.settings.fields[number].setEnabled(not file)
        self.changed.emit(name)

    def values(self) -> dict[str, Any]:
        """Return what is filled in; a camera file stands for the numbers."""
        found = self.settings.values()
        return {k: v for k, v in found.items() if "camera" not in found or k not in CAMERA}
