"""Files of the widget "Filter & export": what its form's buttons write and read."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_info
from qtpy.QtWidgets import QFileDialog

from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.export import Exported, ExportImage, export
from napari_smlm_diffusion.results.filters import Filter, Filtered
from napari_smlm_diffusion.results.session import KERNEL_SIGMA, QUANTITY
from napari_smlm_diffusion.widgets.filter.layers import grid_of, pixels_of
from napari_smlm_diffusion.widgets.filter.output import ExportForm
from napari_smlm_diffusion.widgets.shared.notices import reported, tell
from napari_smlm_diffusion.widgets.shared.threads import Latest
from napari_smlm_diffusion.widgets.shared.viewer_layers import about


class Snapshot(NamedTuple):
    """What there is to export at the moment of the click; images are copied when called for."""

    name: str
    dataset: Dataset
    rules: Filter
    filtered: Filtered
    images: Callable[[], list[ExportImage]]


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
    """Connects the buttons of the form.

    Parameters
    ----------
    form : ExportForm
        With the buttons and the choices.
    snapshot : callable
        Returns what there is to export; None for nothing.
    adopt : callable
        Takes a loaded filter; raises `InputError` if it does not fit.
    """

    def __init__(
        self,
        form: ExportForm,
        snapshot: Callable[[], Snapshot | None],
        adopt: Callable[[Filter], None],
    ) -> None:
        self.form, self._snapshot, self._adopt = form, snapshot, adopt
        self._exports = Latest(form)
        self._exports.done.connect(self._exported)
        self._exports.failed.connect(self._not_exported)
        form.export.clicked.connect(lambda _: self._on_export())
        form.load.clicked.connect(lambda _: self._on_load())
        form.save.clicked.connect(lambda _: self._on_save())

    @reported
    def _on_export(self) -> None:
        ready, fmt = self._snapshot(), self.form.chosen
        if ready is None:
            return
        path, _ = QFileDialog.getSaveFileName(
            self.form, "Export localizations", f"{ready.name}{fmt.suffix}",
            f"{fmt.title} (*{fmt.suffix})",
        )  # fmt: skip
        if not path:
            return
        rows = self.form.rows.currentData()
        images = ready.images() if self.form.images.isChecked() else []

        def work() -> Exported:
            return export(
                path, ready.dataset, ready.rules, ready.filtered,
                table_format=fmt.name, rows=rows, images=images,
            )  # fmt: skip

        self.form.export.setEnabled(False)
        self.form.said.setText("Writing…")
        self._exports.ask(work)

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
        path, _ = QFileDialog.getOpenFileName(self.form, "Load a filter", "", "Filter (*.json)")
        if path:
            self._adopt(Filter.load(Path(path)))

    @reported
    def _on_save(self) -> None:
        ready = self._snapshot()
        if ready is None:
            return
        path, _ = QFileDialog.getSaveFileName(
            self.form, "Save the filter", f"{ready.name}.filter.json", "Filter (*.json)"
        )
        if path:
            ready.rules.save(path)
