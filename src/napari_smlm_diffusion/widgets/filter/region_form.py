"""The form for masked regions: which image, which quantity, from which value on."""

import numpy as np
from napari.layers import Image
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_smlm_diffusion.results.criteria import Region, SdMap
from napari_smlm_diffusion.widgets.filter.layers import maps_of
from napari_smlm_diffusion.widgets.shared.fields import combo, limit_field, number
from napari_smlm_diffusion.widgets.shared.range_histogram import RangeHistogram, binned

_QUANTITIES = (
    ("sd", "SD of the density"),
    ("relative_sd", "Relative SD (SD / density)"),
)


class RegionForm(QWidget):
    """Choose an image of the SD and a threshold beyond which it is not trusted."""

    changed = Signal()  # of the threshold, or whether it is in force
    images_changed = Signal()  # which images, or which of the two quantities
    shown = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layers: list[Image] = []
        # What a loaded threshold says beyond the form's fields is kept.
        self._held = Region(maximum=1.0)
        self.in_force = QCheckBox("Reject molecules where the SD image is too large")
        self.in_force.setToolTip(
            "Masks the regions in which the image is above the threshold, and rejects the "
            "molecules inside."
        )
        self.sd = combo("Layer with the marginal standard deviation of the density.")
        self.density = combo(
            "Layer with the density that belongs to the SD; needed for a relative SD."
        )
        self.quantity = combo(
            "SD: in units of one molecule's peak.\n"
            "Relative SD: divided by the density, but by no less than 0.1, "
            "so that empty places do not stand out."
        )
        for value, words in _QUANTITIES:
            self.quantity.addItem(words, value)
        self.histogram = RangeHistogram(lower=False)
        self.histogram.setToolTip(
            "Distribution of the image's pixels: drag the handle; what lies right of it is masked."
        )
        self.threshold = limit_field(
            "Threshold", "Largest value that is trusted (1: the peak of one molecule)."
        )
        self.overlay = QCheckBox("Show masked regions as an overlay")
        self.overlay.setChecked(True)
        self.overlay.setToolTip("Adds the layer “do not trust” over the image.")
        self.about = QLabel()
        self.about.setWordWrap(True)

        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("SD image", self.sd)
        form.addRow("Density", self.density)
        form.addRow("Threshold on", self.quantity)
        line = QHBoxLayout()
        line.addWidget(QLabel("Trusted up to"))
        line.addWidget(self.threshold)
        line.addWidget(QLabel("(1 = one molecule)"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(form)
        layout.addWidget(self.histogram, 1)
        layout.addLayout(line)
        layout.addWidget(self.in_force)
        layout.addWidget(self.overlay)
        layout.addWidget(self.about)

        self.sd.currentIndexChanged.connect(self._on_images)
        self.density.currentIndexChanged.connect(self._on_images)
        self.quantity.currentIndexChanged.connect(self._on_images)
        self.histogram.range_changed.connect(self._on_dragged)
        self.threshold.editingFinished.connect(self._on_typed)
        self.in_force.toggled.connect(lambda _: self.changed.emit())
        self.overlay.toggled.connect(self.shown.emit)
        self.show_images([])

    def show_images(self, layers: list[Image]) -> None:
        """Offer these layers; those chosen before stay chosen while they are there."""
        before = (self.sd_layer, self.density_layer)
        self._layers = layers
        uncertain = [i for i, layer in enumerate(layers) if "sd" in layer.name.lower().split()]
        certain = [i for i, layer in enumerate(layers) if "density" in layer.name.lower()]
        guesses = (uncertain, [i for i in certain if i not in uncertain])
        for box, chosen, guess in zip((self.sd, self.density), before, guesses, strict=True):
            box.blockSignals(True)
            box.clear()
            box.addItems([layer.name for layer in layers])
            place = layers.index(chosen) if chosen in layers else (guess[-1] if guess else -1)
            box.setCurrentIndex(place)
            box.setPlaceholderText("no such layer" if not layers else "choose a layer")
            box.blockSignals(False)
        self.setEnabled(bool(layers))
        if not layers:
            self.about.setText(
                "There is no image of the SD yet. It comes with a localization, "
                "or from sampling the posterior."
            )
        if (self.sd_layer, self.density_layer) != before:
            self._on_images()

    @property
    def sd_layer(self) -> Image | None:
        """The layer chosen for the SD."""
        return self._chosen(self.sd)

    @property
    def density_layer(self) -> Image | None:
        """The layer chosen for the density."""
        return self._chosen(self.density)

    @property
    def region(self) -> Region | None:
        """The threshold, if it is in force."""
        maximum = self._maximum()
        if not self.in_force.isChecked() or maximum is None:
            return None
        changes = {"quantity": self.quantity.currentData(), "maximum": maximum}
        return self._held.model_copy(update=changes)

    def set_region(self, region: Region | None) -> None:
        """Put another threshold in force, without a signal."""
        boxes = (self.in_force, self.quantity)
        for box in boxes:
            box.blockSignals(True)
        self.in_force.setChecked(region is not None)
        if region is not None:
            self._held = region
            self.quantity.setCurrentIndex(self.quantity.findData(region.quantity))
            self.threshold.setText(f"{region.maximum:.10g}")
            self.histogram.set_range(None, region.maximum)
        for box in boxes:
            box.blockSignals(False)

    def maps(self) -> SdMap | None:
        """Return the chosen images as a filter takes them; None without an SD image.

        Raises
        ------
        InputError
            If they are stacks, or do not fit each other.
        """
        if self.sd_layer is None:
            return None
        relative = self.quantity.currentData() == "relative_sd"
        return maps_of(self.sd_layer, self.density_layer if relative else None)

    def show_values(self, maps: SdMap | None) -> None:
        """Show how the pixels of the image are distributed."""
        self.density.setEnabled(self.quantity.currentData() == "relative_sd")
        if maps is None:
            return
        image = Region(quantity=self.quantity.currentData(), maximum=1.0).image(maps)
        # Most of a field is empty; those pixels would hide all others.
        values = image[image > 0.02 * np.nanmax(image, initial=0.0)]
        held = binned(values)
        self.histogram.set_values(held)
        self.histogram.set_kept(held.counts())
        self.histogram.set_range(None, self._maximum())

    def show_share(self, masked: float | None) -> None:
        """Say which share of the image is masked."""
        words = "" if masked is None else f"{masked:.1%} of the image is masked."
        self.about.setText(words)

    def _chosen(self, box: QComboBox) -> Image | None:
        place = box.currentIndex()
        return self._layers[place] if 0 <= place < len(self._layers) else None

    def _maximum(self) -> float | None:
        try:
            value = number(self.threshold.text())
        except ValueError:
            return None
        return value if value is not None and value > 0 else None

    def _on_images(self) -> None:
        self.images_changed.emit()

    def _on_dragged(self, low: float | None, high: float | None) -> None:
        self.threshold.setText("" if high is None else f"{high:.10g}")
        self._moved()

    def _on_typed(self) -> None:
        self.histogram.set_range(None, self._maximum())
        self._moved()

    def _moved(self) -> None:
        # To set a threshold means to want it.
        wanted = self._maximum() is not None
        if self.in_force.isChecked() != wanted:
            self.in_force.setChecked(wanted)  # says that it changed
        else:
            self.changed.emit()
