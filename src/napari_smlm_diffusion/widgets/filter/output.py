"""The forms below the filter: how the kept molecules are shown, and what is exported."""

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_smlm_diffusion.results.formats.base import TableFormat
from napari_smlm_diffusion.results.formats.registry import WRITABLE
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.column_words import label_of, meaning_of

_COLORMAPS = ("viridis", "plasma", "turbo", "cividis", "gray")


class ViewForm(QWidget):
    """How the picture and the points look."""

    picture_changed = Signal()
    colours_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.picture = fields.combo(
            "What the layer “kept molecules” shows.\n"
            "Density: every kept molecule with the kernel of the density; one alone peaks at 1.\n"
            "Gaussians: every kept molecule as wide as its own uncertainty, drawn when the "
            "handles rest; a million take about ten seconds.",
            [
                ("Density", "density"),
                ("Molecules per fine pixel", "counts"),
                ("Gaussians of their uncertainty", "uncertainty"),
            ],
        )
        self.upsampling = fields.spin(
            1, 16, 4, "Fine pixels of the picture along the edge of a camera pixel."
        )
        self.colour = fields.combo("The column that colours the points.")
        self.colormap = fields.combo(
            "Colours of the points, from small to large values.", [(n, n) for n in _COLORMAPS]
        )
        self.bar = fields.check(
            "Colour bar on the canvas",
            "Shows which colour of a point stands for which value.",
            ticked=True,
        )
        self._unknown = fields.label()
        layout = fields.form(
            ("Picture", self.picture),
            ("Fine pixels per pixel", self.upsampling),
            ("Colour points by", self.colour),
            ("Colours", self.colormap),
            self.bar,
            self._unknown,
            owner=self,
            margins=(6, 6, 6, 6),
        )
        layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapAllRows)
        for signal in (self.picture.currentIndexChanged, self.upsampling.valueChanged):
            signal.connect(lambda _: self.picture_changed.emit())
        for box in (self.colour, self.colormap):
            box.currentIndexChanged.connect(lambda _: self.colours_changed.emit())
        self.bar.toggled.connect(lambda _: self.colours_changed.emit())

    def say_unknown(self, count: int) -> None:
        """Say how many points have no colour."""
        words = f"{count:,} points have no value here and are not drawn." if count else ""
        self._unknown.setText(words)

    def set_columns(self, names: list[str]) -> None:
        """Offer these columns as colours, after leaving the points as they are."""
        columns = [(label_of(name), name, meaning_of(name)) for name in names]
        fields.offer(self.colour, [("(as they are)", None), *columns])


class ExportForm(QWidget):
    """What is written, and the buttons that do it."""

    def __init__(self) -> None:
        super().__init__()
        self.format = fields.combo(
            "Format of the table. Units and origins are converted to its own.",
            [(f"{fmt.title} (*{fmt.suffix})", fmt) for fmt in WRITABLE],
        )
        self.rows = fields.combo(
            "Only what the filter keeps, or every localization with a column that says whether it "
            "is kept and, in our own format, why not.",
            [("Kept molecules only", "kept"), ("All, with “kept” and the reason", "all")],
        )
        self.images = fields.check(
            "Images too (TIFF)",
            "Writes the picture of the kept molecules, and the SD image and density chosen under "
            "“Do not trust”, as TIFF files with their pixel size.",
            ticked=True,
        )
        self.export = fields.button(
            "Export…", "Choose a file; the filter is saved beside it as NAME.filter.json."
        )
        self.load = fields.button("Load filter…", "Use a filter that was saved with an export.")
        self.save = fields.button("Save filter…", "Save the filter alone.")
        self.said = fields.label()
        fields.column(
            self,
            fields.form(("Format", self.format), ("Localizations", self.rows)),
            self.images,
            self.export,
            fields.row(self.load, self.save),
            self.said,
            None,
            margins=(6, 6, 6, 6),
        )

    @property
    def chosen(self) -> TableFormat:
        """The format of the table."""
        return self.format.currentData()
