"""The widget "Filter & export": choose what to trust, see what remains, and write it."""

from typing import Any

import numpy as np
from napari.layers import Layer, Points
from qtpy.QtWidgets import QLabel

from napari_smlm_diffusion.errors import SmlmError
from napari_smlm_diffusion.results.filters import Filter
from napari_smlm_diffusion.results.layers import KEY
from napari_smlm_diffusion.results.point_layers import dataset_of
from napari_smlm_diffusion.results.session import QUANTITY, FilterSession, Style
from napari_smlm_diffusion.widgets.filter import layers as filter_layers
from napari_smlm_diffusion.widgets.filter.files import FilterFiles
from napari_smlm_diffusion.widgets.filter.output import ExportForm, ViewForm
from napari_smlm_diffusion.widgets.filter.range_form import RangeForm
from napari_smlm_diffusion.widgets.filter.region_form import RegionForm
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.column_words import number_columns
from napari_smlm_diffusion.widgets.shared.dock import Dock
from napari_smlm_diffusion.widgets.shared.field_in_view import field_in_view
from napari_smlm_diffusion.widgets.shared.notices import reported, tell
from napari_smlm_diffusion.widgets.shared.viewer_layers import (
    about,
    is_localizations,
    origin_nm,
)

# After the last move of a handle: what takes longer than a frame of the screen is done then.
_REST_MS = 150


