"""The form for masked regions: which image, which quantity, from which value on."""

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QWidget

from napari_smlm_diffusion.results.criteria import Region, SdMap
from napari_smlm_diffusion.widgets.filter.layers import maps_of
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.range_histogram import RangeHistogram, binned


class RegionForm(QWidget):
    """Choose an image of the SD and a threshold beyond which it is not trusted."""

    changed = Signal()  # of the threshold, or whether it is in force
    images_changed = Signal()  # which images, or which of the two quantities
    shown = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        # What a loaded threshold says beyond the form's fields is kept.
        self._held = Region(maximum=1.0)
        self.in_force = fields.check(
            "Reject molecules where the SD image is too large",
            "Masks the regions in which the image is above the threshold, and rejects the "
            "molecules inside.",
        )
        self.sd = fields.combo(
            "Layer with the marginal standard deviation of the density.", empty="choose a layer"
        )
        self.density = fields.combo(
            "Layer with the density that belongs to the SD; needed for a relative SD.",
            empty="choose a layer",
        )
        self.quantity = fields.combo(
            "SD: in units of one molecule's peak.\n"
            "Relative SD: divided by the density, but by no less than 0.1, "
            "so that empty places do not stand out.",
            [("SD of the density", "sd"), ("Relative SD (SD / density)", "relative_sd")],
        )
        self.histogram = RangeHistogram(lower=False)
        self.histogram.setToolTip(
            "Distribution of the image's pixels: drag the handle; what lies right of it is masked."
        )
        self.threshold = fields.limit_field(
            "Threshold", "Largest value that is trusted (1: the peak of one molecule)."
        )
        self.overlay = fields.check(
            "Show masked regions as an overlay",
            "Adds the layer “do not trust” over the image.",
            ticked=True,
        )
        self.about = fields.label()
        choices = fields.form(
            ("SD image", self.sd), ("Density", self.density), ("Threshold on", self.quantity)
        )
        fields.column(
            self,
            choices,
            (self.histogram, 1),
            fields.row("Trusted up to", self.threshold, "(1 = one molecule)"),
            self.in_force,
            self.overlay,
            self.about,
            margins=(6, 6, 6, 6),
        )

        for box in (self.sd, self.density, self.quantity):
            box.currentIndexChanged.connect(lambda _: self.images_changed.emit())
        self.histogram.range_changed.connect(self._on_dragged)
        self.threshold.editingFinished.connect(self._on_typed)
        self.in_force.toggled.connect(lambda _: self.changed.emit())
        self.overlay.toggled.connect(self.shown.emit)
        self.show_images([])

    def show_images(self, layers: list[Image]) -> None:
        """Offer these layers; those chosen before stay chosen while they are there."""
        before = (self.sd_layer, self.density_layer)
        uncertain = [layer for layer in layers if "sd" in layer.name.lower().split()]
        certain = [layer for layer in layers if "density" in layer.name.lower()]
        guesses = (uncertain, [layer for layer in certain if layer not in uncertain])
        for box, chosen, guess in zip((self.sd, self.density), before, guesses, strict=True):
            wanted = chosen if chosen in layers else next(reversed(guess), None)
            fields.offer_layers(box, layers, wanted)
            box.setPlaceholderText("choose a layer" if layers else "no such layer")
        self.setEnabled(bool(layers))
        if not layers:
            self.about.setText(
                "There is no image of the SD yet. It comes with a localization, "
                "or from sampling the posterior."
            )
        if (self.sd_layer, self.density_layer) != before:
            self.images_changed.emit()

    @property
    def sd_layer(self) -> Image | None:
        """The layer chosen for the SD."""
        return self.sd.currentData()

    @property
    def density_layer(self) -> Image | None:
        """The layer chosen for the density."""
        return self.density.currentData()

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
        with QSignalBlocker(self.in_force), QSignalBlocker(self.quantity):
            self.in_force.setChecked(region is not None)
            if region is not None:
                self._held = region
                fields.choose(self.quantity, region.quantity)
                self.threshold.setText(f"{region.maximum:.10g}")
                self.histogram.set_range(None, region.maximum)

    def maps(self) -> SdMap | None:
        """Return the chosen images as a filter takes them; None without an SD image.

        An `InputError` says that they are stacks, or do not fit each other.
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

    def _maximum(self) -> float | None:
        try:
            value = fields.number(self.threshold.text())
        except ValueError:
            return None
        return value if value is not None and value > 0 else None

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
