"""The forms of the widget "Train": the ranges that training frames are drawn from, and the view."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from qtpy.QtWidgets import QGridLayout, QLabel, QLineEdit, QWidget

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.simulation.prior import GENERAL, Prior
from napari_smlm_diffusion.widgets.shared import fields
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
        "per molecule", f"Mean brightness of the molecules of a frame.\n{_EFFECTIVE}", 1, 1e6
    ),
    "photon_cv": Row(
        "SD/mean",
        "How much the brightness differs between the molecules of one frame, relative to its mean.",
        *(0, 3),
    ),
    "background": Row("photons/px", f"Mean background of a frame.\n{_EFFECTIVE}", 0, 1e5),
    "background_gradient": Row(
        "SD/mean",
        "How much the background differs smoothly over a frame, relative to its mean.",
        *(0, 1),
    ),
    "read_noise": Row(
        "e⁻ rms",
        "Of the camera; on an EMCCD divided by EM gain and excess noise (effective electrons).",
        *(0, 1000),
    ),
    "density_per_px2": Row("per px²", "Molecules that shine in a frame, per camera pixel.", 0, 5),
    "local_density_per_px2": Row(
        "per px²",
        "Molecules per camera pixel on filaments and in clusters at most.",
        *(0.001, 50),
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

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, tuple[QLineEdit, ...]] = {}
        self._rows: dict[str, tuple[QWidget, QWidget]] = {}
        self.fill_in = fields.button(
            "Fill in from this movie",
            "Measure PSF width, photons, background and density in a sample of the movie's\n"
            "frames, with the camera under Microscope; fill in ranges that hold them with room.",
        )
        self.said = fields.label("What was measured in the movie, or which settings were loaded.")
        self.structures = {
            name: fields.check(
                words, f"{tip}\nEach frame draws one of the structures that are ticked."
            )
            for name, (words, tip) in STRUCTURES.items()
        }
        self.structures["disc"].toggled.connect(self._on_disc)
        boxes = QWidget()
        grid = QGridLayout(boxes)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(0)
        for place, box in enumerate(self.structures.values()):
            grid.addWidget(box, place // 2, place % 2)
        rows = fields.form(margins=(6, 0, 6, 0), spacing=3)
        for name, of in ROWS.items():
            if name == "disc_radius_px":
                rows.addRow("Structures", boxes)
            self._rows[name] = self._row(name, of)
            rows.addRow(*self._rows[name])
        parts = (self.fill_in, self.said, rows, None)
        fields.column(self, *parts, margins=(0, 6, 0, 0), spacing=3)
        self.set_prior(GENERAL)

    def _row(self, name: str, of: Row) -> tuple[QLabel, QWidget]:
        title = f"{Prior.model_fields[name].title} ({of.unit})"
        tip = f"{of.tip}\nAllowed: {of.least:g} to {of.most:g}."
        words = QLabel(title)
        words.setToolTip(tip)
        self.lines[name] = tuple(
            fields.text_field(f"{title}, {end}", tip if of.single else f"The {end} value.\n{tip}")
            for end in (("value",) if of.single else ("lowest", "highest"))
        )
        for line in self.lines[name]:
            fields.only_numbers(line, whole=of.kind is int)
        fields.squeezed(*self.lines[name], least=44)
        first, *second = self.lines[name]
        return words, fields.line_of((first, 1), *(("to", (second[0], 1)) if second else ()))

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
        """Return what is filled in; an `InputError` says why it cannot be simulated."""
        values: dict[str, Any] = {name: self._value(name, of) for name, of in ROWS.items()}
        ticked = tuple(name for name, box in self.structures.items() if box.isChecked())
        if not ticked:
            raise InputError(
                "tick at least one, or no molecules can be placed", field="prior.structures"
            )
        return Prior(**values, structures=ticked)

    def _value(self, name: str, of: Row) -> Any:
        field, numbers = f"prior.{name}", []
        for line in self.lines[name]:
            try:
                number = of.kind(line.text())
            except ValueError:
                what = "a number" if of.single else "both numbers"
                got = f"“{line.text()}”" if line.text() else "nothing"
                raise InputError(f"fill in {what}, got {got}", field=field) from None
            if not of.least <= number <= of.most:
                allowed = f"{of.least:g} to {of.most:g} ({of.unit})"
                raise InputError(f"must be {allowed}, got {number:g}", field=field)
            numbers.append(number)
        if of.single:
            return numbers[0]
        low, high = numbers
        if low > high:
            got = f"{low:g} to {high:g}"
            raise InputError(
                f"the first number must not be above the second, got {got}", field=field
            )
        return low, high


class SimulateForm(QWidget):
    """Frames and seed, the button, and how the simulated frames compare with the movie's."""

    def __init__(self) -> None:
        super().__init__()
        self.count = fields.spin(
            1, 64, 8, "How many frames to simulate; each draws settings of its own."
        )
        self.seed = fields.spin(
            *(0, 2**31 - 1, 1),
            "Of all random numbers: the same seed gives the same frames. It goes on by one each "
            "time,\nso that other frames are drawn.",
        )
        fields.squeezed(self.count, self.seed, least=76)
        self.start = fields.button(
            "Simulate",
            "Draw frames as a training would, and show them right of the movie in its own counts;\n"
            "a hidden layer of rings says where their molecules are.",
        )
        self.histogram = IntensityHistogram()
        self.histogram.setToolTip(
            "How bright the pixels are: those of the movie's frames from the slider on, and those\n"
            "of the simulated frames. The shares are on a logarithmic axis."
        )
        self.said = fields.label("How the simulated frames differ from the movie, in numbers.")
        self.save = fields.button(
            "Save settings…", "Write a file that “smlm-diffusion train --config FILE” trains with."
        )
        self.load = fields.button("Load settings…", "Fill in the simulation from such a file.")
        names = QLabel("Frames"), QLabel("Seed")
        for name, box in zip(names, (self.count, self.seed), strict=True):
            name.setToolTip(box.toolTip())
        fields.column(
            self,
            fields.row(names[0], (self.count, 1), names[1], (self.seed, 1), (self.start, 1)),
            (self.histogram, 1),
            self.said,
            fields.row(self.save, self.load),
            spacing=4,
        )


def _text(value: float) -> str:
    """Return a number as short as it can be without becoming another one."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
