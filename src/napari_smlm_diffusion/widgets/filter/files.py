"""Files of the widget "Filter & export": what its form's buttons write and read."""

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_info

from napari_smlm_diffusion.results.export import Exported, ExportImage, export
from napari_smlm_diffusion.results.filters import Filter
from napari_smlm_diffusion.results.session import KERNEL_SIGMA, QUANTITY
from napari_smlm_diffusion.widgets.filter.layers import grid_of, pixels_of
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.notices import reported, tell
from napari_smlm_diffusion.widgets.shared.threads import Latest
from napari_smlm_diffusion.widgets.shared.viewer_layers import about

if TYPE_CHECKING:
    from napari_smlm_diffusion.widgets.filter.dock import FilterExport


def export_images(
    picture: Image | None, sd: Image | None, density: Image | None
) -> list[ExportImage]:
    """Return copies of the layers as an export takes them: a layer's data may change meanwhile.

    Raises `InputError` if a layer is a stack.
    """
    images = []
    if picture is not None:
        known = about(picture)
        sigma = KERNEL_SIGMA if known["quantity"] == QUANTITY["density"] else 0.0
        data = np.array(picture.data)
        images.append(ExportImage("kept", data, known["grid"], sigma, known["quantity"]))
    for name, layer in (("sd", sd), ("density", density)):
        if layer is not None:
            known = about(layer).get("provenance", {})
            # Of a run, or of an image file.
            known = known["model"] if isinstance(known.get("model"), dict) else known
            sigma = float(known.get("kernel_sigma", KERNEL_SIGMA))
            images.append(
                ExportImage(name, pixels_of(layer).copy(), grid_of(layer), sigma, layer.name)
            )
    return images


class FilterFiles:
    """Connects the buttons of a dock's form for export."""

    def __init__(self, dock: "FilterExport") -> None:
        self.dock, self.form = dock, dock.output
        self._exports = Latest(self.form)
        self._exports.done.connect(self._exported)
        self._exports.failed.connect(self._not_exported)
        self.form.export.clicked.connect(lambda _: self._on_export())
        self.form.load.clicked.connect(lambda _: self._on_load())
        self.form.save.clicked.connect(lambda _: self._on_save())

    @reported
    def _on_export(self) -> None:
        ready, fmt, form = self.dock.ready(), self.form.chosen, self.form
        if ready is None:
            return
        name, session = ready
        kinds = f"{fmt.title} (*{fmt.suffix})"
        path = fields.ask_save(form, "Export localizations", f"{name}{fmt.suffix}", kinds)
        if path is None:
            return
        # Of now, whatever the user does meanwhile.
        of = (session.dataset, session.rules, session.filtered)
        chosen = self.dock.regions
        layers = (self.dock.layers.picture, chosen.sd_layer, chosen.density_layer)
        images = export_images(*layers) if form.images.isChecked() else []
        rows = form.rows.currentData()
        form.export.setEnabled(False)
        form.said.setText("Writing…")
        self._exports.ask(
            lambda: export(path, *of, table_format=fmt.name, rows=rows, images=images)
        )

    def _exported(self, written: Exported) -> None:
        self.form.export.setEnabled(True)
        names = ", ".join(path.name for path in written.paths)
        self.form.said.setText(f"Written to {written.paths[0].parent}: {names}")
        show_info(". ".join([f"Exported {names}", *written.notes]))

    def _not_exported(self, error: Exception) -> None:
        self.form.export.setEnabled(True)
        self.form.said.setText("The export did not succeed.")
        tell(error)

    @reported
    def _on_load(self) -> None:
        path = fields.ask_open(self.form, "Load a filter", "Filter (*.json)")
        if path is not None:
            self.dock.adopt(Filter.load(path))

    @reported
    def _on_save(self) -> None:
        if (ready := self.dock.ready()) is None:
            return
        name, session = ready
        kinds = "Filter (*.json)"
        path = fields.ask_save(self.form, "Save the filter", f"{name}.filter.json", kinds)
        if path is not None:
            session.rules.save(path)
