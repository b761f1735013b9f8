"""The widget "Filter & export": choose what to trust, see what remains, and write it."""

from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Layer, Points
from napari.utils.notifications import show_error, show_info
from napari.utils.theme import get_theme
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QLabel, QTabWidget, QVBoxLayout, QWidget

from napari_smlm_diffusion.errors import SmlmError
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.export import Exported, ExportImage, export
from napari_smlm_diffusion.results.filters import Filter, Filtered, LiveFilter
from napari_smlm_diffusion.results.grid import Grid
from napari_smlm_diffusion.results.layers import dataset_of
from napari_smlm_diffusion.results.render import LivePicture, uncertainty_picture
from napari_smlm_diffusion.widgets import filter_layers
from napari_smlm_diffusion.widgets.fields import combo
from napari_smlm_diffusion.widgets.filter_layers import FilterLayers
from napari_smlm_diffusion.widgets.filter_output import ExportForm, ViewForm
from napari_smlm_diffusion.widgets.notices import in_background, reported
from napari_smlm_diffusion.widgets.range_form import RangeForm
from napari_smlm_diffusion.widgets.region_form import RegionForm
from napari_smlm_diffusion.widgets.words import number_columns

# The kernel of every density of this program, fine pixels.
KERNEL_SIGMA = 1.25
# After the last move of a handle: what takes longer than a frame of the screen is done then.
_REST_MS = 150
_QUANTITY = {
    "density": "density of the kept molecules",
    "counts": "kept molecules per fine pixel",
    "uncertainty": "kept molecules per fine pixel, each a Gaussian of its uncertainty",
}


