"""A picture in a window of its own."""

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import QDialog, QLabel, QWidget

from napari_smlm_diffusion.widgets.shared import fields


def show_picture(owner: QWidget, title: str, pixels: QPixmap) -> QDialog:
    """Show a picture as large as the screen lets it be; return the window."""
    window, picture, screen = QDialog(owner), QLabel(), owner.screen()
    window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    window.setWindowTitle(title)
    room = QSize(1280, 800) if screen is None else screen.availableSize()
    whole, smooth = (
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
    picture.setPixmap(pixels.scaled(room * 0.9, whole, smooth))
    fields.column(window, picture)
    window.show()
    return window
