"""One frame of a training and what the networks make of it, painted beside each other."""

from collections.abc import Mapping

import numpy as np
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_smlm_diffusion.widgets.shared.plot import Colours

# Name in the example, words below the picture, and the colours that the layers have too.
_PARTS = (
    ("frame", "frame", "gray"),
    ("truth", "true density", "inferno"),
    ("density", "density found", "inferno"),
    ("sd", "its SD", "inferno"),
)
_GAP = 4


class ExamplePictures(QWidget):
    """Paints an example of `training.validation`: frame, truth, density and SD.

    Truth, density and SD share one scale, from nothing to nearly the highest true density.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.example: Mapping[str, NDArray[np.float32]] = {}
        self._images: dict[str, QImage] = {}
        self._text = QColor("gray")
        self._back = QColor("black")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Return the size that it likes to have; with more room, the pictures are larger."""
        return QSize(300, 130)

    def minimumSizeHint(self) -> QSize:
        """Return the size below which nothing could be told: all in a row."""
        return QSize(220, 96)

    def set_colours(self, colours: Colours) -> None:
        """Take the colours of the theme."""
        self._text, self._back = QColor(colours.text), QColor(colours.back)
        self.update()

    def set_example(self, example: Mapping[str, NDArray[np.float32]]) -> None:
        """Show this one; an empty one shows nothing."""
        self.example, self._images = example, {}
        for name, _, colormap in _PARTS:
            if name in example:
                values = np.asarray(example[name], dtype=float)
                limits = np.percentile(values, (0.5, 99.8))
                if name != "frame":
                    # A crowd is many molecules high; next to it, one alone must still be seen.
                    top = float(np.percentile(example["truth"], 99.5))
                    limits = np.array([0.0, max(top, 0.5)])
                self._images[name] = _image(values, limits, colormap)
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the pictures as large as they can be, two by two or in a row."""
        painter = QPainter(self)
        tall = self.fontMetrics().height()
        columns, side = max(((n, self._side(n, tall)) for n in (4, 2)), key=lambda found: found[1])
        left = (self.width() - columns * side - (columns - 1) * _GAP) / 2
        for place, (name, words, _) in enumerate(_PARTS):
            row, column = divmod(place, columns)
            box = QRectF(left + column * (side + _GAP), row * (side + tall + _GAP), side, side)
            painter.fillRect(box, self._back)
            painter.setPen(self._text)
            image = self._images.get(name)
            if image is not None:
                painter.drawImage(box, image)
            elif name == "sd" and self._images:
                wrapped = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
                painter.drawText(box, int(wrapped), "is learned next")
            below = QRectF(box.left() - _GAP, box.bottom(), side + 2 * _GAP, tall)
            painter.drawText(below, Qt.AlignmentFlag.AlignCenter, words)
        painter.end()

    def _side(self, columns: int, tall: int) -> float:
        rows = 4 // columns
        wide = (self.width() - (columns - 1) * _GAP) / columns
        return max(8.0, min(wide, (self.height() - (rows - 1) * _GAP) / rows - tall))


def _image(values: NDArray[np.float64], limits: NDArray[np.float64], colormap: str) -> QImage:
    """Return (Y, X) values as a picture."""
    low, high = limits
    shares = np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0)
    colours = ensure_colormap(colormap).map(shares.ravel())
    pixels = np.rint(255 * colours).astype(np.uint8)
    height, width = values.shape
    image = QImage(pixels.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888)
    return image.copy()  # which owns its pixels
