"""The forms below the filter: how the kept molecules are shown, and what is exported."""

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_smlm_diffusion.results.formats.base import TableFormat
from napari_smlm_diffusion.results.formats.registry import WRITABLE
from napari_smlm_diffusion.widgets.shared.column_words import label_of, meaning_of
from napari_smlm_diffusion.widgets.shared.fields import combo

_PICTURES = (
    ("density", "Density"),
    ("counts", "Molecules per fine pixel"),
    ("uncertainty", "Gaussians of their uncertainty"),
)
_COLORMAPS = ("viridis", "plasma", "turbo", "cividis", "gray")


class ViewForm(QWidget):
    """How the picture and the points look."""

    picture_changed = Signal()
    colours_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.picture = combo(
            "What the layer “kept molecules” shows.\n"
            "Density: every kept molecule with the kernel of the density; one alone peaks at 1.\n"
            "Gaussians: every kept molecule as wide as its own uncertainty, drawn when the "
            "handles rest; a million take about ten seconds."
        )
        for value, words in _PICTURES:
            self.picture.addItem(words, value)
        self.upsampling = QSpinBox()
        self.upsampling.setRange(1, 16)
        self.upsampling.setValue(4)
        self.upsampling.setToolTip("Fine pixels of the picture along the edge of a camera pixel.")
        self.colour = combo("The column that colours the points.")
        self.colormap = combo("Colours of the points, from small to large values.")
        self.colormap.addItems(_COLORMAPS)
        self.bar = QCheckBox("Colour bar on the canvas")
        self.bar.setChecked(True)
        self.bar.setToolTip("Shows which colour of a point stands for which value.")
        layout = QFormLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapAllRows)
        layout.addRow("Picture", self.picture)
        layout.addRow("Fine pixels per pixel", self.upsampling)
        layout.addRow("Colour points by", self.colour)
        layout.addRow("Colours", self.colormap)
        layout.addRow(self.bar)
        self._unknown = QLabel()
        self._unknown.setWordWrap(True)
        layout.addRow(self._unknown)
        self.picture.currentIndexChanged.connect(lambda _: self.picture_changed.emit())
        self.upsampling.valueChanged.connect(lambda _: self.picture_changed.emit())
        self.colour.currentIndexChanged.connect(lambda _: self.colours_changed.emit())
        self.colormap.currentIndexChanged.connect(lambda _: self.colours_changed.emit())
        self.bar.toggled.connect(lambda _: self.colours_changed.emit())

    def say_unknown(self, count: int) -> None:
        """Say how many points have no colour."""
        words = f"{count:,} points have no value here and are not drawn." if count else ""
        self._unknown.setText(words)

    def set_columns(self, names: list[str]) -> None:
        """Offer these columns as colours, after leaving the points as they are."""
        self.colour.blockSignals(True)
        self.colour.clear()
        self.colour.addItem("(as they are)", None)
        for name in names:
            self.colour.addItem(label_of(name), name)
            self.colour.setItemData(self.colour.count() - 1, meaning_of(name), 3)
        self.colour.blockSignals(False)


class ExportForm(QWidget):
    """What is written, and the buttons that do it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.format = combo("Format of the table. Units and origins are converted to its own.")
        for fmt in WRITABLE:
            self.format.addItem(f"{fmt.title} (*{fmt.suffix})", fmt)
        self.rows = combo(
            "Only what the filter keeps, or every row with a column that says whether it is kept "
            "and, in our own format, why not."
        )
        self.rows.addItem("Kept molecules only", "kept")
        self.rows.addItem("All, with “kept” and the reason", "all")
        self.images = QCheckBox("Images too (TIFF)")
        self.images.setChecked(True)
        self.images.setToolTip(
            "Writes the picture of the kept molecules, and the SD image and density chosen under "
            "“Do not trust”, as TIFF files with their pixel size."
        )
        self.export = QPushButton("Export…")
        self.export.setToolTip("Choose a file; the filter is saved beside it as NAME.filter.json.")
        self.load = QPushButton("Load filter…")
        self.load.setToolTip("Use a filter that was saved with an export.")
        self.save = QPushButton("Save filter…")
        self.save.setToolTip("Save the filter alone.")
        self.said = QLabel()
        self.said.setWordWrap(True)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Format", self.format)
        form.addRow("Rows", self.rows)
        buttons = QHBoxLayout()
        buttons.addWidget(self.load)
        buttons.addWidget(self.save)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(form)
        layout.addWidget(self.images)
        layout.addWidget(self.export)
        layout.addLayout(buttons)
        layout.addWidget(self.said)
        layout.addStretch(1)

    @property
    def chosen(self) -> TableFormat:
        """The format of the table."""
        return self.format.currentData()