class FilterExport(Dock):
    """Filters one layer of localizations, shows what is kept, and exports it.

    While a handle is dragged the rows are judged and picture and counts follow; points, bars and
    the layer's metadata follow when it rests. Nothing is ever removed from the table.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:  # type: ignore[name-defined]  # noqa: F821
        super().__init__(viewer)
        self.layers = filter_layers.FilterLayers(self.viewer)
        self.session: FilterSession | None = None
        self.points: Points | None = None  # the layer of the session
        self._chosen: Layer | None = None  # may be a foreign one, which has no session
        self._taking = False
        self._by_field = False  # there are more points than are drawn at once
        self._gaussians = self.latest(self._on_gaussians, tell)
        self._soon, self._rest = self.timer(0, self._judge), self.timer(_REST_MS, self._settle)
        self._anew = self.timer(0, self._take_anew)
        self._moved = self.timer(_REST_MS, self._show_points)
        self._build()
        self.files = FilterFiles(self)
        self._connect()
        self._on_layers()
        self.colour(self.ranges.histogram, self.regions.histogram)

    def _build(self) -> None:
        self.choice = fields.combo(
            "The layer of localizations that is filtered; all of them stay in it.",
            empty="choose a layer of localizations",
        )
        self.counts = QLabel()
        self.counts.setToolTip("How many molecules the filter keeps, of all in the table.")
        self.counts.setWordWrap(True)
        self.ranges, self.regions = RangeForm(), RegionForm()
        self.view, self.output = ViewForm(), ExportForm()
        self.tabs = fields.tabbed(
            (
                (self.ranges, "Ranges", "Keep what lies between two values"),
                (self.regions, "Do not trust", "Mask regions by an image of the SD"),
                (self.view, "Show", "Picture of the kept molecules, colours of the points"),
                (self.output, "Export", "Write files, load a filter"),
            )
        )
        fields.column(self, "Localizations", self.choice, self.counts, (self.tabs, 1), margins=None)

    def _connect(self) -> None:
        events, camera = self.viewer.layers.events, self.viewer.scene.camera.events
        self.hear(events.inserted, self._on_layers)
        self.hear(events.removed, self._on_removed)
        self.hear(camera.zoom, self._on_camera)
        self.hear(camera.center, self._on_camera)
        self.choice.currentIndexChanged.connect(lambda _: self._take(self.choice.currentData()))
        for changed in (self.ranges.changed, self.regions.changed, self.view.picture_changed):
            changed.connect(self._soon.start)
        self.ranges.refused.connect(tell)
        self.regions.images_changed.connect(self._on_images)
        self.regions.shown.connect(self._show_mask)
        self.view.colours_changed.connect(self._on_colours)

    def _on_layers(self, event: Any = None) -> None:
        offered = [layer for layer in self.viewer.layers if isinstance(layer, Points)]
        fresh = None
        if self._chosen is None:
            fresh = next(filter(is_localizations, offered[::-1]), None)
        fields.offer_layers(self.choice, offered, self._chosen or fresh)
        if fresh is not None or not offered:
            self._take(fresh)
        images = [layer for layer in self.viewer.layers if filter_layers.is_fine_image(layer)]
        self.regions.show_images(images)

    def _on_removed(self, event: Any) -> None:
        if self._taking:
            return
        self.layers.forget(event.value)
        if event.value is self._chosen:
            self._take(None)
        self._on_layers()

    @reported
    def _take(self, layer: Layer | None) -> None:
        """Filter `layer` from now on; None: nothing."""
        if self.points is not None:
            self.points.events.data.disconnect(self._on_points_data)
        self.points = self.session = None
        self._chosen = layer
        self._taking = True  # that our own layers go is no news
        self.layers.remove("picture", "mask")
        self._taking = False
        try:
            if layer is not None:
                dataset = dataset_of(layer.metadata, f"the layer {layer.name!r}")
                self.session, self.points = FilterSession(dataset), layer
        finally:
            # A foreign layer leaves the forms as empty as none.
            table = self.session.dataset.table if self.session is not None else None
            self.ranges.set_table(table)
            self.view.set_columns([] if table is None else number_columns(table))
            self.tabs.setEnabled(self.session is not None)
            self._show_counts()
        if self.points is None:
            return
        self.points.events.data.connect(self._on_points_data)
        if dataset.filter:
            saved = Filter(**dataset.filter)
            self.ranges.set_ranges(saved.ranges)
            self.regions.set_region(saved.region)
        self._on_images()

    def _on_points_data(self, event: Any = None) -> None:
        if self._has_new_table():
            self._anew.start()  # not at once: the other widget is not done with the layer
        else:
            # Another widget shows other rows: those that are not kept are hidden among them too.
            self._rest.start()

    def _has_new_table(self) -> bool:
        """Whether another widget has put other localizations into the layer."""
        if self.session is None or self.points is None:
            return False
        known = about(self.points).get("dataset")
        return known is not None and known.table is not self.session.dataset.table

    def _take_anew(self) -> None:
        if self._has_new_table():
            self._take(self.points)

    @reported
    def _on_images(self) -> None:
        """Take other images to hold against the threshold."""
        if self.session is None:
            return
        maps = None
        try:
            maps = self.regions.maps()
            self.regions.show_values(maps)
        finally:
            self.session.use(maps)
            self._soon.start()

    @reported
    def _judge(self) -> None:
        """Apply the filter of the forms, and draw what is kept."""
        if self.session is None:
            return
        rules = Filter(ranges=self.ranges.ranges, region=self.regions.region)
        if rules != self.session.rules:
            self.output.said.setText("")  # what was written is of another filter
        try:
            self.session.judge(rules)
        except SmlmError:
            # The threshold has no image to be held against: the ranges still count.
            self.regions.set_region(None)
            self.session.judge(rules.model_copy(update={"region": None}))
            raise
        finally:
            self._show_counts()
            self._draw()
            self._show_mask()
            self._rest.start()

    @reported
    def _settle(self) -> None:
        """Bring up to date what is too slow to follow the mouse."""
        self._take_anew()  # before its old rows are written back
        if self.session is None or self.points is None:
            return
        self._show_points()
        # Where File > Save finds it.
        self.points.metadata[KEY] = about(self.points) | {"dataset": self.session.verdict()}
        self.ranges.show_verdict(self.session.filtered)
        if self.view.picture.currentData() == "uncertainty":
            self._draw_gaussians(self.session)

    def _on_camera(self, event: Any = None) -> None:
        if self._by_field:
            self._moved.start()

    def _show_points(self) -> None:
        if self.session is None or self.points is None:
            return
        field = field_in_view(self.viewer, self.points)
        kept = self.session.filtered.kept
        self._by_field = filter_layers.show_points(self.points, self.session.dataset, kept, field)

    def _draw(self) -> None:
        style = self.view.picture.currentData()
        if self.session is not None and style != "uncertainty":
            grid = self.session.grid(self.view.upsampling.value())
            self._show_picture(self.session.picture(style, grid), grid, style)

    def _draw_gaussians(self, session: FilterSession) -> None:
        drawn, grid = session.filtered, session.grid(self.view.upsampling.value())
        self._gaussians.ask(lambda: (session.gaussians(grid), drawn, grid))

    def _on_gaussians(self, found: tuple[Any, Any, Any]) -> None:
        image, drawn, grid = found
        now = self.session.filtered if self.session is not None else None
        if now is drawn and self.view.picture.currentData() == "uncertainty":
            self._show_picture(image, grid, "uncertainty")

    def _show_picture(self, image: Any, grid: Any, style: Style) -> None:
        if self.points is not None:
            origin = origin_nm(self.points)
            self.layers.show_picture(image, grid, origin, QUANTITY[style])

    def _show_mask(self, event: Any = None) -> None:
        masked = self.session.masked() if self.session is not None else None
        layer = self.regions.sd_layer
        self.regions.show_share(None if masked is None else float(np.mean(masked)))
        if masked is not None and layer is not None and self.regions.overlay.isChecked():
            self.layers.show_mask(masked, layer)
        else:
            self.layers.remove("mask")

    def _show_counts(self) -> None:
        if self.session is None:
            self.counts.setText(
                "There is no layer of localizations yet: localize, or open a table."
            )
            return
        kept, total = int(self.session.filtered.kept.sum()), len(self.session.dataset.table)
        share = kept / total if total else 1.0
        self.counts.setText(
            f"<b>{kept:,}</b> kept of {total:,} ({share:.1%}), <b>{total - kept:,}</b> rejected"
        )

    @reported
    def _on_colours(self) -> None:
        column = self.view.colour.currentData()
        if self.points is None or self.session is None or column is None:
            return
        unknown = filter_layers.colour_points(
            self.points, self.session.dataset, column, self.view.colormap.currentText()
        )
        self.view.say_unknown(unknown)
        self.points.face_colorbar.visible = self.view.bar.isChecked()

    def ready(self) -> tuple[str, FilterSession] | None:
        """Return what there is to export and its name, after what was typed a moment ago."""
        self._take_anew()
        self._judge()
        if self.session is None or self.points is None:
            return None
        return self.points.name, self.session

    def adopt(self, rules: Filter) -> None:
        """Use a loaded filter, if it fits this table and these images; else nothing changes."""
        if self.session is None:
            return
        before, maps = self.regions.region, self.session.maps
        self.regions.set_region(rules.region)
        try:
            self.session.use(self.regions.maps())
            self.session.judge(rules)
        except SmlmError:
            self.regions.set_region(before)
            self.session.use(maps)
            raise
        self.ranges.set_ranges(rules.ranges)
        self.regions.show_values(self.session.maps)
        self._judge()
