"""The forms of the widget "Train": the ranges that training frames are drawn from, and the view."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.simulation.prior import GENERAL, Prior
from napari_smlm_diffusion.widgets.shared.fields import only_numbers
from napari_smlm_diffusion.widgets.train.intensity_histogram import IntensityHistogram

_EFFECTIVE = (
    "Effective photons are photo-electrons, on an EMCCD divided by its excess noise (2): what\n"
    "the photons at the sensor become after quantum efficiency."
)


class Row(NamedTuple):
    """A field of the prior in words: its unit, what it means, and what is allowed."""

    unit: str
    tip: str
    least: float
    most: float
    kind: type = float
    single: bool = False


ROWS: dict[str, Row] = {
    "psf_sigma_px": Row(
        "SD, px", "Standard deviation of a molecule's spot, in camera pixels.", 0.3, 10
    ),
    "photons": Row(
        "per molecule",
        f"Mean brightness of the molecules of a frame.\n{_EFFECTIVE}",
        1,
        1e6,
    ),
    "photon_cv": Row(
        "SD/mean",
        "How much the brightness differs between the molecules of one frame, relative to its mean.",
        0,
        3,
    ),
    "background": Row("photons/px", f"Mean background of a frame.\n{_EFFECTIVE}", 0, 1e5),
    "background_gradient": Row(
        "SD/mean",
        "How much the background differs smoothly over a frame, relative to its mean.",
        0,
        1,
    ),
    "read_noise": Row(
        "e⁻ rms",
        "Of the camera; on an EMCCD divided by EM gain and excess noise (effective electrons).",
        0,
        1000,
    ),
    "density_per_px2": Row("per px²", "Molecules that shine in a frame, per camera pixel.", 0, 5),
    "local_density_per_px2": Row(
        "per px²",
        "Molecules per camera pixel on filaments and in clusters at most.",
        0.001,
        50,
        single=True,
    ),
    "disc_radius_px": Row("px", "Of the disc in the middle, camera pixels.", 0.5, 64, single=True),
    "disc_count": Row(
        "molecules", "Molecules on the disc in the middle of the frame.", 0, 2000, int
    ),
}
STRUCTURES = {
    "uniform": ("anywhere", "Molecules anywhere in the frame."),
    "filaments": ("filaments", "Gently bent filaments that cross the frame."),
    "tubes": ("tubes", "Bundles of two to four parallel tubes, labelled on their surface."),
    "clusters": ("clusters", "Clusters of about eight molecules."),
    "nanorulers": ("nanorulers", "Three molecules in a row at equal distances, 0.3 to 3 px."),
    "disc": ("disc", "A disc in the middle of the frame, as in the guided-diffusion papers."),
}


class PriorForm(QWidget):
    """What is simulated: two numbers for each range, and where molecules are."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lines: dict[str, tuple[QLineEdit, ...]] = {}
        self.structures: dict[str, QCheckBox] = {}
        self._rows: dict[str, tuple[QWidget, QWidget]] = {}
        self.fill_in = QPushButton("Fill in from this movie")
        self.fill_in.setToolTip(
            "Measure PSF width, photons, background and density in a sample of the movie's\n"
            "frames, with the camera under Microscope; fill in ranges that hold them with room."
        )
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        self.said.setToolTip("What was measured in the movie, or which settings were loaded.")
        form = QFormLayout()
        form.setContentsMargins(6, 0, 6, 0)
        form.setVerticalSpacing(3)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        for name, row in ROWS.items():
            if name == "disc_radius_px":
                self._add_structures(form)
            self._add(form, name, row)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.fill_in)
        layout.addWidget(self.said)
        layout.addLayout(form)
        layout.addStretch(1)
        self.set_prior(GENERAL)

    def _add(self, form: QFormLayout, name: str, row: Row) -> None:
        line_of = QWidget()
        layout = QHBoxLayout(line_of)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        lines: list[QLineEdit] = []
        title = Prior.model_fields[name].title
        tip = f"{row.tip}\nAllowed: {row.least:g} to {row.most:g}."
        for end in ("value",) if row.single else ("lowest", "highest"):
            line = QLineEdit()
            only_numbers(line, whole=row.kind is int)
            line.setToolTip(tip if row.single else f"The {end} value.\n{tip}")
            line.setAccessibleName(f"{title} ({row.unit}), {end}")
            line.setMinimumWidth(44)
            # As wide as there is room: its own wish would make the dock wider than the others.
            line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            if lines:
                layout.addWidget(QLabel("to"))
            layout.addWidget(line, 1)
            lines.append(line)
        self.lines[name] = tuple(lines)
        label = QLabel(f"{title} ({row.unit})")
        label.setToolTip(tip)
        form.addRow(label, line_of)
        self._rows[name] = label, line_of

    def _add_structures(self, form: QFormLayout) -> None:
        boxes = QWidget()
        grid = QGridLayout(boxes)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(0)
        for place, (name, (words, tip)) in enumerate(STRUCTURES.items()):
            box = QCheckBox(words)
            box.setToolTip(f"{tip}\nEach frame draws one of the structures that are ticked.")
            grid.addWidget(box, place // 2, place % 2)
            self.structures[name] = box
        self.structures["disc"].toggled.connect(self._on_disc)
        form.addRow("Structures", boxes)

    def _on_disc(self, wanted: bool) -> None:
        for name in ("disc_radius_px", "disc_count"):
            for part in self._rows[name]:
                part.setVisible(wanted)

    def set_prior(self, prior: Prior) -> None:
        """Fill everything in."""
        self.set_values({name: getattr(prior, name) for name in ROWS})
        for name, box in self.structures.items():
            box.setChecked(name in prior.structures)
        self._on_disc("disc" in prior.structures)

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Fill some of the rows in: a number, or the two ends of a range."""
        for name, value in values.items():
            ends = value if isinstance(value, tuple) else (value,)
            for line, end in zip(self.lines[name], ends, strict=True):
                line.setText(_text(end))
                line.setCursorPosition(0)

    def prior(self) -> Prior:
        """Return what is filled in.

        Raises
        ------
        InputError
            If it cannot be simulated.
        """
        values: dict[str, Any] = {name: self._value(name, row) for name, row in ROWS.items()}
        ticked = tuple(name for name, box in self.structures.items() if box.isChecked())
        if not ticked:
            raise InputError(
                "tick at least one, or no molecules can be placed", field="prior.structures"
            )
        return Prior(**values, structures=ticked)

    def _value(self, name: str, row: Row) -> Any:
        field, numbers = f"prior.{name}", []
        for line in self.lines[name]:
            try:
                number = row.kind(line.text())
            except ValueError:
                what = "a number" if row.single else "both numbers"
                got = f"“{line.text()}”" if line.text() else "nothing"
                raise InputError(f"fill in {what}, got {got}", field=field) from None
            if not row.least <= number <= row.most:
                raise InputError(
                    f"must be {row.least:g} to {row.most:g} ({row.unit}), got {number:g}",
                    field=field,
                )
            numbers.append(number)
        if row.single:
            return numbers[0]
        low, high = numbers
        if low > high:
            raise InputError(
                f"the first number must not be above the second, got {low:g} to {high:g}",
                field=field,
            )
        return low, high


class SimulateForm(QWidget):
    """Frames and seed, the button, and how the simulated frames compare with the movie's."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.count, self.seed = QSpinBox(), QSpinBox()
        self.count.setRange(1, 64)
        self.count.setValue(8)
        self.count.setToolTip("How many frames to simulate; each draws settings of its own.")
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setValue(1)
        self.seed.setToolTip(
            "Of all random numbers: the same seed gives the same frames. It goes on by one each "
            "time,\nso that other frames are drawn."
        )
        self.start = QPushButton("Simulate")
        self.start.setToolTip(
            "Draw frames as a training would, and show them right of the movie in its own counts;\n"
            "a hidden layer of rings says where their molecules are."
        )
        self.histogram = IntensityHistogram()
        self.histogram.setToolTip(
            "How bright the pixels are: those of the movie's frames from the slider on, and those\n"
            "of the simulated frames. The shares are on a logarithmic axis."
        )
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        self.said.setToolTip("How the simulated frames differ from the movie, in numbers.")
        self.save, self.load = QPushButton("Save settings…"), QPushButton("Load settings…")
        self.save.setToolTip("Write a file that “smlm-diffusion train --config FILE” trains with.")
        self.load.setToolTip("Fill in the simulation from such a file.")
        row = QHBoxLayout()
        for box in (self.count, self.seed):
            box.setMinimumWidth(76)
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for words, box in (("Frames", self.count), ("Seed", self.seed)):
            label = QLabel(words)
            label.setToolTip(box.toolTip())
            row.addWidget(label)
            row.addWidget(box, 1)
        row.addWidget(self.start, 1)
        files = QHBoxLayout()
        files.addWidget(self.save)
        files.addWidget(self.load)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.histogram, 1)
        layout.addWidget(self.said)
        layout.addLayout(files)


def _text(value: float) -> str:
    """Return a number as short as it can be without becoming another one."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