class FilterExport(QWidget):
    """Filters one layer of localizations, shows what is kept, and exports it.

    While a handle is dragged the rows are judged and picture and counts follow; points, bars and
    the layer's metadata follow when it rests. Nothing is ever removed from the table.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:  # type: ignore[name-defined]  # noqa: F821
        super().__init__()
        self.viewer = viewer
        self.layers = FilterLayers(viewer)
        self.points: Points | None = None
        self.filtered: Filtered | None = None
        self.rules = Filter()
        self._dataset: Dataset | None = None
        self._live: LiveFilter | None = None
        self._drawing: LivePicture | None = None
        self._busy = False  # a thread draws Gaussians
        self._build()
        self._soon, self._rest = QTimer(self), QTimer(self)
        for timer, wait, work in (
            (self._soon, 0, self._judge),
            (self._rest, _REST_MS, self._settle),
        ):
            timer.setSingleShot(True)
            timer.setInterval(wait)
            timer.timeout.connect(work)
        self._connect()
        self._on_layers()
        self._on_theme()

    def _build(self) -> None:
        self.choice = combo("The layer of localizations that is filtered; its rows all stay.")
        self.choice.setPlaceholderText("choose a layer of localizations")
        self.counts = QLabel()
        self.counts.setToolTip("How many molecules the filter keeps, of all rows of the table.")
        self.counts.setWordWrap(True)
        self.ranges, self.regions = RangeForm(), RegionForm()
        self.view, self.output = ViewForm(), ExportForm()
        self.tabs = QTabWidget()
        for form, words, tip in (
            (self.ranges, "Ranges", "Keep what lies between two values"),
            (self.regions, "Do not trust", "Mask regions by an image of the SD"),
            (self.view, "Show", "Picture of the kept molecules, colours of the points"),
            (self.output, "Export", "Write files, load a filter"),
        ):
            self.tabs.addTab(form, words)
            self.tabs.setTabToolTip(self.tabs.count() - 1, tip)
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel("Localizations"))
        layout.addWidget(self.choice)
        layout.addWidget(self.counts)
        layout.addWidget(self.tabs, 1)
        self.setMinimumWidth(340)

    def _connect(self) -> None:
        events = self.viewer.layers.events
        events.inserted.connect(self._on_layers)
        events.removed.connect(self._on_removed)
        self.viewer.events.theme.connect(self._on_theme)
        self.choice.currentIndexChanged.connect(self._on_choice)
        self.ranges.changed.connect(self._soon.start)
        self.ranges.refused.connect(show_error)
        self.regions.changed.connect(self._soon.start)
        self.regions.images_changed.connect(self._on_images)
        self.regions.shown.connect(self._show_mask)
        self.view.picture_changed.connect(self._on_picture)
        self.view.colours_changed.connect(self._on_colours)
        self.output.export.clicked.connect(self._on_export)
        self.output.load.clicked.connect(self._on_load)
        self.output.save.clicked.connect(self._on_save)

    def closeEvent(self, event: Any) -> None:
        """Let go of the viewer, which may live on."""
        events = self.viewer.layers.events
        events.inserted.disconnect(self._on_layers)
        events.removed.disconnect(self._on_removed)
        self.viewer.events.theme.disconnect(self._on_theme)
        self._soon.stop()
        self._rest.stop()
        super().closeEvent(event)

    # Layers come and go

    def _on_layers(self, event: Any = None) -> None:
        offered = [layer for layer in self.viewer.layers if isinstance(layer, Points)]
        self.choice.blockSignals(True)
        self.choice.clear()
        for layer in offered:
            self.choice.addItem(layer.name, layer)
        if self.points is None:
            self.points = next(filter(filter_layers.is_localizations, offered[::-1]), None)
            fresh = self.points is not None
        else:
            fresh = False
        self.choice.setCurrentIndex(offered.index(self.points) if self.points in offered else -1)
        self.choice.blockSignals(False)
        if fresh or not offered:
            self._take(self.points)
        images = [layer for layer in self.viewer.layers if filter_layers.is_fine_image(layer)]
        self.regions.show_images(images)

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        self.layers.forget(layer)
        if layer is self.points:
            self.points = None
            self._take(None)
        self._on_layers()

    def _on_choice(self) -> None:
        self._take(self.choice.currentData())

    @reported
    def _take(self, layer: Layer | None) -> None:
        """Filter `layer` from now on; None: nothing."""
        if self.points is not None:
            self.points.events.data.disconnect(self._on_points_data)
        self.points = self._dataset = self._live = self.filtered = None
        self._drop_picture()
        self.layers.hide_mask()
        ready = False
        try:
            if layer is not None:
                self._dataset = dataset_of(layer.metadata, f"the layer {layer.name!r}")
                self.points, ready = layer, True
        finally:
            # A foreign layer leaves the forms as empty as none.
            table = self._dataset.table if self._dataset is not None else None
            self.ranges.set_table(table)
            self.view.set_columns([] if table is None else number_columns(table))
            self.tabs.setEnabled(ready)
            self._show_counts()
        if self.points is None:
            return
        self.points.events.data.connect(self._on_points_data)
        self._on_images()
        held = self._dataset.filter if self._dataset is not None else None
        if held:
            self._adopt(Filter(**held))
        self._soon.start()

    def _on_points_data(self, event: Any = None) -> None:
        # Another widget shows other rows: those that are not kept are hidden among them too.
        self._rest.start()

    def _on_theme(self, event: Any = None) -> None:
        theme = get_theme(self.viewer.theme)
        for histogram in (self.ranges.histogram, self.regions.histogram):
            histogram.set_colours(
                text=theme.text.as_hex(),
                bar=theme.secondary.as_hex(),
                kept=theme.current.as_hex(),
                back=theme.background.as_hex() if theme.type == "dark" else "#f7f5f4",
            )

    # The filter

    @reported
    def _on_images(self) -> None:
        """Take other images to hold against the threshold."""
        if self._dataset is None:
            return
        maps = None
        try:
            maps = self.regions.maps()
            self.regions.show_values(maps)
        finally:
            self._live = LiveFilter(self._dataset.table, maps)
            self._soon.start()

    @reported
    def _judge(self) -> None:
        """Apply the filter, and draw what is kept."""
        if self._live is None or self._dataset is None:
            return
        rules = Filter(ranges=self.ranges.ranges, region=self.regions.region)
        try:
            self.filtered = self._live.apply(rules)
        except SmlmError:
            # The threshold has no image to be held against: the ranges still count.
            self.regions.set_region(None)
            rules = rules.model_copy(update={"region": None})
            self.filtered = self._live.apply(rules)
            raise
        finally:
            self.rules = rules
            self._show_counts()
            self._draw()
            self._show_mask()
            self._rest.start()

    def _draw(self) -> None:
        style = self.view.picture.currentData()
        if self.filtered is None or style == "uncertainty":
            return
        if self._drawing is None:
            sigma = KERNEL_SIGMA if style == "density" else 0.0
            self._drawing = LivePicture(self._dataset.table, self._grid(), sigma)  # type: ignore[union-attr]
        self._drawing.show(self.filtered.kept)
        self._show_picture(self._drawing.image, style)

    @reported
    def _settle(self) -> None:
        """Bring up to date what is too slow to follow the mouse."""
        if self.filtered is None or self.points is None or self._dataset is None:
            return
        filter_layers.show_points(self.points, self._dataset, self.filtered.kept)
        settings = self.rules.model_dump(mode="json")
        dataset = self._dataset.filtered(self.filtered.kept, settings=settings)
        filter_layers.keep_verdict(self.points, dataset)
        self.ranges.show_verdict(self.filtered)
        if self.view.picture.currentData() == "uncertainty":
            self._draw_gaussians()

    def _draw_gaussians(self) -> None:
        if self._busy:
            self._rest.start()  # again when this one may be done
            return
        assert self.filtered is not None and self._dataset is not None  # noqa: S101
        drawn, grid, rows = self.filtered, self._grid(), self._dataset.table

        def done(image: Any) -> None:
            self._busy = False
            if self.filtered is drawn and self.view.picture.currentData() == "uncertainty":
                self._show_picture(image, "uncertainty")

        def failed(error: Exception) -> None:
            self._busy = False
            show_error(str(error))

        self._busy = True
        in_background(lambda: uncertainty_picture(rows[drawn.kept], grid), done, failed)

    # What is seen

    def _grid(self) -> Grid:
        assert self._dataset is not None  # noqa: S101
        shape, size = self._dataset.frame_shape, self._dataset.pixel_size_nm
        s = self.view.upsampling.value()
        if shape is None:
            return Grid.covering(self._dataset.table, size, s)
        return Grid(shape=(shape[1] * s, shape[2] * s), pixel_size_nm=size, upsampling=s)

    def _show_picture(self, image: Any, style: str) -> None:
        if self.points is not None:
            origin = filter_layers.origin_nm(self.points)
            self.layers.show_picture(image, self._grid(), origin, _QUANTITY[style])

    def _on_picture(self) -> None:
        self._drawing = None
        self._soon.start()

    def _drop_picture(self) -> None:
        self._drawing = None
        if self.layers.picture is not None:
            self.viewer.layers.remove(self.layers.picture)

    def _show_mask(self, event: Any = None) -> None:
        region = self.rules.region if self.filtered is not None else None
        layer = self.regions.sd_layer
        maps = self._live.maps if self._live is not None else None
        if region is None or layer is None or maps is None:
            self.layers.hide_mask()
            self.regions.show_share(None)
            return
        masked = region.masked(maps)
        self.regions.show_share(float(np.mean(masked)))
        if self.regions.overlay.isChecked():
            self.layers.show_mask(masked, layer)
        else:
            self.layers.hide_mask()

    def _show_counts(self) -> None:
        if self._dataset is None:
            self.counts.setText(
                "There is no layer of localizations yet: localize, or open a table."
            )
            return
        total = len(self._dataset.table)
        kept = total if self.filtered is None else int(np.count_nonzero(self.filtered.kept))
        share = kept / total if total else 1.0
        self.counts.setText(
            f"<b>{kept:,}</b> kept of {total:,} ({share:.1%}), <b>{total - kept:,}</b> rejected"
        )

    @reported
    def _on_colours(self) -> None:
        column = self.view.colour.currentData()
        if self.points is None or self._dataset is None or column is None:
            return
        colormap = self.view.colormap.currentText()
        unknown = filter_layers.colour_points(self.points, self._dataset, column, colormap)
        self.view.say_unknown(unknown)
        self.points.face_colorbar.visible = self.view.bar.isChecked()

    # Files

    def _adopt(self, rules: Filter) -> None:
        """Put a filter into the forms."""
        self.ranges.set_ranges(rules.ranges)
        self.regions.set_region(rules.region)

    @reported
    def load(self, path: str | Path) -> None:
        """Use a saved filter, if it fits this table and these images; else nothing changes."""
        rules = Filter.load(path)
        if self._live is None or self._dataset is None:
            return
        before = self.regions.region
        self.regions.set_region(rules.region)
        try:
            live = LiveFilter(self._dataset.table, self.regions.maps())
            live.apply(rules)
        except SmlmError:
            self.regions.set_region(before)
            raise
        self._live = live
        self.ranges.set_ranges(rules.ranges)
        self.regions.show_values(live.maps)
        self._judge()

    @reported
    def export_to(self, path: str | Path) -> None:
        """Write what the forms say to `path`, in a thread."""
        if self._dataset is None:
            return
        self._judge()  # what was typed a moment ago counts
        dataset, rules, filtered = self._dataset, self.rules, self.filtered
        assert filtered is not None  # noqa: S101
        options = {"table_format": self.output.chosen.name, "rows": self.output.rows.currentData()}
        images = self._images() if self.output.images.isChecked() else []

        def work() -> Exported:
            return export(path, dataset, rules, filtered, images=images, **options)

        self.output.export.setEnabled(False)
        self.output.said.setText("Writing…")
        in_background(work, self._exported, self._not_exported)

    def _exported(self, written: Exported) -> None:
        self.output.export.setEnabled(True)
        names = ", ".join(path.name for path in written.paths)
        self.output.said.setText(f"Written to {written.paths[0].parent}: {names}")
        show_info(". ".join([f"Exported {names}", *written.notes]))

    def _not_exported(self, error: Exception) -> None:
        self.output.export.setEnabled(True)
        self.output.said.setText("Nothing was exported.")
        show_error(str(error) if isinstance(error, SmlmError) else f"The export failed: {error!r}")

    def _images(self) -> list[ExportImage]:
        images = []
        picture = self.layers.picture
        if picture is not None:
            known = filter_layers.about(picture)
            sigma = KERNEL_SIGMA if known["quantity"] == _QUANTITY["density"] else 0.0
            # A copy, because the layer's data may change while the file is written.
            data = np.array(picture.data)
            images.append(ExportImage("kept", data, known["grid"], sigma, known["quantity"]))
        chosen = (("sd", self.regions.sd_layer), ("density", self.regions.density_layer))
        for name, layer in chosen:
            if layer is not None:
                made = filter_layers.about(layer).get("provenance", {})
                sigma = float(made.get("kernel_sigma", KERNEL_SIGMA))
                grid = filter_layers.grid_of(layer)
                images.append(ExportImage(name, np.array(layer.data), grid, sigma, layer.name))
        return images

    @reported
    def _on_export(self) -> None:
        fmt = self.output.chosen
        start = f"{self.points.name if self.points else 'localizations'}{fmt.suffix}"
        path, _ = QFileDialog.getSaveFileName(
            self, "Export localizations", start, f"{fmt.title} (*{fmt.suffix})"
        )
        if path:
            self.export_to(path)

    @reported
    def _on_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load a filter", "", "Filter (*.json)")
        if path:
            self.load(path)

    @reported
    def _on_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the filter", "filter.filter.json", "Filter (*.json)"
        )
        if path:
            self.rules.save(path)
